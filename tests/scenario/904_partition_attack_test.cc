// What an attack on partitions found: rows that no stream brings, or that leave green with a partition (TRAPS H5, H7,
// H8, H10, J4, J8). Each that stops names the way on, and the way loses no row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kA =
    "CREATE TABLE a (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE a_1 PARTITION OF a FOR VALUES "
    "FROM (0) TO (100); CREATE TABLE a_2 PARTITION OF a FOR VALUES FROM (100) TO (200);";

class PartitionAttack : public SidecarFixture {
 protected:
  void start_with_rows(const std::string& sql, const std::vector<std::string>& published) {
    start(sql, published);
    blue_owner().exec("INSERT INTO a VALUES (1, 'x'), (2, 'y'), (150, 'z')");
    wait_caught_up();
  }

  /// teal ends with `code` and says `what`.
  void expect_stops(const std::string& what, int code = 1) {
    EXPECT_EQ(teal_->wait_exit(seconds(30)), code) << teal_->err();
    EXPECT_THAT(teal_->err(), HasSubstr(what));
  }

  void copy_a_1_again() {
    green().exec("TRUNCATE public.a_1; " + advised_for_tables());
    run_streaming();
    wait_joined("a_1");
  }

  void expect_arrives() {
    wait_caught_up();
    expect_equal("public.a");
    EXPECT_TRUE(teal_->running());
  }

  /// A look of teal at both sides that begins from now on finds nothing to stop for.
  void expect_ready() {
    const TealResult check = command({"check"});
    EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
  }
};

TEST_F(PartitionAttack, H7PartitionThatWasUnloggedWhileTealWasDownIsCopiedAgain) {
  start_with_rows(kA, {"public.a"});
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec(
      "ALTER TABLE a_1 SET UNLOGGED; INSERT INTO a SELECT i, 'bulk' FROM generate_series(10, 50) i; UPDATE a SET v = "
      "'changed' WHERE id = 1; DELETE FROM a WHERE id = 2; ALTER TABLE a_1 SET LOGGED");
  EXPECT_EQ(command({"check"}).exit_code, 1);
  run();
  expect_stops("these partitions were rewritten on blue: public.a_1");
  copy_a_1_again();
  blue_owner().exec("INSERT INTO a VALUES (3, 'after'), (151, 'after')");
  expect_arrives();
}

TEST_F(PartitionAttack, H7PartitionThatIsUnloggedForAMomentStopsTheLink) {
  start_with_rows(kA, {"public.a"});
  blue_owner().exec(
      "ALTER TABLE a_1 SET UNLOGGED; INSERT INTO a SELECT i, 'bulk' FROM generate_series(10, 50) i; ALTER TABLE a_1 "
      "SET LOGGED; INSERT INTO a VALUES (3, 'after')");
  expect_stops("these partitions were rewritten on blue: public.a_1");
  copy_a_1_again();
  expect_arrives();
}

TEST_F(PartitionAttack, H7PartitionThatStaysUnloggedIsNamed) {
  start_with_rows(kA, {"public.a"});
  blue_owner().exec("ALTER TABLE a_1 SET UNLOGGED; INSERT INTO a VALUES (3, 'unlogged')");
  expect_stops("these partitions are unlogged on blue now, and changes of unlogged tables are not sent: public.a_1");
  blue_owner().exec("ALTER TABLE a_1 SET LOGGED");
  copy_a_1_again();
  expect_arrives();
}

TEST_F(PartitionAttack, H7RewritesThatKeepOrSendTheRowsStopNothing) {
  start_with_rows(kA, {"public.a"});
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("VACUUM FULL a_1");
  blue_owner().exec("CLUSTER a_1 USING a_1_pkey; TRUNCATE a_2; ANALYZE a");
  expect_ready();
  EXPECT_EQ(run_until_synced().exit_code, 0);  // the documented way of DDL, while nobody writes
  for (Sql* side : {&blue_owner(), &green_owner()}) {
    side->exec("ALTER TABLE public.a ALTER v TYPE varchar(20), ADD COLUMN w text DEFAULT clock_timestamp()::text");
    side->exec("ALTER TABLE public.a DROP COLUMN w");
  }
  expect_ready();
  run_streaming();
  teal_->terminate();
  run_streaming();
  blue_owner().exec("INSERT INTO a VALUES (3, 'after'), (151, 'after')");
  expect_arrives();
}

TEST_F(PartitionAttack, H7RewriteThatWasHarmlessIsConfirmedByOneStatement) {
  start_with_rows(kA, {"public.a"});
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("ALTER TABLE a_2 SET UNLOGGED; ALTER TABLE a_2 SET LOGGED");  // nobody wrote
  run();
  expect_stops("public.a_2");
  green().exec(advised("UPDATE teal.table_state SET toast"));
  expect_ready();
  run_streaming();
  blue_owner().exec("INSERT INTO a VALUES (151, 'after')");
  expect_arrives();
}

