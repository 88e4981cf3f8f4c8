// Identities, columns and names in every shape that PostgreSQL allows (TRAPS C1, C2, C4, C7, D6, D7, E4 to E11, M4).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

class Columns : public SidecarFixture {
 protected:
  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables) {
    create_tables_both(tables_sql);
    publish(tables);
  }
  void publish(const std::vector<std::string>& tables) {
    create_publication(tables);
    configure("copy: { schema: false }\n");
  }
  void expect_arrives(const std::string& table) {
    wait_caught_up();
    expect_equal(table);
  }
};

TEST_F(Columns, C1LargeValueThatAnUpdateLeavesAloneStays) {
  prepare(
      "CREATE TABLE t (id int PRIMARY KEY, big text, big2 text, n int); ALTER TABLE t ALTER big SET STORAGE EXTERNAL",
      {"public.t"});
  run_streaming();
  blue_owner().exec("INSERT INTO t SELECT i, repeat('x', 100000), repeat('y', 50000), 0 FROM generate_series(1, 5) i");
  blue_owner().exec("UPDATE t SET n = 1; UPDATE t SET big2 = 'short' WHERE id = 2; UPDATE t SET n = 2 WHERE id < 4");
  blue_owner().exec("UPDATE t SET id = 10 WHERE id = 1; UPDATE t SET big = NULL WHERE id = 3; UPDATE t SET n = 3");
  expect_arrives("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t WHERE length(big) = 100000"), 4);
}

// An UPDATE that leaves such a key alone sends it in the old key only: the new row says "unchanged".
TEST_F(Columns, C2RowWhoseKeyIsStoredOutOfLineIsFound) {
  prepare("CREATE TABLE t (k text PRIMARY KEY, n int, o text); ALTER TABLE t ALTER k SET STORAGE EXTERNAL",
          {"public.t"});
  const auto key = [](char c) { return std::string(2500, c); };
  blue_owner().exec("INSERT INTO t VALUES ('" + key('a') + "', 1, 'x'), ('" + key('b') + "', 1, NULL)");
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES ('" + key('c') + "', 1, NULL), ('" + key('d') + "', 1, 'x')");
  blue_owner().exec("UPDATE t SET n = 2; UPDATE t SET o = NULL WHERE k < 'b'; UPDATE t SET n = 3 WHERE k > 'c'");
  blue_owner().exec("UPDATE t SET k = '" + key('e') + "' WHERE k < 'b'; DELETE FROM t WHERE k > 'd' AND k < 'e'");
  expect_arrives("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t"), 3);
}

TEST_F(Columns, C4TableThatIsAlteredInsideATransactionIsReadAsItWasAtEachChange) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, a int)", {"public.t"});
  TealProcess& teal = run_streaming();
  green_owner().exec("ALTER TABLE public.t ADD COLUMN b int DEFAULT 5");
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (1, 1); SAVEPOINT s; ALTER TABLE t ADD COLUMN b int DEFAULT 5; "
      "INSERT INTO t VALUES (2, 2, 2); ROLLBACK TO s; INSERT INTO t VALUES (3, 3); "
      "ALTER TABLE t ADD COLUMN b int DEFAULT 5; INSERT INTO t VALUES (4, 4, 4); UPDATE t SET b = 9 WHERE id = 1; "
      "COMMIT");
  expect_arrives("public.t");
  EXPECT_TRUE(teal.running());
}

TEST_F(Columns, C7MessagesOfOthersAreNoChanges) {
  prepare("CREATE TABLE t (id int PRIMARY KEY)", {"public.t"});
  run_streaming();
  blue_owner().exec(
      "BEGIN; SELECT pg_logical_emit_message(true, 'other', 'text'); INSERT INTO t VALUES (1); "
      "SELECT pg_logical_emit_message(false, 'teal', 'x'); COMMIT; SELECT pg_logical_emit_message(false, '', '')");
  expect_arrives("public.t");
}

