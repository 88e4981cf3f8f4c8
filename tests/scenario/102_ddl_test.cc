// DDL and TRUNCATE in mid-stream: the link goes on with the schema as it was at each change, or stops and says what to
// do, and goes on at the same transaction afterwards (TRAPS H3, H5, H6, H7, H9, J1, J8, M3).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Ddl : public SidecarFixture {
 protected:
  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables) {
    create_tables_both(tables_sql);
    create_publication(tables);
    configure("copy: { schema: false }\n");
  }
  /// The link stops at the next change with this in its last words; `mend` on green lets it go on without a loss.
  void expect_stop(TealProcess& teal, const std::string& text, const std::string& mend) {
    EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
    EXPECT_THAT(teal.err(), HasSubstr(text));
    blue_owner().exec("INSERT INTO public.other VALUES (nextval('public.numbers'))");
    green_owner().exec(mend);
    run_streaming();
    wait_caught_up();
  }
};

constexpr const char* kOther = "CREATE TABLE other (id int PRIMARY KEY); CREATE SEQUENCE numbers; ";

TEST_F(Ddl, H3ColumnThatIsAddedOnBlueFirst) {
  prepare(std::string(kOther) + "CREATE TABLE t (id int PRIMARY KEY, v int)", {"public.t", "public.other"});
  TealProcess& teal = run_streaming();
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (1, 1); ALTER TABLE t ADD COLUMN n int; INSERT INTO t VALUES (2, 2, 2); COMMIT");
  blue_owner().exec("INSERT INTO t VALUES (3, 3, 3)");
  expect_stop(teal, "the source has column \"n\", the target does not", "ALTER TABLE public.t ADD COLUMN n int");
  expect_equal("public.t");
  expect_equal("public.other");
}

TEST_F(Ddl, ColumnThatIsRenamedOnBlueFirst) {
  prepare(std::string(kOther) + "CREATE TABLE t (id int PRIMARY KEY, v int)", {"public.t", "public.other"});
  TealProcess& teal = run_streaming();
  // Both in one batch: the first fits green as it is, the second only green as it will be.
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.other");
  blue_owner().exec("INSERT INTO other VALUES (0)");
  blue_owner().exec("INSERT INTO t VALUES (1, 1)");
  blue_owner().exec("ALTER TABLE t RENAME v TO w");
  blue_owner().exec("UPDATE t SET w = 2");
  blocker.exec("ROLLBACK");
  expect_stop(teal, "the source has column \"w\", the target does not", "ALTER TABLE public.t RENAME v TO w");
  expect_equal("public.t");
  expect_equal("public.other");
}

TEST_F(Ddl, ColumnThatIsDroppedOnBlueFirstStaysOnGreen) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v int, gone int)", {"public.t"});
  run_streaming();
  blue_owner().exec(
      "INSERT INTO t VALUES (1, 1, 1); ALTER TABLE t DROP COLUMN gone; UPDATE t SET v = 2; INSERT INTO t VALUES (2, "
      "2)");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(t::text, ' ' ORDER BY id) FROM public.t"), "(1,2,1) (2,2,)");
  green_owner().exec("ALTER TABLE public.t DROP COLUMN gone");
  blue_owner().exec("UPDATE t SET v = 3");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(Ddl, H5TableThatIsMadeAnewUnderItsNameStopsTheLink) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE s (id int PRIMARY KEY)", {"public.t", "public.s"});
  TealProcess& teal = run_streaming();
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (1, 1); DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v int); "
      "INSERT INTO t VALUES (2, 2); ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE t; COMMIT");
  blue_owner().exec("INSERT INTO t VALUES (3, 3)");
  EXPECT_NE(teal.wait_exit(seconds(30)), 0) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("public.t"));
  EXPECT_EQ(run().wait_exit(seconds(30)), 1) << teal_->err();
  // What the message says: empty it, forget its state.
  green_owner().exec("TRUNCATE public.t");
  green().exec("DELETE FROM teal.table_state WHERE table_name = 't'");
  run_streaming();
  wait_joined("t");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(Ddl, H6TablesThatAreNotPublishedDoNotDisturb) {
  prepare("CREATE TABLE t (id int PRIMARY KEY)", {"public.t"});
  TealProcess& teal = run_streaming();
  blue_owner().exec(
      "CREATE TABLE made AS SELECT i FROM generate_series(1, 1000) i; CREATE MATERIALIZED VIEW m AS SELECT * FROM "
      "made; "
      "REFRESH MATERIALIZED VIEW m; CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE TEMPORARY TABLE x (id int); "
      "INSERT INTO u VALUES (1); UPDATE u SET id = 2; INSERT INTO x VALUES (1); UPDATE x SET id = 2; DROP TABLE made "
      "CASCADE; "
      "INSERT INTO t VALUES (1)");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_TRUE(teal.running());
}

