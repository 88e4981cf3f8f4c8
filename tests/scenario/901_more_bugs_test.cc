// More ways in which teal once lost, changed or stopped: shapes of tables, and commands on the wrong server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <csignal>
#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class MoreBugs : public SidecarFixture {
 protected:
  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables, const std::string& more = "") {
    create_tables_both(tables_sql);
    create_publication(tables);
    configure("copy: { schema: false, jobs: 1 }\n" + more);
  }
};

TEST_F(MoreBugs, UnloggedTableOnGreenIsRefused) {
  create_tables_both("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE s (id int PRIMARY KEY)");
  green_owner().exec("ALTER TABLE public.r SET UNLOGGED");
  create_publication({"public.r", "public.s"});
  configure("copy: { schema: false }\n");
  EXPECT_EQ(command({"check"}).exit_code, 1);
  green_owner().exec("ALTER TABLE public.r SET LOGGED");
  TealProcess& teal = run_streaming();
  green_owner().exec("ALTER TABLE public.s SET UNLOGGED");
  blue_owner().exec("INSERT INTO s VALUES (1)");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("unlogged"));
}

TEST_F(MoreBugs, TypeThatGetsWiderOnBlueStopsTheLinkUntilGreenFollows) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, f float4, n numeric(10,2), v varchar(5))", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 0.5, 1.25, 'abc')");
  TealProcess& teal = run_streaming();
  blue_owner().exec(
      "ALTER TABLE t ALTER f TYPE float8, ALTER n TYPE numeric(14,6); "
      "INSERT INTO t VALUES (2, 0.123456789012345, 1.234567, 'x')");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("column \"f\" has another type"));
  green_owner().exec("ALTER TABLE public.t ALTER f TYPE float8, ALTER n TYPE numeric(14,6), ALTER v TYPE varchar(9)");
  TealProcess& again = run_streaming();  // green may be ahead: its varchar is longer already
  wait_caught_up();
  expect_equal("public.t");
  blue_owner().exec("ALTER TABLE t ALTER v TYPE varchar(9); UPDATE t SET v = 'longer' WHERE id = 2");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_TRUE(again.running());
}

TEST_F(MoreBugs, ColumnThatIsNoLongerGeneratedOnBlueStopsTheLink) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED)", {"public.t"});
  blue_owner().exec("INSERT INTO t (id, v) VALUES (1, 1)");
  TealProcess& teal = run_streaming();
  blue_owner().exec("ALTER TABLE t ALTER g DROP EXPRESSION; UPDATE t SET g = 999");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("generated on the target"));
  green_owner().exec("ALTER TABLE public.t ALTER g DROP EXPRESSION");
  run_streaming();
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(MoreBugs, TablesThatSwapTheirNamesForAMomentStopTheLink) {
  prepare("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)", {"public.a", "public.b"});
  TealProcess& teal = run_streaming();
  const std::string swap = "ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b";
  blue_owner().exec("BEGIN; " + swap + "; COMMIT");
  blue_owner().exec("INSERT INTO a VALUES (1)");
  blue_owner().exec("BEGIN; " + swap + "; COMMIT");
  EXPECT_NE(teal.wait_exit(seconds(30)), 0) << teal.err();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.a"), 0);
}

TEST_F(MoreBugs, FinishWithAnotherBlueTakesNothingFromTheFirst) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  EXPECT_EQ(run_streaming().terminate(), 0);
  PgServer other;
  prepare_shop(other);
  other.psql("CREATE TABLE public.r (id int PRIMARY KEY); CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE r",
             kOwnerRole, kShopDatabase);
  const std::string config = write_config({.blue = other.uri(kTealRole, kShopDatabase),
                                           .more = "direction: forward\ncopy: { schema: false }\n"})
                                 .string();
  const TealResult second = run_teal({"--config", config, "run"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr("another cluster"));
  EXPECT_THAT(second.err, testing::Not(HasSubstr("empty")));
  EXPECT_EQ(other.connect("postgres", kShopDatabase).number("SELECT count(*) FROM pg_namespace WHERE nspname = 'teal'"),
            0);
  EXPECT_EQ(run_teal({"--config", config, "finish", "--yes"}).exit_code, 1);
  blue_owner().exec("INSERT INTO r VALUES (1)");
  run_streaming();
  wait_caught_up();
  expect_equal("public.r");
}

