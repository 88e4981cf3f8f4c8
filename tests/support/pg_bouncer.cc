#include "tests/support/pg_bouncer.h"

#include <chrono>

#include "tests/support/pg_installation.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/wait_until.h"

namespace teal::test {

using std::chrono::seconds;

PgBouncer::PgBouncer(const PgServer& server, const PgBouncerOptions& options)
    : files_(make_scratch_directory("pgbouncer")) {
  const std::string users = files_ / "users";
  std::string known;
  for (const char* user : {"teal", "shop_owner", "postgres", "admin"}) known += "\"" + std::string(user) + "\" \"\"\n";
  write_file(users, known);
  const std::string port = std::to_string(server.port());
  write_file(config(), "; kept as it is\n[databases]\nother = host=127.0.0.1 port=" + port +
                           "\nshop = host=127.0.0.1 port=" + port + " dbname=shop pool_size=20\n" +
                           "\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " + std::to_string(port_.number()) +
                           "\nunix_socket_dir =\nauth_type = trust\nauth_file = " + users + "\nadmin_users = admin\n" +
                           "ignore_startup_parameters = options, extra_float_digits\npool_mode = " + options.mode +
                           "\n" + options.more);
  process_ = std::make_unique<ChildProcess>(
      SpawnOptions{.argv = {"/usr/sbin/pgbouncer", config()}, .stderr_path = files_ / "log", .user = server_user()});
  wait_until("the pooler takes connections", seconds(20), [&] {
    return run_program({.argv = {pg_installation().bin / "pg_isready", "-d", address("teal")}}, seconds(10)) == 0;
  });
}

std::string PgBouncer::address(std::string_view user) const {
  return "postgresql://" + std::string(user) + "@127.0.0.1:" + std::to_string(port_.number()) + "/shop";
}

std::string PgBouncer::conninfo(std::string_view user) const {
  return "host=127.0.0.1 port=" + std::to_string(port_.number()) + " user=" + std::string(user) + " dbname=shop";
}

std::string PgBouncer::admin() const {
  return "host=127.0.0.1 port=" + std::to_string(port_.number()) + " user=admin dbname=pgbouncer";
}

std::string PgBouncer::log() const { return read_file(files_ / "log"); }

}  // namespace teal::test
