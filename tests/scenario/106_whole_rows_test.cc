// Tables without a key: REPLICA IDENTITY FULL, rows found by all their values (TRAPS E2, E3, E10, E11, W7).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class WholeRows : public SidecarFixture {
 protected:
  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables) {
    create_tables_both(tables_sql);
    for (const std::string& table : tables) blue_owner().exec("ALTER TABLE " + table + " REPLICA IDENTITY FULL");
    create_publication(tables);
    configure("copy: { schema: false }\n");
  }
  void expect_arrives(const std::string& table) {
    wait_caught_up();
    expect_equal(table);
  }
};

TEST_F(WholeRows, E2OfEqualRowsOneIsTakenAndNullsMatch) {
  prepare("CREATE TABLE public.t (a int, b text, c numeric)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 'x', 1), (1, 'x', 1), (1, 'x', 1), (NULL, NULL, NULL), (NULL, '', 0)");
  blue_owner().exec("INSERT INTO t VALUES (NULL, NULL, NULL), (2, 'NULL', NULL), (2, NULL, NULL)");
  TealProcess& teal = run_streaming();
  const std::string one = "ctid = (SELECT min(ctid) FROM t WHERE ";
  blue_owner().exec("DELETE FROM t WHERE " + one + "a = 1)");
  blue_owner().exec("UPDATE t SET b = 'y' WHERE " + one + "a = 1 AND b = 'x')");
  blue_owner().exec("DELETE FROM t WHERE " + one + "a IS NULL AND b IS NULL)");
  blue_owner().exec("UPDATE t SET a = 9 WHERE " + one + "b = '')");
  blue_owner().exec("DELETE FROM t WHERE b = 'NULL'");
  expect_arrives("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t"), 5);
  // Chains through equal images in one transaction, and through several in one batch.
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (5, 'a', 1), (5, 'a', 1); UPDATE t SET b = 'b' WHERE a = 5; UPDATE t SET b = 'c' "
      "WHERE " +
      one + "b = 'b'); UPDATE t SET b = 'c' WHERE b = 'b'; DELETE FROM t WHERE " + one + "b = 'c'); COMMIT");
  blue_owner().exec("UPDATE t SET a = a; TRUNCATE t; INSERT INTO t VALUES (1, 'x', 1), (1, 'x', 1)");
  blue_owner().exec("UPDATE t SET a = a + 1; UPDATE t SET a = a + 1; DELETE FROM t WHERE " + one + "a = 3)");
  expect_arrives("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t"), 1);
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

// Two values that `=` cannot compare, or takes for equal though they differ.
TEST_F(WholeRows, E3TypesWithoutEqualityOrWithALossyOne) {
  struct Pair {
    std::string type;
    std::string one;
    std::string other;
  };
  for (Sql* side : {&blue(), &green()}) side->exec("CREATE EXTENSION citext SCHEMA public");
  const std::vector<Pair> pairs = {
      {"json", R"('{"a": 1}')", R"('{"a":1}')"},
      {"xml", "'<a/>'", "'<a></a>'"},
      {"point", "'(1,2)'", "'(1.0000001,2)'"},
      {"box", "'(1,1),(0,0)'", "'(3,3),(2,2)'"},
      {"circle", "'<(0,0),1>'", "'<(5,5),1>'"},
      {"path", "'((0,0),(1,1))'", "'((5,5),(6,6))'"},
      {"polygon", "'((0,0),(1,1),(2,0))'", "'((2,0),(0,0),(1,1))'"},
      {"interval", "'1 month'", "'30 days'"},
      {"numeric", "1.0", "1.00"},
      {"double precision", "'0'", "'-0'"},
      {"real", "'NaN'", "'-0'"},
      {"public.citext", "'a'", "'A'"},
      {"char(5)", "'a'", "''"},
      {"timetz", "'12:00+00'", "'13:00+01'"},
      {"int[]", "'{1,NULL}'", "'[0:1]={1,NULL}'"},
      {"jsonb", "'1.0'", "'1.00'"},
      {"inet", "'10.0.0.1/32'", "'10.0.0.1/31'"},
      {"varchar", "'a'", "'a '"},
      {"pg_lsn", "'0/1'", "'0/2'"},
  };
  std::string tables_sql;
  std::vector<std::string> tables;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    tables.push_back("public.t" + std::to_string(i));
    tables_sql += "CREATE TABLE " + tables[i] + " (v " + pairs[i].type + ", n int);";
  }
  prepare(tables_sql, tables);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string one = pairs[i].one + "::" + pairs[i].type;
    const std::string other = pairs[i].other + "::" + pairs[i].type;
    blue_owner().exec("INSERT INTO " + tables[i] + " VALUES (" + one + ", 0), (" + other + ", 0), (" + one + ", 0), (" +
                      other + ", 0), (NULL, 0), (NULL, 0)");
  }
  run_streaming();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string& table = tables[i];
    const std::string is_other = " WHERE format('%s', v) = format('%s', " + pairs[i].other + "::" + pairs[i].type + ")";
    const std::string last = " WHERE ctid = (SELECT max(ctid) FROM " + table + is_other + ")";
    blue_owner().exec("UPDATE " + table + " SET n = 1" + last);
    blue_owner().exec("DELETE FROM " + table + last);
    blue_owner().exec("UPDATE " + table + " SET v = NULL, n = 2" + is_other);
    blue_owner().exec("DELETE FROM " + table + " WHERE ctid = (SELECT max(ctid) FROM " + table + " WHERE n = 0)");
  }
  wait_caught_up();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    SCOPED_TRACE(pairs[i].type);
    expect_equal(tables[i]);
  }
}