TEST_F(Ddl, J8WhatIsNotReplicatedIsNamedByCheck) {
  prepare("CREATE TABLE t (id int PRIMARY KEY)", {"public.t"});
  blue_owner().exec(
      "CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE MATERIALIZED VIEW m AS SELECT 1 AS n; "
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)");
  blue().exec(
      "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; "
      "CREATE FOREIGN TABLE public.f (line text) SERVER files OPTIONS (filename '/dev/null')");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("public.u is an unlogged table: not replicated"));
  EXPECT_THAT(check.out, HasSubstr("public.m is a materialized view: not replicated"));
  EXPECT_THAT(check.out, HasSubstr("public.f is a foreign table: not replicated"));
  EXPECT_THAT(check.out, HasSubstr("public.parent"));
  EXPECT_THAT(check.out, HasSubstr("public.child"));
}

TEST_F(Ddl, H9TableThatIsMissingOnGreenStopsTheLinkUntilItIsThere) {
  prepare(std::string(kOther) + "CREATE TABLE t (id int PRIMARY KEY, v int)", {"public.t", "public.other"});
  TealProcess& teal = run_streaming();
  green_owner().exec("ALTER TABLE public.t RENAME TO elsewhere");
  blue_owner().exec("INSERT INTO t VALUES (1, 1)");
  expect_stop(teal, "table public.t: does not exist on the target", "ALTER TABLE public.elsewhere RENAME TO t");
  expect_equal("public.t");
  expect_equal("public.other");
}

TEST_F(Ddl, J1TruncateOfSeveralTablesCascadedAndRestarted) {
  prepare(
      "CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); "
      "CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b); CREATE TABLE alone (id int PRIMARY KEY)",
      {"public.a", "public.b", "public.c", "public.alone"});
  run_streaming();
  blue_owner().exec(
      "INSERT INTO a DEFAULT VALUES; INSERT INTO b VALUES (1, 1); INSERT INTO c VALUES (1, 1); INSERT INTO alone "
      "VALUES (1)");
  blue_owner().exec(
      "BEGIN; INSERT INTO alone VALUES (2); TRUNCATE a RESTART IDENTITY CASCADE; INSERT INTO a DEFAULT VALUES; COMMIT");
  blue_owner().exec(
      "BEGIN; TRUNCATE alone, b, c; INSERT INTO alone VALUES (3); TRUNCATE alone; INSERT INTO alone VALUES (4); "
      "COMMIT");
  blue_owner().exec(
      "BEGIN; TRUNCATE alone; SAVEPOINT s; INSERT INTO alone VALUES (5); ROLLBACK TO s; INSERT INTO alone VALUES (6); "
      "COMMIT");
  blue_owner().exec("BEGIN; TRUNCATE alone; ROLLBACK");
  wait_caught_up();
  for (const char* table : {"public.a", "public.b", "public.c", "public.alone"}) expect_equal(table);
}

TEST_F(Ddl, J3TruncateThatGreenRefusesStopsTheLinkUntilItCan) {
  prepare(std::string(kOther) + "CREATE TABLE t (id int PRIMARY KEY)", {"public.t", "public.other"});
  green_owner().exec("CREATE TABLE public.own (t int REFERENCES public.t)");
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1)");
  blue_owner().exec("TRUNCATE t; INSERT INTO t VALUES (2)");
  expect_stop(teal, ": cannot truncate a table referenced in a foreign key constraint", "DROP TABLE public.own");
  EXPECT_EQ(green().value("SELECT operation || ' ' || table_name FROM teal.quarantine"), "TRUNCATE public.t");
  expect_equal("public.t");
  expect_equal("public.other");
}

TEST_F(Ddl, M3OneTransactionOverManyTables) {
  std::string sql;
  std::vector<std::string> tables;
  for (int i = 0; i < 1500; ++i) {
    tables.push_back("public.t" + std::to_string(i));
    sql += "CREATE TABLE " + tables.back() + " (id int PRIMARY KEY);";
  }
  for (PgServer* server : {&blue_server(), &green_server()}) {
    server->configure({"max_locks_per_transaction=256"});
    server->restart();
  }
  prepare(sql, tables);
  TealProcess& teal = run_streaming();
  std::string rows = "BEGIN;";
  for (const std::string& table : tables) rows += "INSERT INTO " + table + " VALUES (1), (2);";
  blue_owner().exec(rows + "COMMIT");
  std::string more = "BEGIN;";
  for (const std::string& table : tables)
    more += "UPDATE " + table + " SET id = 3 WHERE id = 1; DELETE FROM " + table + " WHERE id = 2;";
  blue_owner().exec(more + "COMMIT");
  wait_caught_up();
  const std::string sum =
      "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^t[0-9]+$' AND "
      "(xpath('//c/text()', query_to_xml('SELECT count(*) AS c FROM public.' || relname || ' WHERE id = 3', "
      "true, true, '')))[1]::text = '1'";
  EXPECT_EQ(green().number(sum), 1500);
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

}  // namespace
}  // namespace teal::test
