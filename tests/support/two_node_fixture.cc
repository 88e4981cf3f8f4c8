#include "tests/support/two_node_fixture.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "tests/support/scratch_directory.h"

namespace teal::test {

namespace fs = std::filesystem;

void run_roles_sql(const PgServer& server, const std::vector<std::string>& variables, std::string_view database) {
  SpawnOptions psql;
  psql.argv = {pg_installation().bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"};
  std::vector<std::string> all = {"teal_role=" + std::string(kTealRole), "owner_role=" + std::string(kOwnerRole)};
  all.insert(all.end(), variables.begin(), variables.end());
  for (const std::string& variable : all) psql.argv.insert(psql.argv.end(), {"-v", variable});
  psql.argv.insert(psql.argv.end(), {"-f", TEAL_TEST_ROLES_SQL, "-d", server.conninfo("postgres", database)});
  const fs::path files = make_scratch_directory("roles");
  psql.stdout_path = psql.stderr_path = files / "said";
  if (run_program(psql, std::chrono::seconds(60)) != 0) {
    throw std::runtime_error("docs/roles.sql failed: " + read_file(psql.stderr_path));
  }
}

void prepare_shop(PgServer& server) {
  Sql sql = server.connect();
  sql.exec("CREATE ROLE " + sql_name(kOwnerRole) + " LOGIN");
  prepare_database(server, kShopDatabase);
}

void prepare_database(PgServer& server, std::string_view name, const std::vector<std::string>& variables) {
  server.psql("CREATE DATABASE " + sql_name(name) + " OWNER " + sql_name(kOwnerRole));
  run_roles_sql(server, variables, name);
}

void TwoNodeFixture::SetUp() {
  PgServerOptions blue = blue_options();
  blue.major = blue_major();
  PgServerOptions green = green_options();
  green.major = green_major();
  blue_server_ = std::make_unique<PgServer>(std::move(blue));
  green_server_ = std::make_unique<PgServer>(std::move(green));
  prepare_shop(*blue_server_);
  prepare_shop(*green_server_);
}

Sql& TwoNodeFixture::Session::on(const PgServer& server, std::string_view user) {
  if (sql_ == nullptr || !sql_->alive()) {
    sql_ = std::make_unique<Sql>(server.conninfo(user, kShopDatabase));
  }
  return *sql_;
}

Sql& TwoNodeFixture::blue() { return blue_.on(*blue_server_, "postgres"); }
Sql& TwoNodeFixture::green() { return green_.on(*green_server_, "postgres"); }
Sql& TwoNodeFixture::blue_owner() { return blue_owner_.on(*blue_server_, kOwnerRole); }
Sql& TwoNodeFixture::green_owner() { return green_owner_.on(*green_server_, kOwnerRole); }

void TwoNodeFixture::create_tables_both(const std::string& statements) {
  for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec(statements);
}

void TwoNodeFixture::grant_schemas(const std::string& schemas) {
  for (const PgServer* server : {blue_server_.get(), green_server_.get()}) {
    run_roles_sql(*server, {"schemas=" + schemas});
  }
}

void TwoNodeFixture::create_publication(const std::vector<std::string>& tables, const std::string& name) {
  std::string list;
  for (const std::string& table : tables) list += (list.empty() ? "" : ", ") + table;
  blue_owner().exec("CREATE PUBLICATION " + sql_name("teal_" + name + "_blue_to_green") + " FOR TABLE " + list);
}

fs::path TwoNodeFixture::write_yaml(const std::string& text) {
  fs::path file = make_scratch_directory("config") / "teal.yml";
  write_file(file, text);
  return file;
}

fs::path TwoNodeFixture::write_config(const ConfigOptions& options) const {
  const std::string blue = options.blue.empty() ? blue_server_->uri(kTealRole, kShopDatabase) : options.blue;
  const std::string green = options.green.empty() ? green_server_->uri(kTealRole, kShopDatabase) : options.green;
  const PgInstallation& newest =
      pg_installation(std::max({blue_server_->installation().major, green_server_->installation().major, kOwnMajor}));
  return write_yaml("name: " + options.name + "\nblue: " + blue + "\ngreen: " + green +
                    "\npg_bindir: " + newest.dump_programs.string() + "\n" + options.more);
}

}  // namespace teal::test