TEST_F(PartitionAttack, H8PartitionThatIsListedWithAFilterIsCopiedAgain) {
  start_with_rows(kA, {"public.a"});
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.a_1 WHERE (id > 50)");
  blue_owner().exec("INSERT INTO a VALUES (3, 'x'), (60, 'f'), (151, 'z')");
  expect_stops(
      "got a filter, or were dropped and made anew, so that changes of them are missing on the target: "
      "public.a_1;");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.a_1");
  copy_a_1_again();
  expect_arrives();
}

TEST_F(PartitionAttack, H8PartitionThatIsListedWithAColumnListStopsTheLink) {
  start_with_rows(kA, {"public.a"});
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.a_1 (id)");
  blue_owner().exec("UPDATE a SET v = 'new' WHERE id = 1");
  expect_stops("missing on the target: public.a_1;");
}

TEST_F(PartitionAttack, H10PartitionThatMovesToAnotherTableIsNamedWithBoth) {
  const std::string b =
      "CREATE TABLE b (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE b_1 PARTITION OF b FOR VALUES "
      "FROM (1000) TO (1100);";
  start_with_rows(std::string(kA) + "CREATE TABLE a_d PARTITION OF a DEFAULT;" + b, {"public.a", "public.b"});
  for (Sql* side : {&green_owner(), &blue_owner()}) {
    side->exec(
        "SET search_path = public; BEGIN; ALTER TABLE a DETACH PARTITION a_1; ALTER TABLE b ATTACH PARTITION a_1 FOR "
        "VALUES FROM (0) TO (100); COMMIT");
  }
  blue_owner().exec("INSERT INTO b VALUES (3, 'after the move'), (1001, 'c'); INSERT INTO a VALUES (500, 'other')");
  expect_stops("public.a_1, which was a partition of public.a, is a partition of public.b on blue now");
  green().exec("TRUNCATE public.a, public.a_1; " + advised_for_targets());
  run_streaming();
  for (const char* table : {"a_1", "a_2", "a_d"}) wait_joined(table);
  expect_arrives();
  expect_equal("public.b");
}

TEST_F(PartitionAttack, H10TableThatIsAPartitionOnGreenOnlyIsRefused) {
  blue_owner().exec(
      std::string("SET search_path = public; ") + kA +
      "ALTER TABLE a DETACH PARTITION a_1; INSERT INTO a_1 VALUES (1, 'x'); INSERT INTO a VALUES (150, 'x')");
  green_owner().exec(std::string("SET search_path = public; ") + kA);
  create_publication({"public.a", "public.a_1"});
  configure("copy: { schema: false }\n");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("public.a_1 is a partition of public.a on green and a table of its own on blue"));
  EXPECT_THAT(check.out, HasSubstr("ALTER TABLE public.a DETACH PARTITION public.a_1;"));
  EXPECT_EQ(command({"run"}).exit_code, 1);
  green_owner().exec("ALTER TABLE public.a DETACH PARTITION public.a_1");
  run_streaming();
  expect_arrives();
  expect_equal("public.a_1");
  // And when it becomes one while teal runs: at the table's next announcement.
  green_owner().exec("ALTER TABLE public.a ATTACH PARTITION public.a_1 FOR VALUES FROM (0) TO (100)");
  blue_owner().exec("ALTER TABLE a_1 REPLICA IDENTITY FULL; INSERT INTO a_1 VALUES (2, 'y')");
  expect_stops("public.a_1: is a partition of public.a on the target", 5);
  green_owner().exec("ALTER TABLE public.a DETACH PARTITION public.a_1");
  run_streaming();
  expect_arrives();
  expect_equal("public.a_1");
}

TEST_F(PartitionAttack, H10TableThatGathersOthersOnGreenOnlyIsNoneOfTealsBusiness) {
  const std::string years = "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE y (id int PRIMARY KEY, v text);";
  start(years,
        years +
            "CREATE TABLE gathered (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); ALTER TABLE gathered "
            "ATTACH PARTITION a FOR VALUES FROM (0) TO (200); ALTER TABLE gathered ATTACH PARTITION y FOR VALUES "
            "FROM (200) TO (400)",
        {"public.a", "public.y"});
  blue_owner().exec("INSERT INTO a VALUES (1, 'x'); INSERT INTO y VALUES (201, 'x'); TRUNCATE y");
  expect_arrives();
  expect_equal("public.y");
}

TEST_F(PartitionAttack, H5PartitionedTableThatIsRenamedAndMadeAnewStopsBeforeTheyMix) {
  start_with_rows(kA, {"public.a"});
  blue_owner().exec(
      "BEGIN; ALTER TABLE a RENAME TO a_old; CREATE TABLE a (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); "
      "CREATE TABLE n_1 PARTITION OF a FOR VALUES FROM (0) TO (200); ALTER PUBLICATION teal_shop_blue_to_green ADD "
      "TABLE a; INSERT INTO a VALUES (7, 'new'), (8, 'new'); UPDATE a_old SET v = 'old' WHERE id = 1; COMMIT");
  expect_stops("public.a has another name on blue now, public.a_old: rename it back");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.a WHERE v = 'new'"), 0);
  blue_owner().exec("DROP TABLE a; ALTER TABLE a_old RENAME TO a");
  run_streaming();
  expect_arrives();
}

