// What attacks found, or did not: tables that join, partitions, renames, rows without a key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr const char* kEvents =
    "CREATE TABLE events (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); "
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10); "
    "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);";

class MoreAttack : public SidecarFixture {};

// The new partition appears where the link stands: not with a row that the link has yet to insert elsewhere.
TEST_F(MoreAttack, J4PartitionThatTakesARowFromAnotherWhileTheLinkLags) {
  start(
      "CREATE TABLE blocked (id int PRIMARY KEY); CREATE TABLE ev (id int PRIMARY KEY, v text) PARTITION BY RANGE "
      "(id); "
      "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (100); CREATE TABLE ev_rest PARTITION OF ev DEFAULT",
      "CREATE TABLE blocked (id int PRIMARY KEY); CREATE TABLE ev (id int PRIMARY KEY, v text)",
      {"public.ev", "public.blocked"}, "apply: { batch_rows_max: 1 }\n");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.blocked IN SHARE MODE");
  blue_owner().exec("INSERT INTO blocked VALUES (1)");
  blue_owner().exec("INSERT INTO ev VALUES (150, 'first')");
  blue_owner().exec(
      "BEGIN; CREATE TEMP TABLE moved AS SELECT * FROM ev_rest; DELETE FROM ev_rest; CREATE TABLE public.ev_2 "
      "PARTITION "
      "OF public.ev FOR VALUES FROM (100) TO (200); INSERT INTO ev SELECT * FROM moved; COMMIT");
  teal_->wait_for_log("table joining.*ev_2", seconds(30));
  blocker.exec("ROLLBACK");
  wait_joined("ev_2");
  wait_caught_up();
  expect_equal("public.ev");
}

