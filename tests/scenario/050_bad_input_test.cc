// What is wrong before anything runs: one clear message with the mend, the right exit code, and nothing left behind.
// Each mistake is met by `teal check` and by `teal run`.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

/// How teal has to answer a mistake.
struct Answer {
  int exit_code = 1;
  std::vector<std::string> says;  ///< parts of the one finding or message, the mend among them
};

class BadInput : public SidecarFixture {
 protected:
  /// Table `item` on both sides; the owner made its publication.
  void prepare(const std::string& more = "") {
    create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
    blue_owner().exec("INSERT INTO item (name) VALUES ('one')");
    create_publication({"public.item"});
    configure("copy: { schema: false }\n" + more);
  }

  /// teal's role may do what the tables' owner may, making publications included.
  void make_teal_an_owner() {
    for (PgServer* server : {&blue_server(), &green_server()}) server->psql("GRANT shop_owner TO teal");
  }

  static void expect_words(const TealResult& result, const std::string& text, const Answer& answer) {
    EXPECT_EQ(result.exit_code, answer.exit_code) << result.out << result.err;
    for (const std::string& part : answer.says) EXPECT_THAT(text, HasSubstr(part));
  }

  /// `check` reports exactly one finding, `run` ends with the same.
  void expect_one_finding(const Answer& answer) {
    const TealResult checked = command({"check"});
    expect_words(checked, checked.out, answer);
    EXPECT_THAT(checked.out, HasSubstr("not ready: 1 thing is missing"));
    EXPECT_EQ(checked.err, "");
    expect_run_refuses(answer);
  }

  /// For what is wrong before servers are asked: both commands end with one message.
  void expect_refused(const Answer& answer) {
    const TealResult checked = command({"check"});
    expect_words(checked, checked.err, answer);
    EXPECT_EQ(checked.out, "");
    expect_run_refuses(answer);
  }

  void expect_run_refuses(const Answer& answer) {
    const TealResult result = command({"run"});
    expect_words(result, result.err, answer);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("teal: "));
  }
};

TEST_F(BadInput, StoppedServerIsUnreachable) {
  prepare();
  green_server().stop();
  expect_one_finding({4, {"green", "Connection refused", "is the server running"}});
  expect_no_trace(blue_server(), 1);
  green_server().start();
  blue_server().stop();
  expect_one_finding({4, {"blue", "Connection refused", "is the server running"}});
  expect_no_trace(green_server());
}

TEST_F(BadInput, UnknownDatabaseIsRefusedWithItsName) {
  prepare();
  config_ = write_config({.blue = blue_server().uri(kTealRole, "shopp")}).string();
  expect_one_finding({4, {"blue", "\"shopp\" does not exist", "check the database"}});
  config_ = write_config({.green = green_server().uri("tael", kShopDatabase)}).string();
  expect_one_finding({4, {"green", "\"tael\" does not exist", "and the user"}});
  expect_no_trace(1);
}

TEST_F(BadInput, SameDatabaseTwiceIsAMistakeOfUsage) {
  prepare();
  config_ = write_config({.green = blue_server().uri(kTealRole, kShopDatabase)}).string();
  const TealResult result = command({"check"});
  EXPECT_EQ(result.exit_code, 2) << result.out;
  EXPECT_THAT(result.out, HasSubstr("same database"));
  EXPECT_EQ(command({"run"}).exit_code, 2);
  expect_no_trace(blue_server(), 1);
}

TEST_F(BadInput, WalLevelThatIsNotLogicalIsReportedWithTheSetting) {
  prepare();
  blue_server().configure({"wal_level=replica"});
  blue_server().restart();
  expect_one_finding({1, {"blue", "wal_level is replica", "ALTER SYSTEM SET wal_level = 'logical'", "restart"}});
  expect_no_trace(1);
}

TEST_F(BadInput, NoFreeSlotIsReportedWithTheNumberNeeded) {
  prepare();
  blue_server().configure({"max_replication_slots=2"});
  blue_server().restart();
  blue().exec("SELECT pg_create_physical_replication_slot('a'), pg_create_physical_replication_slot('b')");
  expect_one_finding({1, {"blue", "no free replication slot: 2 of 2", "max_replication_slots = 4"}});
  expect_no_trace(1);
}