TEST_F(WholeRows, W7RandomMultisetUnderBatchesAndKills) {
  const char* given = std::getenv("TEAL_TEST_SEED");
  const auto seed = given != nullptr ? std::strtoul(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("TEAL_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  const auto below = [&](std::uint32_t n) { return std::to_string(random() % n); };
  prepare("CREATE TABLE public.t (a int, b text, big text); ALTER TABLE public.t ALTER big SET STORAGE EXTERNAL",
          {"public.t"});
  blue_owner().exec("INSERT INTO t SELECT i % 7, nullif((i % 3)::text, '0'), NULL FROM generate_series(1, 500) i");
  run_streaming();
  for (int step = 0; step < 150; ++step) {
    const std::string some = " WHERE ctid = ANY (ARRAY(SELECT ctid FROM t WHERE a = " + below(7) +
                             " ORDER BY random() LIMIT " + below(6) + "))";
    const std::vector<std::string> kinds = {"INSERT INTO t SELECT " + below(7) + ", '" + below(3) + "', repeat('x', " +
                                                below(3) + " * 5000) FROM " + "generate_series(1, " + below(5) + ")",
                                            "DELETE FROM t" + some, "UPDATE t SET a = " + below(7) + some,
                                            "UPDATE t SET b = NULL" + some,
                                            "UPDATE t SET big = repeat('y', 4000)" + some};
    std::string sql = "BEGIN;";
    for (std::uint32_t i = 0; i < 1 + random() % 4; ++i) sql += kinds[random() % kinds.size()] + ";";
    blue_owner().exec(sql + (random() % 8 == 0 ? "ROLLBACK" : "COMMIT"));
    if (step == 70) {
      teal_->kill9();
      run_streaming();
    }
  }
  expect_arrives("public.t");
  EXPECT_GT(green().number("SELECT count(*) FROM public.t"), 0);
}

TEST_F(WholeRows, UpdatesOfAHundredThousandRowsAreMatchedInSets) {
  prepare("CREATE TABLE public.t (a int, b text)", {"public.t"});
  blue_owner().exec("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 100000) i");
  run_streaming();
  blue_owner().exec("UPDATE t SET b = b || '!'; DELETE FROM t WHERE a % 3 = 0");
  expect_arrives("public.t");
}

// Each change by itself would be a look through the whole table: tens of seconds in both tests.
TEST_F(WholeRows, E2ChainOfUpdatesOfOneRowIsOneLookThroughTheTable) {
  prepare("CREATE TABLE public.t (a int, n int, v text)", {"public.t"});
  blue_owner().exec("INSERT INTO t SELECT i, 0, repeat('x', 100) FROM generate_series(1, 50000) i");
  run_streaming();
  wait_caught_up();
  blue_owner().exec("CREATE INDEX ON t (a)");
  blue_owner().exec(
      "DO $$ BEGIN FOR i IN 1..300 LOOP UPDATE public.t SET n = n + 1 WHERE a = 5; END LOOP; END $$; DELETE FROM t "
      "WHERE a = 6");
  EXPECT_LT(wait_caught_up(), seconds(8));
  expect_equal("public.t");
}

TEST_F(WholeRows, F1OnlyTheRefusedTableOfABatchIsAppliedInOrder) {
  prepare("CREATE TABLE public.t (a int, n int, v text); CREATE TABLE public.k (id int PRIMARY KEY, u int UNIQUE)",
          {"public.t", "public.k"});
  blue_owner().exec(
      "INSERT INTO t SELECT i, 0, repeat('x', 100) FROM generate_series(1, 50000) i; INSERT INTO k VALUES (1, 1), (2, "
      "2)");
  TealProcess& teal = run_streaming();
  wait_caught_up();
  blue_owner().exec(
      "BEGIN; UPDATE t SET n = 1 WHERE a <= 300; UPDATE k SET u = 9 WHERE id = 1; UPDATE k SET u = 1 WHERE id = 2; "
      "UPDATE k SET u = 2 WHERE id = 1; COMMIT");
  EXPECT_LT(wait_caught_up(), seconds(8));
  EXPECT_THAT(teal.err(), HasSubstr("rows refused, applying in source order"));
  expect_equal("public.t");
  expect_equal("public.k");
}

TEST_F(WholeRows, E11TableWithoutColumnsKeepsTheNumberOfItsRows) {
  prepare("CREATE TABLE public.t ()", {"public.t"});
  blue_owner().exec("INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES");
  TealProcess& teal = run_streaming();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t"), 2);
  blue_owner().exec("INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES");
  blue_owner().exec("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.t"), 3);
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(WholeRows, E7WiderTypesAndAdditionalColumnsOnGreen) {
  blue_owner().exec("CREATE TABLE public.t (a numeric(6,2), gone int, b varchar(10), c char(3))");
  blue_owner().exec("ALTER TABLE public.t DROP COLUMN gone, REPLICA IDENTITY FULL");
  green_owner().exec(
      "CREATE TABLE public.t (b varchar(20), note text DEFAULT 'n', c char(3), a numeric(10,4), id int GENERATED "
      "ALWAYS AS IDENTITY)");
  create_publication({"public.t"});
  configure("copy: { schema: false }\n");
  blue_owner().exec("INSERT INTO public.t VALUES (1.5, 'x', 'a'), (1.5, 'x', 'a'), (2, 'y', 'b')");
  run_streaming();
  blue_owner().exec("UPDATE public.t SET b = 'z' WHERE a = 2; INSERT INTO public.t VALUES (3, 'w', NULL)");
  blue_owner().exec(
      "DELETE FROM public.t WHERE ctid = (SELECT min(ctid) FROM public.t); UPDATE public.t SET a = a * 2");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(concat_ws(',', a, b, c, note), ' ' ORDER BY a) FROM public.t"),
            "3.0000,x,a  ,n 4.0000,z,b  ,n 6.0000,w,n");
}

TEST_F(WholeRows, E10RowThatGreenDoesNotHaveStopsTheLink) {
  prepare("CREATE TABLE public.t (a int, b text)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 'secret-a'), (2, 'b')");
  TealProcess& teal = run_streaming();
  green_owner().exec("DELETE FROM public.t WHERE a = 1");
  blue_owner().exec("UPDATE t SET a = a + 10");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("UPDATE on public.t"));
  EXPECT_THAT(teal.err(), HasSubstr("touched 0 rows instead of 1 (update_missing)"));
  EXPECT_THAT(teal.err(), testing::Not(HasSubstr("secret")));
  green_owner().exec("INSERT INTO public.t VALUES (1, 'secret-a')");
  run_streaming();
  expect_arrives("public.t");
}