TEST_F(Columns, SavepointsRolledBackAndPreparedTransactionsArriveAsCommitted) {
  blue_server().configure({"max_prepared_transactions=2"});
  blue_server().restart();
  prepare("CREATE TABLE t (id int PRIMARY KEY)", {"public.t"});
  run_streaming();
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); SAVEPOINT b; INSERT INTO t VALUES (3); "
      "ROLLBACK TO a; INSERT INTO t VALUES (4); RELEASE a; COMMIT");
  blue_owner().exec("BEGIN; INSERT INTO t VALUES (5); PREPARE TRANSACTION 'yes'");
  blue_owner().exec("BEGIN; INSERT INTO t VALUES (6); PREPARE TRANSACTION 'no'");
  blue_owner().exec("COMMIT PREPARED 'yes'");
  blue_owner().exec("ROLLBACK PREPARED 'no'");
  expect_arrives("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t"), 3);
}

TEST_F(Columns, D6I7TwoHundredMegabytesInOneValue) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v bytea)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, decode(repeat('00ff5c27', 52428800), 'hex'))");
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (2, decode(repeat('5c00ff27', 52428800), 'hex'))");
  blue_owner().exec("UPDATE t SET id = id + 10");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(id || md5(v), ' ' ORDER BY id) FROM public.t"),
            blue().value("SELECT string_agg(id || md5(v), ' ' ORDER BY id) FROM public.t"));
  constexpr long kSentMib = 200;  // in binary form
  EXPECT_LE(teal.peak_rss_kib() / 1024, 4 * kSentMib + 80);
  EXPECT_EQ(teal.terminate(), 0);
}

TEST_F(Columns, D7EnumLabelThatComesLater) {
  create_tables_both("CREATE TYPE public.mood AS ENUM ('fine', 'poor')");
  prepare("CREATE TABLE t (id int PRIMARY KEY, m public.mood)", {"public.t"});
  run_streaming();
  for (Sql* side : {&green_owner(), &blue_owner()})
    side->exec("ALTER TYPE public.mood ADD VALUE 'so so' BEFORE 'poor'");
  blue_owner().exec("INSERT INTO t VALUES (1, 'so so'), (2, 'poor')");
  expect_arrives("public.t");
}

TEST_F(Columns, E4KeyByIndexInAnotherOrderAndSwitchedInMidStream) {
  create_tables_both("CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int NOT NULL, v text)");
  blue_owner().exec("CREATE UNIQUE INDEX t_ab ON t (a, b); CREATE UNIQUE INDEX t_c ON t (c)");
  blue_owner().exec("ALTER TABLE t REPLICA IDENTITY USING INDEX t_ab");
  green_owner().exec("CREATE UNIQUE INDEX other ON public.t (b, a); CREATE UNIQUE INDEX third ON public.t (c)");
  publish({"public.t"});
  run_streaming();
  blue_owner().exec("INSERT INTO t SELECT i, i % 3, i * 7, 'x' FROM generate_series(1, 20) i");
  blue_owner().exec("UPDATE t SET v = 'y' WHERE a < 5; UPDATE t SET b = b + 10 WHERE a = 7; DELETE FROM t WHERE a = 8");
  blue_owner().exec("ALTER TABLE t REPLICA IDENTITY USING INDEX t_c");
  blue_owner().exec(
      "UPDATE t SET v = 'z', a = a + 100 WHERE c < 50; UPDATE t SET c = c + 1000; DELETE FROM t WHERE a = 9");
  expect_arrives("public.t");
}

TEST_F(Columns, E4FullIdentityWithAPrimaryKeyOnGreen) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v text, j json); ALTER TABLE t REPLICA IDENTITY FULL", {"public.t"});
  run_streaming();
  blue_owner().exec("INSERT INTO t SELECT i, 'x', '{\"a\":1}' FROM generate_series(1, 20) i");
  blue_owner().exec(
      "UPDATE t SET v = NULL WHERE id < 5; UPDATE t SET id = id + 100 WHERE id < 8; DELETE FROM t WHERE id = 9");
  blue_owner().exec("ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET v = 'later'");
  expect_arrives("public.t");
}

