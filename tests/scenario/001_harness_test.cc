// Can the other scenarios be believed? What they stand on must itself find what is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "tests/support/compare.h"
#include "tests/support/pg_server.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/teal_process.h"
#include "tests/support/two_node_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

bool process_exists(pid_t pid) { return ::kill(pid, 0) == 0; }

TEST(HarnessServer, IsGoneAfterItsLifeWithItsFiles) {
  pid_t pid = -1;
  std::filesystem::path directory;
  {
    const PgServer server;
    pid = server.pid();
    directory = server.directory();
    EXPECT_TRUE(process_exists(pid));
    EXPECT_EQ(server.connect().value("SHOW wal_level"), "logical");
  }
  EXPECT_FALSE(process_exists(pid));
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST(HarnessServer, TwoAtATimeDifferInPortAndSystemIdentifier) {
  const PgServer one;
  const PgServer other;
  const std::string query = "SELECT system_identifier FROM pg_control_system()";
  EXPECT_NE(one.port(), other.port());
  EXPECT_NE(one.connect().value(query), other.connect().value(query));
}

TEST(HarnessServer, KeepsRowsAndPortOverStopAndStart) {
  PgServer server;
  const int port = server.port();
  server.psql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)");
  for (const StopMode mode : {StopMode::kFast, StopMode::kImmediate}) {
    server.stop(mode);
    EXPECT_FALSE(server.running());
    EXPECT_THROW(static_cast<void>(server.connect()), SqlError);
    server.start();
    EXPECT_EQ(server.port(), port);
    EXPECT_EQ(server.connect().value("SELECT id FROM kept"), "7");
  }
}

TEST(HarnessServer, TakesSettings) {
  PgServerOptions options;
  options.settings = {"wal_level=replica", "search_path=\"it's\", public"};
  const PgServer server(options);
  EXPECT_EQ(server.connect().value("SHOW wal_level"), "replica");
  EXPECT_EQ(server.connect().value("SHOW search_path"), "\"it's\", public");
}

TEST(HarnessServer, ReportsWhyItDoesNotStart) {
  PgServerOptions options;
  options.settings = {"no_such_setting=1"};
  try {
    const PgServer server(options);
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no_such_setting"));
  }
}

TEST(HarnessServer, AsksForPasswordsWhenToldTo) {
  PgServerOptions options;
  options.passwords = true;
  const PgServer server(options);
  server.psql("CREATE ROLE ann LOGIN PASSWORD 'right one'");
  const std::string conninfo = server.conninfo("ann", "postgres");
  EXPECT_EQ(Sql(conninfo + " password='right one'").value("SELECT current_user"), "ann");
  EXPECT_THROW(Sql(conninfo + " password=wrong"), SqlError);
}

TEST(HarnessWait, ThrowsAtItsDeadlineAndNamesTheCondition) {
  try {
    wait_until("the moon is full", milliseconds(20), [] { return false; });
    FAIL() << "it did not throw";
  } catch (const WaitTimeout& error) {
    EXPECT_THAT(error.what(), HasSubstr("the moon is full"));
  }
}

class HarnessTwoNodes : public TwoNodeFixture {
 protected:
  void make_rows() {
    create_tables_both("CREATE TABLE item (id int, name text)");
    for (Sql* owner : {&blue_owner(), &green_owner()}) {
      owner->exec("INSERT INTO item VALUES (1, 'one'), (2, NULL), (3, ''), (4, 'four'), (4, 'four')");
    }
  }
  TableDifference difference() { return compare_table(blue(), green(), "public.item"); }
};

TEST_F(HarnessTwoNodes, ComparisonFindsNoDifferenceWhereThereIsNone) {
  make_rows();
  expect_equal("public.item");
  expect_all_equal();
}

TEST_F(HarnessTwoNodes, ComparisonFindsAMissingRow) {
  make_rows();
  green_owner().exec("DELETE FROM item WHERE id = 1");
  EXPECT_THAT(difference().only_on_blue, ElementsAre("(1,one)"));
  EXPECT_THAT(difference().only_on_green, IsEmpty());
  EXPECT_FALSE(all_tables_equal(blue(), green()));
}

TEST_F(HarnessTwoNodes, ComparisonFindsAnExtraRow) {
  make_rows();
  green_owner().exec("INSERT INTO item VALUES (9, 'nine')");
  EXPECT_THAT(difference().only_on_blue, IsEmpty());
  EXPECT_THAT(difference().only_on_green, ElementsAre("(9,nine)"));
}