TEST_F(PartitionAttack, H10DetachThatHasNotEndedIsRefusedBeforeTheCopy) {
  for (Sql* side : {&blue_owner(), &green_owner()}) side->exec(std::string("SET search_path = public; ") + kA);
  blue_owner().exec("INSERT INTO a VALUES (1, 'x'), (150, 'z')");
  Sql old = blue_server().connect(kOwnerRole, kShopDatabase);
  old.exec("BEGIN; SELECT count(*) FROM a");
  Sql detaching = blue_server().connect(kOwnerRole, kShopDatabase);
  detaching.exec("SET statement_timeout = '500ms'");
  EXPECT_THROW(detaching.exec("ALTER TABLE a DETACH PARTITION a_1 CONCURRENTLY"), SqlError);
  old.exec("COMMIT");
  create_publication({"public.a"});
  configure("copy: { schema: false }\n");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("public.a_1 is being detached from public.a (DETACH PARTITION ... CONCURRENTLY)"));
  const std::string mend = "ALTER TABLE public.a DETACH PARTITION public.a_1 FINALIZE;";
  EXPECT_THAT(check.out, HasSubstr(mend));
  EXPECT_EQ(command({"run"}).exit_code, 1);
  blue_owner().exec(mend + "DROP TABLE a_1");
  run_streaming();
  expect_arrives();
}

TEST_F(PartitionAttack, H10DetachConcurrentlyUnderAnOldSnapshotKeepsTheTableEqual) {
  start_with_rows(kA, {"public.a"});
  blue_owner().exec("INSERT INTO a SELECT i, 'x' FROM generate_series(5, 20) i");
  Sql old = blue_server().connect(kOwnerRole, kShopDatabase);
  old.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO a VALUES (30, 'old')");
  Sql detaching = blue_server().connect(kOwnerRole, kShopDatabase);
  detaching.exec("SET statement_timeout = '500ms'");
  EXPECT_THROW(detaching.exec("ALTER TABLE a DETACH PARTITION a_1 CONCURRENTLY"), SqlError);
  old.exec("UPDATE a SET id = 160 WHERE id = 5; UPDATE a SET v = 'late' WHERE id = 6; COMMIT");
  teal_->wait_for_log("partition left its table on the source", seconds(30));
  EXPECT_EQ(teal_->terminate(), 0);
  run_streaming();  // the detach has still not ended
  blue_owner().exec("ALTER TABLE a DETACH PARTITION a_1 FINALIZE");
  wait_caught_up();
  green_owner().exec("ALTER TABLE public.a DETACH PARTITION public.a_1");
  expect_arrives();
}

TEST_F(PartitionAttack, I8PartitionThatBlueDropsBeforeItsCopyIsNamedBeforeAnyKeyIsMade) {
  blue_owner().exec(std::string("SET search_path = public; ") + kA +
                    "CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a); INSERT INTO a SELECT i, 'x' FROM "
                    "generate_series(1, 150) i; INSERT INTO c SELECT i, i FROM generate_series(1, 20) i");
  create_publication({"public.a", "public.c"});
  green().exec("GRANT CREATE ON SCHEMA public TO teal");
  configure("");
  EXPECT_EQ(run({}, {.environment = {"TEAL_FAILPOINT=copy_snapshot_made"}}).wait_exit(seconds(60)), 128 + SIGKILL);
  blue_owner().exec("ALTER TABLE a DETACH PARTITION a_2; DROP TABLE a_2");
  run();
  expect_stops("green has partitions that blue has no more");
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'f') AND conrelid IN "
                           "('public.a'::regclass, 'public.c'::regclass)"),
            0);
  green().exec(advised("DROP TABLE \"public\".\"a_2\""));
  run_streaming();
  blue_owner().exec("INSERT INTO a VALUES (60, 'x') ON CONFLICT (id) DO UPDATE SET v = 'y'");
  expect_arrives();
  expect_equal("public.c");
}

TEST_F(PartitionAttack, M7LockOnATableIsNotWaitedForAndOnAPartitionDoesNotEndTheStart) {
  start_with_rows(std::string(kA) + "CREATE TABLE plain (id int PRIMARY KEY)", {"public.a", "public.plain"});
  EXPECT_EQ(teal_->terminate(), 0);
  Sql altering = blue_server().connect(kOwnerRole, kShopDatabase);
  altering.exec("BEGIN; TRUNCATE plain");
  const auto begun = std::chrono::steady_clock::now();
  run_streaming();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(4));
  EXPECT_EQ(teal_->terminate(), 0);
  altering.exec("TRUNCATE a_1");
  run().wait_for_log("start held up by a lock, trying again", seconds(30));
  altering.exec("COMMIT");
  teal_->wait_for_log("link streaming", seconds(30));
  expect_arrives();
}

}  // namespace
}  // namespace teal::test