TEST_F(Columns, E5KeyThatGoesAndComesBackInOneTransaction) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v text)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
  run_streaming();
  blue_owner().exec("BEGIN; UPDATE t SET id = 9 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 9; COMMIT");
  blue_owner().exec(
      "BEGIN; UPDATE t SET id = 9 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 9; "
      "COMMIT");
  blue_owner().exec(
      "BEGIN; DELETE FROM t WHERE id = 3; UPDATE t SET id = 3 WHERE id = 1; INSERT INTO t VALUES (1, 'n'); COMMIT");
  expect_arrives("public.t");
}

TEST_F(Columns, E6KeyUnderANondeterministicCollation) {
  for (Sql* side : {&blue(), &green()}) {
    side->exec("CREATE COLLATION public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
  }
  prepare("CREATE TABLE t (k text COLLATE public.ci PRIMARY KEY, v int)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES ('a', 1), ('b', 2)");
  run_streaming();
  blue_owner().exec(
      "UPDATE t SET k = 'A' WHERE k = 'a'; UPDATE t SET v = 5 WHERE k = 'a'; DELETE FROM t WHERE k = 'B'");
  blue_owner().exec("INSERT INTO t VALUES ('B', 7); UPDATE t SET k = 'b', v = 8 WHERE k = 'b'");
  expect_arrives("public.t");
}

TEST_F(Columns, E7OtherOrderDroppedAndAdditionalColumns) {
  blue_owner().exec("CREATE TABLE public.t (gone int, id int PRIMARY KEY, a text, gone2 text, b int)");
  blue_owner().exec("ALTER TABLE public.t DROP COLUMN gone, DROP COLUMN gone2");
  green_owner().exec(
      "CREATE TABLE public.t (b int, made timestamptz NOT NULL DEFAULT 'epoch', a text, x int, id int, note text "
      "DEFAULT 'n', "
      "PRIMARY KEY (id))");
  green_owner().exec("ALTER TABLE public.t DROP COLUMN x");
  publish({"public.t"});
  blue_owner().exec("INSERT INTO public.t VALUES (1, 'a', 1), (2, 'b', 2)");
  run_streaming();
  blue_owner().exec(
      "INSERT INTO public.t VALUES (3, 'c', 3); UPDATE public.t SET b = 9 WHERE id = 1; DELETE FROM public.t WHERE id "
      "= 2");
  wait_caught_up();
  green_owner().exec("UPDATE public.t SET note = 'own' WHERE id = 3");
  blue_owner().exec("BEGIN; DELETE FROM public.t WHERE id = 3; INSERT INTO public.t VALUES (3, 'again', 4); COMMIT");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(concat_ws(',', id, a, b, note), ' ' ORDER BY id) FROM public.t"),
            "1,a,9,n 3,again,4,n");
}

TEST_F(Columns, E8GeneratedColumnsAreComputedByGreen) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED, w text)", {"public.t"});
  blue_owner().exec("INSERT INTO t (id, v, w) VALUES (1, 1, 'a')");
  run_streaming();
  blue_owner().exec(
      "INSERT INTO t (id, v, w) VALUES (2, 2, 'b'); UPDATE t SET v = 7 WHERE id = 1; UPDATE t SET id = 5 WHERE id = 2");
  expect_arrives("public.t");
}

TEST_F(Columns, E9IdentityColumnsKeepBluesValues) {
  prepare(
      "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text); "
      "CREATE TABLE d (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text)",
      {"public.a", "public.d"});
  run_streaming();
  for (const char* table : {"a", "d"}) {
    const std::string t = table;
    blue_owner().exec("INSERT INTO " + t + " (v) SELECT 'x' FROM generate_series(1, 5); UPDATE " + t +
                      " SET v = 'y' WHERE id < 3; DELETE FROM " + t + " WHERE id = 4; UPDATE " + t +
                      " SET id = DEFAULT WHERE id = 5");
    expect_arrives("public." + t);
  }
}