TEST_F(HarnessTwoNodes, ComparisonFindsAChangedRow) {
  make_rows();
  green_owner().exec("UPDATE item SET name = 'One' WHERE id = 1");
  EXPECT_THAT(difference().only_on_blue, ElementsAre("(1,one)"));
  EXPECT_THAT(difference().only_on_green, ElementsAre("(1,One)"));
}

TEST_F(HarnessTwoNodes, ComparisonCountsDuplicates) {
  make_rows();
  green_owner().exec("INSERT INTO item VALUES (4, 'four')");
  EXPECT_THAT(difference().only_on_green, ElementsAre("(4,four)"));
  green_owner().exec("DELETE FROM item WHERE id = 4; INSERT INTO item VALUES (4, 'four')");
  EXPECT_THAT(difference().only_on_blue, ElementsAre("(4,four)"));
}

TEST_F(HarnessTwoNodes, ComparisonTellsNullFromEmpty) {
  make_rows();
  green_owner().exec("UPDATE item SET name = '' WHERE id = 2");
  EXPECT_THAT(difference().only_on_blue, ElementsAre("(2,)"));
  EXPECT_THAT(difference().only_on_green, ElementsAre("(2,\"\")"));
}

TEST_F(HarnessTwoNodes, ComparisonGoesByColumnNameAndSeesAMissingColumn) {
  blue_owner().exec(
      "CREATE TABLE item (a int, gone int, b text); ALTER TABLE item DROP gone;"
      "INSERT INTO item VALUES (1, E'back\\\\slash\\ttab')");
  green_owner().exec("CREATE TABLE item (b text, a int); INSERT INTO item VALUES (E'back\\\\slash\\ttab', 1)");
  expect_equal("public.item");
  green_owner().exec("ALTER TABLE item ADD c int");
  EXPECT_THAT(difference().columns, HasSubstr("\"c\""));
  EXPECT_FALSE(tables_equal(blue(), green(), "public.item"));
}

TEST_F(HarnessTwoNodes, ComparisonOfNothingIsNoSuccess) { EXPECT_FALSE(all_tables_equal(blue(), green())); }

TEST_F(HarnessTwoNodes, ComparisonSeesATableOnOneSideOnly) {
  make_rows();
  blue_owner().exec("CREATE TABLE extra (id int)");
  EXPECT_FALSE(all_tables_equal(blue(), green()));
}

TEST_F(HarnessTwoNodes, RolesAreNoSuperusersAndSessionsSurviveARestart) {
  for (Sql* side : {&blue(), &green()}) {
    EXPECT_FALSE(side->truth("SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN ('teal', 'shop_owner')"));
    EXPECT_FALSE(side->truth("SELECT pg_has_role('teal', 'shop_owner', 'MEMBER')"));
  }
  green_server().restart();
  EXPECT_EQ(green().value("SELECT current_user"), "postgres");
}

/// The rights that docs/roles.sql gives, each tried.
TEST_F(HarnessTwoNodes, RolesMayDoWhatTealDoes) {
  create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
  create_publication({"public.item"});
  Sql source = blue_teal();
  source.exec("SELECT * FROM item; SELECT last_value FROM item_id_seq");
  source.exec("CREATE SCHEMA teal; CREATE TABLE teal.marker (id int PRIMARY KEY)");
  source.exec("CREATE PUBLICATION teal_shop_blue_to_green_ctl FOR TABLE teal.marker");
  source.exec("SELECT pg_create_logical_replication_slot('teal_shop_blue_to_green', 'pgoutput')");
  source.exec("SELECT pg_logical_emit_message(true, 'teal', '')");
  source.exec("SELECT pg_drop_replication_slot('teal_shop_blue_to_green')");

  Sql target = green_teal();
  target.exec("SET session_replication_role = replica");
  target.exec("SELECT pg_replication_origin_create('teal_shop_blue_to_green')");
  target.exec("SELECT pg_replication_origin_session_setup('teal_shop_blue_to_green')");
  target.exec(
      "BEGIN; INSERT INTO item (name) VALUES ('x'); UPDATE item SET name = 'y'; DELETE FROM item;"
      "SELECT setval('item_id_seq', 40); TRUNCATE item;"
      "SELECT pg_replication_origin_xact_setup('0/10', now()); COMMIT");
  EXPECT_EQ(target.value("SELECT pg_replication_origin_session_progress(true)"), "0/10");
  EXPECT_EQ(target.value("SELECT remote_lsn FROM pg_replication_origin_status"), "0/10");
  target.exec(
      "SELECT pg_replication_origin_xact_reset(); SELECT pg_replication_origin_session_is_setup();"
      "SELECT pg_replication_origin_oid('teal_shop_blue_to_green');"
      "SELECT pg_replication_origin_session_reset();"
      "SELECT pg_replication_origin_advance('teal_shop_blue_to_green', '0/20');"
      "SELECT pg_replication_origin_progress('teal_shop_blue_to_green', true);"
      "SELECT pg_replication_origin_drop('teal_shop_blue_to_green')");
}