TEST_F(MoreAttack, H9TableThatHasAnotherNameForAMomentLosesNothing) {
  start("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  blue_owner().exec("INSERT INTO r VALUES (1)");
  blue_owner().exec(
      "BEGIN; ALTER TABLE r RENAME TO other_name; INSERT INTO other_name VALUES (2); ALTER TABLE "
      "other_name RENAME TO r; COMMIT");
  blue_owner().exec("ALTER TABLE r RENAME TO x");
  blue_owner().exec("INSERT INTO x VALUES (3)");
  blue_owner().exec("ALTER TABLE x RENAME TO r");
  blue_owner().exec("INSERT INTO r VALUES (4)");
  wait_caught_up();
  expect_equal("public.r");
}

TEST_F(MoreAttack, H9TableThatHasAnotherNameForAMomentWhileItJoins) {
  start("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE late (id int PRIMARY KEY)", {"public.r"},
        "tables: { exclude: [public.late] }\n");
  blue_owner().exec("INSERT INTO late VALUES (1)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.late");
  configure("copy: { schema: false }\n");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.late IN SHARE MODE");
  run_streaming();
  wait_until("the copy waits", seconds(30),
             [&] { return green().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"); });
  blue_owner().exec("SET lock_timeout = '5s'; INSERT INTO late VALUES (2)");
  std::string renamed =
      "BEGIN; ALTER TABLE late RENAME TO x; INSERT INTO x VALUES (3); ALTER TABLE x RENAME TO late; "
      "COMMIT";
  std::thread rename([&] { blue_server().connect(kOwnerRole, kShopDatabase).exec(renamed); });
  wait_until("the rename waits", seconds(30),
             [&] { return blue().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"); });
  blocker.exec("ROLLBACK");
  rename.join();
  wait_joined("late");
  wait_caught_up();
  expect_equal("public.late");
}

TEST_F(MoreAttack, H10PartitionThatHasAnotherNameForAMomentLosesNothing) {
  start(kEvents, {"public.events"});
  blue_owner().exec("INSERT INTO events VALUES (1, 1, 'a')");
  blue_owner().exec("ALTER TABLE events_1 RENAME TO x");
  blue_owner().exec("INSERT INTO events VALUES (2, 2, 'b')");
  blue_owner().exec("ALTER TABLE x RENAME TO events_1");
  blue_owner().exec("INSERT INTO events VALUES (3, 3, 'c')");
  wait_caught_up();
  expect_equal("public.events");
}

TEST_F(MoreAttack, H10PartitionWithoutAKeyThatIsRenamedIsNotCopiedTwice) {
  start(
      "CREATE TABLE log (day int, v text) PARTITION BY RANGE (day); CREATE TABLE log_1 PARTITION OF log FOR VALUES "
      "FROM (0) TO (10); CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20); ALTER TABLE log REPLICA "
      "IDENTITY FULL; ALTER TABLE log_1 REPLICA IDENTITY FULL; ALTER TABLE log_2 REPLICA IDENTITY FULL; INSERT INTO "
      "log VALUES (1, 'a'), (11, 'b')",
      "CREATE TABLE log (day int, v text)", {"public.log"});
  blue_owner().exec("ALTER TABLE log_1 RENAME TO log_first");
  blue_owner().exec("INSERT INTO log VALUES (2, 'c')");
  wait_caught_up();
  expect_equal("public.log");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 1);
  EXPECT_THAT(teal_->err(), testing::HasSubstr("public.log_1 has another name on blue now, public.log_first"));
  blue_owner().exec("ALTER TABLE log_first RENAME TO log_1; INSERT INTO log VALUES (3, 'd')");
  run_streaming();
  wait_caught_up();
  expect_equal("public.log");
}

// The unique key of green is not the partition key: the layout there is another.
TEST_F(MoreAttack, J4RowThatLeftAndCameBackToAJoiningPartitionWhileTheLinkLags) {
  start(
      "CREATE TABLE blocked (id int PRIMARY KEY);"
      "CREATE TABLE ev (id int, day int, v text) PARTITION BY RANGE (day); CREATE TABLE ev_1 PARTITION OF ev FOR "
      "VALUES FROM (0) TO (10); CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM (10) TO (20); ALTER TABLE ev "
      "REPLICA IDENTITY FULL; ALTER TABLE ev_1 REPLICA IDENTITY FULL; ALTER TABLE ev_2 REPLICA IDENTITY FULL",
      "CREATE TABLE blocked (id int PRIMARY KEY); CREATE TABLE ev (id int PRIMARY KEY, day int, v text)",
      {"public.ev", "public.blocked"}, "apply: { batch_rows_max: 1 }\n");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.blocked IN SHARE MODE");
  blue_owner().exec("INSERT INTO blocked VALUES (1)");
  blue_owner().exec("INSERT INTO ev VALUES (1, 1, 'first')");
  blue_owner().exec(
      "CREATE TABLE public.ev_3 PARTITION OF public.ev FOR VALUES FROM (20) TO (30); ALTER TABLE ev_3 REPLICA IDENTITY "
      "FULL");
  blue_owner().exec("UPDATE ev SET day = 21 WHERE id = 1");
  teal_->wait_for_log("table joining.*ev_3", seconds(30));
  blocker.exec("ROLLBACK");
  wait_joined("ev_3");
  wait_caught_up();
  expect_equal("public.ev");
}

TEST_F(MoreAttack, J4MoveIntoAPartitionOfAnotherColumnOrderWhoseKeyOnGreenIsShorter) {
  start(
      "CREATE TABLE ev (id int, day int, v text) PARTITION BY RANGE (day); CREATE TABLE ev_1 PARTITION OF ev FOR "
      "VALUES FROM (0) TO (10); CREATE TABLE ev_2 (v text, day int, id int); ALTER TABLE ev ATTACH PARTITION ev_2 FOR "
      "VALUES FROM (10) TO (20); ALTER TABLE ev REPLICA IDENTITY FULL; ALTER TABLE ev_1 REPLICA IDENTITY FULL; ALTER "
      "TABLE ev_2 REPLICA IDENTITY FULL; INSERT INTO ev VALUES (1, 1, 'a'), (2, 11, 'b')",
      "CREATE TABLE ev (id int PRIMARY KEY, day int, v text)", {"public.ev"});
  blue_owner().exec("BEGIN; INSERT INTO ev VALUES (3, 12, 'c'); UPDATE ev SET day = 12 WHERE id = 1; COMMIT");
  wait_caught_up();
  expect_equal("public.ev");
}

TEST_F(MoreAttack, J5WholeTruncateBeforeANewPartitionJoinedWithAnotherLayout) {
  start("CREATE TABLE blocked (id int PRIMARY KEY);" + std::string(kEvents),
        "CREATE TABLE blocked (id int PRIMARY KEY); CREATE TABLE events (id int, day int, v text, PRIMARY KEY (id, "
        "day))",
        {"public.events", "public.blocked"});
  blue_owner().exec("INSERT INTO events VALUES (1, 1, 'x')");
  wait_caught_up();
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.blocked IN SHARE MODE");
  blue_owner().exec("INSERT INTO blocked VALUES (1)");
  blue_owner().exec("TRUNCATE events");
  blue_owner().exec("CREATE TABLE public.events_3 PARTITION OF public.events FOR VALUES FROM (20) TO (30)");
  teal_->wait_for_log("table joining.*events_3", seconds(30));
  blocker.exec("ROLLBACK");
  wait_joined("events_3");
  wait_caught_up();
  expect_equal("public.events");
}

TEST_F(MoreAttack, E2WideTableWithoutAKeyIsRefused) {
  std::string columns;
  for (int i = 0; i < 900; ++i) columns += (i == 0 ? "c" : ", c") + std::to_string(i) + " int";
  create_tables_both("CREATE TABLE w (" + columns + "); ALTER TABLE w REPLICA IDENTITY FULL");
  configure("copy: { schema: false }\n");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, testing::HasSubstr("public.w has no key and more than 800 columns"));
}

TEST_F(MoreAttack, H2PartitionedTableThatLeavesThePublicationStopsTheLink) {
  start(kEvents, {"public.events"});
  blue_owner().exec(
      "CREATE TABLE public.other (id int PRIMARY KEY); ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE "
      "public.other");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.events");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 1);
  EXPECT_THAT(teal_->err(), testing::HasSubstr("these tables left the publication"));
}

TEST_F(MoreAttack, J5TruncateOfADefaultPartitionTakesNothingFromOthers) {
  start(
      "CREATE TABLE ev (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM "
      "(0) TO (10); CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM (10) TO (20); CREATE TABLE ev_rest PARTITION OF "
      "ev DEFAULT",
      "CREATE TABLE ev (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM "
      "(0) TO (10); CREATE TABLE ev_rest PARTITION OF ev DEFAULT",
      {"public.ev"});
  blue_owner().exec("INSERT INTO ev VALUES (1), (11), (21)");
  wait_caught_up();
  blue_owner().exec("TRUNCATE ev_rest");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 5);
  EXPECT_THAT(teal_->err(), testing::HasSubstr("public.ev_rest: was truncated on the source"));
  EXPECT_EQ(green().value("SELECT string_agg(id::text, ',' ORDER BY id) FROM public.ev"), "1,11,21");
}

}  // namespace
}  // namespace teal::test