TEST_F(Columns, E10ColumnWithAFastDefaultAndFullOldRows) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v int); ALTER TABLE t REPLICA IDENTITY FULL", {"public.t"});
  blue_owner().exec("INSERT INTO t SELECT i, i FROM generate_series(1, 10) i");
  run_streaming();
  for (Sql* side : {&green_owner(), &blue_owner()}) side->exec("ALTER TABLE public.t ADD COLUMN n int DEFAULT 7");
  blue_owner().exec("UPDATE t SET v = v + 1 WHERE id < 4; DELETE FROM t WHERE id > 8; UPDATE t SET n = 8 WHERE id = 5");
  expect_arrives("public.t");
}

TEST_F(Columns, E11OneColumnAndSixteenHundred) {
  std::string wide = "CREATE TABLE wide (id int PRIMARY KEY";
  std::string set = "UPDATE wide SET ";
  for (int i = 1; i < 1600; ++i) {
    wide += ", c" + std::to_string(i) + " smallint";
    if (i <= 700) set += (i == 1 ? "c" : ", c") + std::to_string(i) + " = " + std::to_string(i);
  }
  prepare("CREATE TABLE one (id int PRIMARY KEY); " + wide + ")", {"public.one", "public.wide"});
  blue_owner().exec("INSERT INTO one VALUES (1); INSERT INTO wide (id) VALUES (1)");
  run_streaming();
  blue_owner().exec("INSERT INTO one VALUES (2), (3); UPDATE one SET id = id; DELETE FROM one WHERE id = 1");
  blue_owner().exec("INSERT INTO wide (id, c1599) VALUES (2, 5); " + set);
  expect_arrives("public.one");
  EXPECT_EQ(green().value("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM public.wide t"),
            blue().value("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM public.wide t"));
}

TEST_F(Columns, M4NamesOfEveryKind) {
  const std::vector<std::string> names = {
      std::string(63, 'n'), "Mixed",    "mixed",     "with \"quotes\"",        "dot.ted",
      "back\\slash",        "per%cent", "new\nline", "emoji \xF0\x9F\x98\x80", "select",
      "tab\there",          "{braces,}"};
  std::vector<std::string> tables;
  std::string sql;
  const std::string columns =
      " (\"select\" int, \"Key\"\"q\" text, \"a.b\\c%d\" text, \"line\nfeed\" int, PRIMARY KEY (\"select\", "
      "\"Key\"\"q\"));";
  for (const std::string& schema : {std::string("public"), std::string("Odd \"schema\".x")}) {
    if (schema != "public") sql += "CREATE SCHEMA " + sql_name(schema) + ";";
    for (const std::string& name : names) {
      tables.push_back(sql_name(schema) + "." + sql_name(name));
      sql += "CREATE TABLE " + tables.back() + columns;
    }
  }
  create_tables_both(sql);
  for (const PgServer* server : {&blue_server(), &green_server()}) {
    Sql admin = server->connect("postgres", kShopDatabase);
    admin.exec(
        "GRANT USAGE ON SCHEMA \"Odd \"\"schema\"\".x\" TO teal; GRANT ALL ON ALL TABLES IN SCHEMA \"Odd "
        "\"\"schema\"\".x\" TO teal");
  }
  publish(tables);
  for (const std::string& table : tables)
    blue_owner().exec("INSERT INTO " + table + " VALUES (1, 'k', 'v', 1), (2, 'k', 'v', 1)");
  TealProcess& teal = run_streaming();
  for (const std::string& table : tables) {
    blue_owner().exec("INSERT INTO " + table + " VALUES (3, 'k', 'v', 1); UPDATE " + table +
                      " SET \"a.b\\c%d\" = 'w' WHERE \"select\" = 1; DELETE FROM " + table + " WHERE \"select\" = 2");
  }
  wait_caught_up();
  for (const std::string& table : tables) expect_equal(table);
  EXPECT_EQ(command({"--json", "status"}).exit_code, 0);
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

}  // namespace
}  // namespace teal::test