TEST_F(WholeRows, E4IdentityThatBecomesFullAndBackInMidStream) {
  create_tables_both("CREATE TABLE public.t (a int PRIMARY KEY, b text)");
  create_publication({"public.t"});
  configure("copy: { schema: false }\n");
  blue_owner().exec("INSERT INTO t SELECT i, i FROM generate_series(1, 9) i");
  run_streaming();
  green_owner().exec("ALTER TABLE public.t DROP CONSTRAINT t_pkey");
  blue_owner().exec("BEGIN; ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET b = 'f' WHERE a < 3; COMMIT");
  blue_owner().exec("DELETE FROM t WHERE a = 9");
  wait_caught_up();
  green_owner().exec("ALTER TABLE public.t ADD PRIMARY KEY (a)");
  blue_owner().exec("ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET b = 'd' WHERE a = 3");
  expect_arrives("public.t");
}

using RestoredWithoutKeys = WholeRows;  // needs client programs of one version

TEST_F(RestoredWithoutKeys, TablesThatAreAllWithoutKeysGetTheirIndexesWithTheSchema) {
  blue_owner().exec("CREATE TABLE public.t (a int, b text); CREATE INDEX t_b ON public.t (b)");
  blue_owner().exec("ALTER TABLE public.t REPLICA IDENTITY FULL; INSERT INTO public.t VALUES (1, 'x'), (1, 'x')");
  create_publication({"public.t"});
  green().exec("GRANT CREATE ON SCHEMA public TO teal");
  configure("");
  run_streaming();
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_indexes WHERE indexname = 't_b'"), 1);
  blue_owner().exec("DELETE FROM public.t WHERE ctid = '(0,1)'");
  expect_arrives("public.t");
  EXPECT_THAT(command({"check"}).out, HasSubstr("public.t has no key that rows are found by"));
}

}  // namespace
}  // namespace teal::test
