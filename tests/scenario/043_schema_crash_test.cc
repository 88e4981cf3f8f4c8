// Blue's schema on its way to green, cut short by what breaks.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

class SchemaInterrupted : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    blue_owner().exec(
        "CREATE TABLE item (id int PRIMARY KEY, name text); CREATE INDEX item_by_name ON item (name); "
        "INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, 100) i");
    run_roles_sql(green_server(), {"make_tables=on"});
    create_publication({"public.item"});
    configure("copy: { schema: true }\n");
  }

  /// A running teal whose rows are copied and whose pg_restore waits for its first key, until `blocker` rolls back.
  TealProcess& run_with_the_keys_held(Sql& blocker) {
    TealProcess& held = run({}, {.environment = {"TEAL_FAILPOINT=copy_snapshot_made"}});
    EXPECT_EQ(held.wait_exit(seconds(60)), 128 + SIGKILL) << held.err();
    blocker.exec("BEGIN; LOCK TABLE public.item IN ACCESS SHARE MODE");
    TealProcess& teal = run();
    wait_for_restores(1);
    return teal;
  }

  void wait_for_restores(int count) {
    wait_until("pg_restore waits", seconds(60), [&] { return green().number(kWaiting) == count; });
  }

  void expect_arrived() {
    teal_->wait_for_log("link streaming", seconds(60));
    blue_owner().exec("UPDATE item SET name = 'changed' WHERE id = 5");
    wait_caught_up();
    expect_equal("public.item");
    EXPECT_EQ(green().value(
                  "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'"),
              "item_by_name item_pkey");
  }

  static constexpr const char* kWaiting =
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_restore' AND wait_event_type = 'Lock'";
};

TEST_F(SchemaInterrupted, M10RestoreThatLosesItsConnectionIsDoneAgain) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  TealProcess& teal = run_with_the_keys_held(blocker);
  const std::string pid = green().value(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_restore' AND wait_event_type = 'Lock'");
  EXPECT_TRUE(green().truth("SELECT pg_terminate_backend(" + pid + ")"));
  teal.wait_for_log("restoring the schema interrupted, trying again", seconds(30));
  blocker.exec("ROLLBACK");
  expect_arrived();
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(SchemaInterrupted, RestoreThatOutlivesAKilledTealDoesNotHinderTheNext) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  run_with_the_keys_held(blocker).kill9();
  TealProcess& next = run();
  wait_for_restores(2);
  blocker.exec("ROLLBACK");
  next.wait_for_log("schema was restored meanwhile", seconds(30));
  expect_arrived();
  EXPECT_EQ(next.terminate(), 0) << next.err();
}

// An index that was made apart is there before the keys, and is not made twice.
TEST_F(SchemaInterrupted, KilledBetweenIndexesAndKeysTheNextRunMakesOnlyTheKeys) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  run_with_the_keys_held(blocker).kill9();
  const std::string index = "SELECT oid FROM pg_class WHERE relname = 'item_by_name'";
  const std::string made = green().value(index);
  EXPECT_TRUE(
      green().truth("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_restore'"));
  blocker.exec("ROLLBACK");
  TealProcess& next = run();
  expect_arrived();
  EXPECT_EQ(green().value(index), made);
  EXPECT_EQ(next.terminate(), 0) << next.err();
}

TEST_F(SchemaInterrupted, IndexThatAKilledTealsRestoreMakesMeanwhileIsLeftOut) {
  TealProcess& held = run({}, {.environment = {"TEAL_FAILPOINT=copy_committed"}});
  EXPECT_EQ(held.wait_exit(seconds(60)), 128 + SIGKILL) << held.err();
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.item IN ROW EXCLUSIVE MODE");
  run();
  wait_for_restores(1);
  teal_->kill9();
  TealProcess& next = run();
  wait_for_restores(2);
  blocker.exec("ROLLBACK");
  expect_arrived();
  EXPECT_EQ(next.terminate(), 0) << next.err();
}

}  // namespace
}  // namespace teal::test