TEST_F(HarnessTwoNodes, RolesMayDoNoMore) {
  create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY)");
  const std::string denied = "42501";
  Sql teal = green_teal();
  EXPECT_EQ(teal.sqlstate_of("CREATE TABLE public.mine (id int)"), denied);
  EXPECT_EQ(teal.sqlstate_of("CREATE PUBLICATION p FOR TABLE item"), denied);
  EXPECT_EQ(teal.sqlstate_of("ALTER TABLE item ADD c int"), denied);
  EXPECT_EQ(teal.sqlstate_of("SELECT rolpassword FROM pg_authid"), denied);
  EXPECT_EQ(teal.sqlstate_of("SET ROLE shop_owner"), denied);
}

TEST_F(HarnessTwoNodes, OneWayTargetGetsNoReplicationAndFurtherSchemasAreCovered) {
  green().exec("ALTER ROLE teal NOREPLICATION");
  run_roles_sql(green_server(), {"side=target", "make_tables=on"});
  EXPECT_FALSE(green().truth("SELECT rolreplication FROM pg_roles WHERE rolname = 'teal'"));
  EXPECT_EQ(green_teal().sqlstate_of("CREATE TABLE public.mine (id int)"), "");
  create_tables_both("CREATE SCHEMA \"Odd one\"; CREATE TABLE \"Odd one\".before (id int)");
  grant_schemas("public,Odd one");
  create_tables_both("CREATE TABLE \"Odd one\".after (id int)");
  green_teal().exec("INSERT INTO \"Odd one\".before VALUES (1); DELETE FROM \"Odd one\".after");
}

TEST_F(HarnessTwoNodes, PgbenchRunsAndMakesTheTablesDiffer) {
  create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase);
  create_pgbench_tables(green_server(), kOwnerRole, kShopDatabase, {.scale = 1, .rows = false});
  EXPECT_EQ(green().number("SELECT count(*) FROM pgbench_accounts"), 0);
  Pgbench load(blue_server(), kOwnerRole, kShopDatabase, {.clients = 2, .transactions = 50});
  const PgbenchResult result = load.wait(seconds(60));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.transactions, 100);
  EXPECT_EQ(result.failed, 0);
  EXPECT_GT(result.tps, 0);
  EXPECT_EQ(blue().number("SELECT count(DISTINCT hid) FROM pgbench_history"), 100);
  for (const std::string& table : kPgbenchTables) EXPECT_FALSE(tables_equal(blue(), green(), table));
}

TEST_F(HarnessTwoNodes, PgbenchEndsEarly) {
  create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase);
  Pgbench load(blue_server(), kOwnerRole, kShopDatabase, {.clients = 2, .seconds = 600});
  wait_until("pgbench has written", seconds(30),
             [this] { return blue().number("SELECT count(*) FROM pgbench_history") > 0; });
  load.stop();
  EXPECT_FALSE(load.running());
}

TEST(HarnessProcess, CapturesOutputAndExitCode) {
  const TealResult version = run_teal({"version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, HasSubstr("teal"));
  const TealResult wrong = run_teal({"version", "--no-such-flag"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("no-such-flag"));
}

TEST(HarnessProcess, SeesSignalsDeadlinesAndMemory) {
  SpawnOptions options;
  options.argv = {"/bin/sleep", "600"};
  ChildProcess child(options);
  EXPECT_EQ(child.wait_exit(milliseconds(20)), std::nullopt);
  EXPECT_GT(child.peak_rss_kib(), 0);
  child.send(SIGKILL);
  EXPECT_EQ(child.wait_exit(seconds(10)), 128 + SIGKILL);
}

TEST(HarnessProcess, ReportsAProgramThatIsNotThere) {
  SpawnOptions options;
  options.argv = {"/nowhere/at/all"};
  EXPECT_THROW(ChildProcess child(options), std::runtime_error);
}

}  // namespace
}  // namespace teal::test