TEST_F(BadInput, NoFreeWalsenderIsReportedWithTheNumberNeeded) {
  prepare();
  blue_server().configure({"max_wal_senders=0"});
  blue_server().restart();
  expect_one_finding({1, {"blue", "no free walsender: 0 of 0", "max_wal_senders = 2"}});
  expect_no_trace(1);
}

TEST_F(BadInput, OldDumpProgramIsReportedWithItsPathAndVersion) {
  create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
  green_owner().exec("DROP TABLE item");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.item"});
  const std::filesystem::path programs = make_scratch_directory("old_programs");
  for (const char* name : {"pg_dump", "pg_restore"}) {
    write_file(programs / name, "#!/bin/sh\necho '" + std::string(name) + " (PostgreSQL) 12.3'\n");
    std::filesystem::permissions(programs / name, std::filesystem::perms(0755));
  }
  config_ = write_yaml("name: shop\nblue: " + blue_server().uri(kTealRole, kShopDatabase) +
                       "\ngreen: " + green_server().uri(kTealRole, kShopDatabase) +
                       "\ndirection: forward\npg_bindir: " + programs.string() + "\n")
                .string();
  for (const char* name_of_command : {"check", "run"}) {
    const TealResult result = command({name_of_command});
    EXPECT_EQ(result.exit_code, 1);
    for (const char* name : {"pg_dump", "pg_restore"}) {
      EXPECT_THAT(result.out + result.err, HasSubstr((programs / name).string() + " is version 12.3"));
    }
    EXPECT_THAT(result.out + result.err, HasSubstr("set pg_bindir to the programs of PostgreSQL 15"));
  }
  expect_no_trace(1);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_class WHERE relname = 'item'"), 0);
}

TEST_F(BadInput, MissingDumpProgramIsReported) {
  create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
  green_owner().exec("DROP TABLE item");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.item"});
  config_ = write_yaml("name: shop\nblue: " + blue_server().uri(kTealRole, kShopDatabase) + "\ngreen: " +
                       green_server().uri(kTealRole, kShopDatabase) + "\ndirection: forward\npg_bindir: /nowhere\n")
                .string();
  const TealResult result = command({"run"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nowhere/pg_dump is not there"));
  EXPECT_THAT(result.err, HasSubstr("install the PostgreSQL 15 client programs"));
  expect_no_trace(1);
}

TEST_F(BadInput, ConfigurationMistakesNameFileLineAndKey) {
  prepare("tabels: { include: [public.item] }\napply: { batch_row_max: 3 }\n");
  const std::string place = config_ + ":";
  expect_refused({2, {place + "7: tabels: unknown key", "tables", place + "8: apply.batch_row_max: unknown key"}});
  configure("copy: { jobs: many }\n");
  expect_refused({2, {config_ + ":6: copy.jobs: \"many\" is not a whole number"}});
  config_ = "/nowhere/teal.yml";
  expect_refused({2, {"/nowhere/teal.yml: there is no such file"}});
  expect_no_trace(1);
}

TEST_F(BadInput, PatternThatMatchesNothingIsNamedWithItsLine) {
  prepare("tables:\n  include:\n    - public.item\n    - public.itme\n");
  expect_refused({2, {config_ + ":10: tables.include: \"public.itme\" matches no table", "public.item"}});
  configure("copy: { schema: false }\ntables: { exclude: [\"old.*\"] }\n");
  expect_refused({2, {config_ + ":7: tables.exclude: \"old.*\" matches no table"}});
  expect_no_trace(1);
}

// A second `run` of the same name.
TEST_F(BadInput, M9SecondRunNamesTheHolderAndLeavesTheFirstAlone) {
  prepare();
  TealProcess& first = run_streaming();
  const std::string reader = slot_reader();
  const std::string holder = green().value(
      "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND "
      "a.application_name = 'teal/shop/run'");
  const TealResult second = command({"run"});
  EXPECT_EQ(second.exit_code, 1) << second.err;
  EXPECT_THAT(second.err, HasSubstr("another teal runs the migration \"shop\""));
  EXPECT_THAT(second.err, HasSubstr("session " + holder + " (teal/shop/run)"));
  EXPECT_THAT(second.err, HasSubstr("stop that one first"));
  EXPECT_EQ(slot_reader(), reader);
  blue_owner().exec("INSERT INTO item (name) VALUES ('two')");
  wait_for_count("item", 2);
  EXPECT_THAT(first.err(), Not(HasSubstr("interrupted")));
  EXPECT_EQ(first.terminate(), 0);
}

}  // namespace
}  // namespace teal::test
