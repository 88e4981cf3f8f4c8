// Values in binary form: where both servers are sure to mean the same by it, and as text everywhere else (TRAPS D1,
// D2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Binary : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    configure("copy: { schema: false }\n");
  }

  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables) {
    create_tables_both(tables_sql);
    create_publication(tables);
  }
  void expect_arrives(const std::string& table) {
    wait_caught_up();
    expect_equal(table);
  }
  std::string streamed_as() { return green().value("SELECT counters->>'values' FROM teal.progress"); }
  std::string copied_as(const std::string& table) {
    return green().value("SELECT copied_as FROM teal.table_state WHERE table_name = " + sql_text(table));
  }
  /// What a stream of safe types is sent as between these servers.
  [[nodiscard]] const char* expected() const { return blue_major() >= 14 ? "binary" : "text"; }
};

TEST_F(Binary, D1EveryTypeThatIsSafeArrivesAsItIs) {
  struct Case {
    std::string type;
    std::vector<std::string> values;
  };
  std::vector<Case> cases = {
      {"boolean", {"true", "false"}},
      {"smallint", {"'-32768'", "32767"}},
      {"integer", {"'-2147483648'", "2147483647"}},
      {"bigint", {"'-9223372036854775808'", "9223372036854775807", "9007199254740993"}},
      {"real", {"'NaN'", "'-Infinity'", "'-0'", "1e-45", "0.1"}},
      {"double precision", {"'NaN'", "'Infinity'", "'-0'", "5e-324", "0.1 + 0.2"}},
      {"numeric", {"'NaN'", "0.00", "12345678901234567890.12345678901234567890", "repeat('9', 131072)::numeric"}},
      {"numeric(10,3)", {"1", "'-9999999.999'"}},
      {"text", {"''", "'NULL'", "E'a\\tb\\n\\\\\"{},'", "U&'\\00e9\\+01F600'", "repeat('x', 100000)"}},
      {"varchar(5)", {"'abc  '", "''"}},
      {"char(5)", {"'ab'", "''"}},
      {"\"char\"", {"''", "'x'"}},
      {"name", {"''", "'Some \"Name\"'"}},
      {"bytea", {"''", "'\\x00ff5c27'", "decode(repeat('00ff5c2700', 50000), 'hex')"}},
      {"json", {R"('{"a": [1, 2.50, null],  "a": 1}')", "' [ ] '"}},
      {"jsonb", {R"('{"b": 1e400, "a": [1, 2.50]}')", "'null'"}},
      {"uuid", {"'00000000-0000-0000-0000-00000000000f'"}},
      {"date", {"'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'2024-02-29'"}},
      {"time", {"'24:00'", "'23:59:59.999999'"}},
      {"time(2)", {"'12:34:56.78'"}},
      {"timetz", {"'00:00+15:59:59'", "'12:00:00.000001+01:30'"}},
      {"timestamp", {"'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'-infinity'"}},
      {"timestamptz", {"'infinity'", "'2024-03-31 02:30:00 Europe/Berlin'"}},
      {"point", {"'(NaN,-2e300)'"}},
      {"line", {"'{1,-2,0.1}'"}},
      {"lseg", {"'[(0,0),(1,0.1)]'"}},
      {"box", {"'(1,1),(0,0.1)'"}},
      {"path", {"'[(0,0),(1,1)]'", "'((0,0),(1,0.1))'"}},
      {"polygon", {"'((0,0),(1,1),(2,0.1))'"}},
      {"circle", {"'<(0,0.1),5>'"}},
      {"inet", {"'10.1.2.3/8'", "'2001:db8::ff/64'"}},
      {"cidr", {"'10.0.0.0/8'"}},
      {"macaddr", {"'08:00:2b:01:02:03'"}},
      {"macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
      {"bit(3)", {"B'101'"}},
      {"bit varying", {"B''", "B'1010101010101'"}},
      {"pg_lsn", {"'FFFFFFFF/FFFFFFFF'", "'0/0'"}},
      {"oid", {"4294967295"}},
  };
  // Refused by check: 16 made another text of it.
  if (blue_major() >= 16 && green_major() < 16)
    std::erase_if(cases, [](const Case& c) { return c.type == "\"char\""; });
  std::string sql;
  std::vector<std::string> tables;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    tables.push_back("public.t" + std::to_string(i));
    sql += "CREATE TABLE " + tables[i] + " (id int PRIMARY KEY, v " + cases[i].type + ");";
  }
  prepare(sql, tables);
  const auto insert = [&](int first) {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      int id = first;
      blue_owner().exec("INSERT INTO " + tables[i] + " VALUES (" + std::to_string(id++) + ")");
      for (const std::string& value : cases[i].values) {
        blue_owner().exec("INSERT INTO " + tables[i] + " VALUES (" + std::to_string(id++) + ", (" + value +
                          ")::" + cases[i].type + ")");
      }
    }
  };
  insert(0);
  TealProcess& teal = run_streaming();
  insert(1000);
  for (const std::string& table : tables) {
    blue_owner().exec("UPDATE " + table + " AS t SET v = (SELECT v FROM " + table +
                      " AS o WHERE o.id = (t.id + 1) % 1000) WHERE id >= 1000; UPDATE " + table +
                      " SET id = id + 5000 WHERE id % 2 = 0; DELETE FROM " + table + " WHERE id = 1001");
  }
  wait_caught_up();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].type);
    expect_equal(tables[i]);
  }
  EXPECT_EQ(streamed_as(), expected());
  EXPECT_EQ(copied_as("t0"), "binary");
  EXPECT_THAT(command({"status"}).out, HasSubstr("streamed as " + std::string(expected())));
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Binary, D2TypesOfUsersTravelAsTextAndTheirTablesToo) {
  prepare(
      "CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE safe (id int PRIMARY KEY, v timestamptz, a int[]); "
      "CREATE TABLE unsafe (id int PRIMARY KEY, m mood[], r regclass, c money)",
      {"public.safe", "public.unsafe"});
  blue_owner().exec("INSERT INTO safe VALUES (1, now(), '{1,NULL}'), (2, NULL, '[0:1]={1,2}')");
  blue_owner().exec("INSERT INTO unsafe VALUES (1, '{fine}', 'safe', 1)");
  run_streaming();
  blue_owner().exec("INSERT INTO safe VALUES (3, now(), '{}'); UPDATE unsafe SET m = '{fine,NULL}', r = 'unsafe'");
  expect_arrives("public.safe");
  expect_arrives("public.unsafe");
  EXPECT_EQ(streamed_as(), "text");
  EXPECT_EQ(copied_as("safe"), "binary");
  EXPECT_EQ(copied_as("unsafe"), "text");
}

