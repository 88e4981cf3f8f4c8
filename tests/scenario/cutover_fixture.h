#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pg_bouncer.h"
#include "tests/support/pgbench.h"

namespace teal::test {

/// Two servers that are linked both ways, with pgbench's tables, whose sequence the history's key draws from, and a
/// PgBouncer that leads to blue.
class CutoverFixture : public TwoWayFixture {
 protected:
  void SetUp() override {
    TwoWayFixture::SetUp();
    create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase);
    create_pgbench_tables(green_server(), kOwnerRole, kShopDatabase, {.rows = false});
    for (PgServer* server : {&blue_server(), &green_server()}) run_roles_sql(*server, {"owner_role=shop_owner"});
    publish_both(kPgbenchTables);
    bouncer_ = std::make_unique<PgBouncer>(blue_server());
  }
  [[nodiscard]] PgServerOptions blue_options() const override { return {.settings = {"max_prepared_transactions=5"}}; }

  /// `cutover`: further keys of that section, as `, tries: 1`.
  void start_links(const std::string& cutover = "", bool pooler = true, const std::string& more = "") {
    const std::string poolers = pooler ? "pgbouncer: [ { admin: \"" + bouncer_->admin() +
                                             "\", database: shop, config: " + bouncer_->config().string() + " } ]"
                                       : "pgbouncer: []";
    config_ = write_config(
                  {.more = "direction: both\ncopy: { schema: false }\ncutover: { " + poolers + cutover + " }\n" + more})
                  .string();
    run_both({});
    wait_both_caught_up();
  }

  /// `teal cutover` or `rollback`, without questions. What it has reported.
  nlohmann::json cut(const std::string& command, int expected, const std::vector<std::string>& more = {}) {
    const TealResult result = run_teal(arguments(command, more));
    EXPECT_EQ(result.exit_code, expected) << result.out << result.err;
    return result.out.empty() ? nlohmann::json() : nlohmann::json::parse(result.out);
  }
  [[nodiscard]] std::vector<std::string> arguments(const std::string& command,
                                                   const std::vector<std::string>& more) const {
    std::vector<std::string> all{"--json", command, "--yes"};
    all.insert(all.end(), more.begin(), more.end());
    return with_config(all);
  }

  /// Who writes there meets this; "": nobody is kept from it.
  static std::string refusal(const PgServer& server) {
    Sql client = server.connect(kOwnerRole, kShopDatabase);
    return client.sqlstate_of("UPDATE public.pgbench_branches SET filler = filler WHERE bid = 1");
  }
  std::string writable() {
    const bool on_blue = refusal(blue_server()).empty();
    const bool on_green = refusal(green_server()).empty();
    return on_blue ? (on_green ? "both" : "blue") : (on_green ? "green" : "none");
  }
  bool pooler_paused() {
    Sql console(bouncer_->admin());
    const SqlRows rows = console.rows("SHOW DATABASES");
    for (const auto& row : rows) {
      // name, host, port, database, ..., paused, disabled
      if (row[0] == "shop") return row[row.size() - 2] == "1";
    }
    return false;
  }
  std::int64_t history(Sql& side) { return side.number("SELECT count(*) FROM public.pgbench_history"); }
  void expect_sides_equal() {
    for (const std::string& table : kPgbenchTables) expect_equal(table);
  }

  std::unique_ptr<PgBouncer> bouncer_;
};

}  // namespace teal::test