TEST_F(MoreBugs, UntilSyncedThatIsStoppedEarlySaysSo) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  blue_owner().exec("INSERT INTO r VALUES (1)");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.r IN SHARE MODE");
  TealProcess& teal = run({"--until-synced"});
  teal.wait_for_log("copy started", seconds(30));
  EXPECT_EQ(teal.terminate(), 3) << teal.err();
  blocker.exec("ROLLBACK");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.r");
}

TEST_F(MoreBugs, J1TruncateOfTablesThatWereCopiedAtDifferentTimes) {
  prepare(
      "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); "
      "CREATE TABLE large (id int PRIMARY KEY, t text)",
      {"public.a", "public.b", "public.large"});
  blue_owner().exec("INSERT INTO a SELECT generate_series(1, 1000); INSERT INTO b VALUES (1)");
  blue_owner().exec("INSERT INTO large SELECT i, repeat('x', 500) FROM generate_series(1, 50000) i");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.large IN SHARE MODE");
  configure("copy: { schema: false, jobs: 2 }\n");
  TealProcess& teal = run();
  teal.wait_for_log("table copied link=blue_to_green table=public.b", seconds(30));
  blue_owner().exec("BEGIN; TRUNCATE a, b; INSERT INTO a VALUES (5), (6); INSERT INTO b VALUES (5); COMMIT");
  // As if b had been copied after that.
  green().exec("DELETE FROM public.b");
  green().exec("SET session_replication_role = replica; INSERT INTO public.b VALUES (5)");
  green().exec("UPDATE teal.table_state SET watermark = '" + blue().value("SELECT pg_current_wal_insert_lsn()") +
               "' WHERE table_name = 'b'");
  blocker.exec("ROLLBACK");
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  for (const char* table : {"public.a", "public.b", "public.large"}) expect_equal(table);
}

TEST_F(MoreBugs, TableThatIsMadeOnBlueDuringTheCopyDoesNotHinderTheKeys) {
  blue_owner().exec("CREATE TABLE public.large (id int PRIMARY KEY, t text)");
  blue_owner().exec("INSERT INTO public.large SELECT i, repeat('x', 500) FROM generate_series(1, 50000) i");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.large"});
  configure("tables: { include: [public.*] }\n");
  TealProcess& killed = run({}, {.environment = {"TEAL_FAILPOINT=copy_rows_sent"}});
  EXPECT_EQ(killed.wait_exit(seconds(60)), 128 + SIGKILL) << killed.err();
  blue_owner().exec("CREATE TABLE public.later (id int PRIMARY KEY); CREATE INDEX later_i ON public.later (id)");
  configure("tables: { include: [public.large] }\n");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.large");
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_index WHERE indrelid = 'public.large'::regclass"), 1);
}

TEST_F(MoreBugs, E13RegclassOfNothingIsCarried) {
  prepare("CREATE TABLE r (id int PRIMARY KEY, c regclass, n name, x xml, h \"char\")", {"public.r"});
  run_streaming();
  blue_owner().exec(
      "INSERT INTO r VALUES (1, 0, 'N\"a', '<a b=\"1\"/>', 'x'), (2, 'pg_class', NULL, 'text only', '\\')");
  wait_caught_up();
  expect_equal("public.r");
}

TEST_F(MoreBugs, CheckOfOneDatabaseAsBothSidesAdvisesNoTruncate) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  blue_owner().exec("INSERT INTO r VALUES (1)");
  const std::string config = write_config({.green = blue_server().uri(kTealRole, kShopDatabase)}).string();
  const TealResult check = run_teal({"--config", config, "check"});
  EXPECT_EQ(check.exit_code, 2);
  EXPECT_THAT(check.out, testing::Not(HasSubstr("TRUNCATE")));
}

TEST_F(MoreBugs, CheckJudgesAnExistingLink) {
  prepare("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE s (id int PRIMARY KEY)", {"public.r", "public.s"});
  EXPECT_EQ(run_streaming().terminate(), 0);
  EXPECT_EQ(command({"check"}).exit_code, 0);
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.s");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.s");
  TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("missing on the target: public.s"));
  blue().exec("SELECT pg_drop_replication_slot('teal_shop_blue_to_green')");
  check = command({"check"});
  EXPECT_THAT(check.out, HasSubstr("the slot teal_shop_blue_to_green is gone"));
}

}  // namespace
}  // namespace teal::test