TEST_F(Binary, D2TypeThatComesInMidStreamTurnsTheStreamToText) {
  prepare(
      "CREATE TYPE pair AS (n int, t text); CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE o (id int "
      "PRIMARY KEY)",
      {"public.t", "public.o"});
  blue_owner().exec("INSERT INTO t SELECT i, i FROM generate_series(1, 100) i");
  TealProcess& teal = run_streaming();
  wait_caught_up();
  EXPECT_EQ(streamed_as(), expected());
  green_owner().exec("ALTER TABLE public.t ADD COLUMN p public.pair");
  blue_owner().exec(
      "BEGIN; UPDATE t SET v = v + 1; INSERT INTO o VALUES (1); ALTER TABLE t ADD COLUMN p public.pair; UPDATE t SET p "
      "= ROW(v, 'x') WHERE id < 50; COMMIT");
  blue_owner().exec("DELETE FROM t WHERE id = 7");
  expect_arrives("public.t");
  expect_arrives("public.o");
  EXPECT_EQ(streamed_as(), "text");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Binary, D2DomainOnGreenTakesText) {
  blue_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, v int)");
  green_owner().exec(
      "CREATE DOMAIN public.small AS int CHECK (VALUE < 10); CREATE TABLE public.t (id int PRIMARY KEY, "
      "v int)");
  create_publication({"public.t"});
  run_streaming();
  green_owner().exec("ALTER TABLE public.t ALTER v TYPE public.small");
  blue_owner().exec("INSERT INTO public.t VALUES (1, 1)");
  expect_arrives("public.t");
  EXPECT_EQ(streamed_as(), "text");
}

TEST_F(Binary, C1UnchangedLargeValuesAndKeyChanges) {
  prepare(
      "CREATE TABLE t (id bigint, k text, big text, n numeric(9,2), PRIMARY KEY (id, k)); ALTER TABLE t ALTER big "
      "SET STORAGE EXTERNAL; CREATE TABLE f (a numeric, b text, c timestamptz); ALTER TABLE f REPLICA IDENTITY FULL",
      {"public.t", "public.f"});
  run_streaming();
  blue_owner().exec("INSERT INTO t SELECT i, 'k' || i, repeat('x', 50000), i FROM generate_series(1, 20) i");
  blue_owner().exec(
      "UPDATE t SET n = n * 2; UPDATE t SET id = -id WHERE id < 5; UPDATE t SET k = 'other' WHERE id = 9");
  blue_owner().exec(
      "BEGIN; UPDATE t SET n = 0 WHERE id = 10; DELETE FROM t WHERE id = 10; INSERT INTO t VALUES (10, "
      "'k10', 'small', 1); COMMIT");
  blue_owner().exec(
      "INSERT INTO f SELECT 1.0, 'x', now() FROM generate_series(1, 3); INSERT INTO f VALUES (1.00, 'x'), "
      "(NULL, NULL), (NULL, NULL); UPDATE f SET b = 'one' WHERE ctid = (SELECT min(ctid) FROM f); DELETE FROM f WHERE "
      "ctid = (SELECT max(ctid) FROM f WHERE a IS NULL)");
  expect_arrives("public.t");
  expect_arrives("public.f");
}

TEST_F(Binary, D12KeyInAnErrorIsReadable) {
  prepare("CREATE TABLE t (id bigint, u uuid, s text, PRIMARY KEY (id, u, s))", {"public.t"});
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (9007199254740993, '00000000-0000-0000-0000-00000000000f', 'k')");
  wait_caught_up();
  EXPECT_EQ(streamed_as(), expected());
  green_owner().exec("DELETE FROM public.t");
  blue_owner().exec("DELETE FROM t");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5);
  EXPECT_THAT(teal.err(), HasSubstr("(9007199254740993, 00000000-0000-0000-0000-00000000000f, k)"));
}

// 17 knows an infinite interval; older servers would take its binary form for a finite one.
TEST_F(Binary, D3IntervalsAreTextBetweenServersThatDisagreeOnInfinity) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, v interval)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, '1 mon -1 day 00:00:00.000001')");
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (2, '178000000 years')");
  expect_arrives("public.t");
  const bool agree = (blue_major() >= 17) == (green_major() >= 17);
  EXPECT_EQ(streamed_as(), agree ? expected() : "text");
  EXPECT_EQ(copied_as("t"), agree ? "binary" : "text");
}

}  // namespace
}  // namespace teal::test
