#include <nlohmann/json.hpp>

#include <set>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/pgbench.h"

namespace teal::test {
namespace {

constexpr const char* kTables =
    "CREATE TABLE number (id bigint PRIMARY KEY, n int, v text, price numeric);"
    "CREATE TABLE word (id text COLLATE \"C\" PRIMARY KEY, v text);"
    "CREATE TABLE name (id text PRIMARY KEY, v text);"
    "CREATE TABLE pair (a text, b int, v text, PRIMARY KEY (b, a));"
    "CREATE TABLE thing (id uuid PRIMARY KEY, v bytea);"
    "CREATE TABLE amount (id numeric PRIMARY KEY, v float8);"
    "CREATE TABLE moment (id timestamptz PRIMARY KEY, v char(5));"
    "CREATE TABLE part (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);"
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);"
    "CREATE TABLE loose (n int, v text);";

constexpr const char* kRows =
    "INSERT INTO number SELECT k, k % 7, 'v' || k, k / 100.0 FROM generate_series(1, 3000) k;"
    "INSERT INTO word SELECT chr(65 + k % 58) || md5(k::text), 'v' || k FROM generate_series(1, 3000) k;"
    "INSERT INTO name SELECT id, v FROM word;"
    "INSERT INTO pair SELECT md5(k::text), k % 50, 'v' || k FROM generate_series(1, 3000) k;"
    "INSERT INTO thing SELECT md5(k::text)::uuid, decode(md5(k::text), 'hex') FROM generate_series(1, 3000) k;"
    "INSERT INTO amount SELECT k * 1.5, k / 3.0 FROM generate_series(1, 3000) k;"
    "INSERT INTO moment SELECT '2026-01-01'::timestamptz + k * interval '1 second', k % 9 FROM generate_series(1, "
    "3000) "
    "k;"
    "INSERT INTO part SELECT k, k % 20, 'v' || k FROM generate_series(1, 3000) k;"
    "INSERT INTO loose SELECT k % 300, 'v' || k % 300 FROM generate_series(1, 3000) k; ANALYZE;";

/// Both sides hold the same rows, and no link runs.
class Verify : public SidecarFixture {
 protected:
  void fill(const std::string& more = "") {
    for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("SET search_path = public;" + std::string(kTables));
    blue_owner().exec(kRows);
    green_owner().exec(kRows);
    config_ = write_config({.more = "direction: forward\nverify: { range_rows: 500, jobs: 2 }\n" + more}).string();
  }

  nlohmann::json verify(int expected, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"--json", "verify"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const TealResult result = command(arguments);
    EXPECT_EQ(result.exit_code, expected) << result.out << result.err;
    return nlohmann::json::parse(result.out);
  }

  static nlohmann::json of_table(const nlohmann::json& report, const std::string& table) {
    for (const auto& entry : report["tables"]) {
      if (entry["table"] == "public." + table) return entry;
    }
    throw std::runtime_error("no " + table + " in the report");
  }
};

TEST_F(Verify, K5EqualRowsAreEqualWhateverTheKey) {
  fill();
  const nlohmann::json report = verify(0);
  EXPECT_EQ(report["result"], "equal");
  EXPECT_EQ(report["tables"].size(), 9U);
  for (const auto& table : report["tables"]) EXPECT_EQ(table["rows"], 3000) << table;
  EXPECT_GE(of_table(report, "word")["ranges"], 4) << "cut by bytes";
  EXPECT_EQ(of_table(report, "name")["ranges"], 1) << "its index is in another order";
}

// In both forms: rows hashed by the servers, and here.
class VerifyForms : public Verify, public testing::WithParamInterface<const char*> {
 protected:
  std::vector<std::string> form() const {
    if (std::string_view(GetParam()).empty()) return {};
    return {GetParam()};
  }
};

INSTANTIATE_TEST_SUITE_P(InTheServer, VerifyForms, testing::Values(""));
INSTANTIATE_TEST_SUITE_P(InTheClient, VerifyForms, testing::Values("--exact"));

TEST_P(VerifyForms, K4EachKindOfDifferenceIsFoundAndNamedAndNothingElse) {
  fill();
  Sql& green = green_owner();
  green.exec("UPDATE number SET n = n # 1 WHERE id = 1717");
  green.exec("DELETE FROM number WHERE id = 1");
  green.exec("DELETE FROM number WHERE id = 3000");
  green.exec("INSERT INTO number VALUES (-5, 0, 'extra', 1), (9000, 0, 'extra', 1)");
  green.exec("UPDATE number SET v = CASE id WHEN 50 THEN 'v60' ELSE 'v50' END WHERE id IN (50, 60)");
  green.exec("UPDATE number SET v = v || ' ' WHERE id = 70");
  green.exec("UPDATE number SET price = 1.500 WHERE id = 150");
  green.exec("UPDATE word SET v = NULL WHERE v = 'v77'; UPDATE word SET v = '' WHERE v = 'v78'");
  blue_owner().exec("UPDATE word SET v = NULL WHERE v = 'v78'");
  green.exec("UPDATE amount SET v = '-0' WHERE id = 3");
  blue_owner().exec("UPDATE amount SET v = '0' WHERE id = 3");
  green.exec("UPDATE part SET k = 15 WHERE id = 2 AND k = 2");
  green.exec("UPDATE thing SET v = set_bit(v, 100, 1 - get_bit(v, 100)) WHERE id = md5('5')::uuid");
  const nlohmann::json report = verify(1, form());
  SCOPED_TRACE(report.dump(1));
  std::set<std::string> found;
  const nlohmann::json number = of_table(report, "number");
  for (const auto& difference : number["differences"]) {
    found.insert(difference["key"]["\"id\""].get<std::string>() + " " + difference["kind"].get<std::string>());
  }
  EXPECT_EQ(found, (std::set<std::string>{"-5 missing on blue", "1 missing on green", "150 differs", "1717 differs",
                                          "3000 missing on green", "50 differs", "60 differs", "70 differs",
                                          "9000 missing on blue"}));
  EXPECT_EQ(of_table(report, "word")["differences"].size(), 2U);
  EXPECT_EQ(of_table(report, "amount")["differences"].size(), 1U);
  EXPECT_EQ(of_table(report, "part")["differences"].size(), 2U) << "one key is gone, another has come";
  EXPECT_EQ(of_table(report, "thing")["differences"].size(), 1U);
  for (const char* equal : {"pair", "moment", "loose", "name"}) EXPECT_EQ(of_table(report, equal)["result"], "equal");
}

TEST_P(VerifyForms, K7RowsWithoutAKeyAreComparedWithTheirNumber) {
  fill();
  green_owner().exec("INSERT INTO loose VALUES (5, 'v5')");
  const nlohmann::json report = verify(1, form());
  EXPECT_EQ(of_table(report, "loose")["differences"].size(), 1U);
  EXPECT_EQ(of_table(report, "number")["result"], "equal");
}

TEST_F(Verify, WhatCannotBeReadIsNotFullyCheckedAndSaysWhy) {
  fill();
  green_owner().exec("DROP TABLE pair; ALTER TABLE thing ADD more int; REVOKE SELECT ON word FROM PUBLIC, teal");
  const nlohmann::json report = verify(3);
  EXPECT_EQ(of_table(report, "pair")["not_checked"], nlohmann::json{"it is not on green"});
  EXPECT_EQ(of_table(report, "thing")["not_checked"], nlohmann::json{"column more is not on blue"});
  EXPECT_EQ(of_table(report, "word")["not_checked"], nlohmann::json{"teal's role may not read it on green"});
  EXPECT_EQ(of_table(report, "number")["result"], "equal");
}

TEST_F(Verify, K6TableOf1600ColumnsIsCompared) {
  std::string columns;
  for (int i = 0; i < 1599; ++i) columns += ", c" + std::to_string(i) + " int2 DEFAULT " + std::to_string(i % 100);
  const std::string sql = "SET search_path = public; CREATE TABLE wide (id int PRIMARY KEY" + columns +
                          "); INSERT INTO wide (id) SELECT generate_series(1, 20)";
  blue_owner().exec(sql);
  green_owner().exec(sql);
  configure("");
  EXPECT_EQ(verify(0)["result"], "equal");
  green_owner().exec("UPDATE wide SET c1598 = -1 WHERE id = 20");
  EXPECT_EQ(of_table(verify(1), "wide")["differences"].size(), 1U);
}

TEST_F(Verify, ColumnsMayBeCalledAnything) {
  const std::string sql =
      "SET search_path = public; CREATE TABLE item (identity int, image text, version text, s int, t int, k0 int, "
      "\"Odd \"\"one\" text, PRIMARY KEY (version, identity, \"Odd \"\"one\")); INSERT INTO item SELECT k, 'i', 'v', "
      "1, "
      "2, 3, 'it''s ' || k FROM generate_series(1, 50) k";
  blue_owner().exec(sql);
  green_owner().exec(sql);
  configure("");
  EXPECT_EQ(verify(0)["result"], "equal");
  green_owner().exec("UPDATE item SET k0 = 4 WHERE identity = 7");
  EXPECT_EQ(of_table(verify(1), "item")["differences"].size(), 1U);
}

TEST_F(Verify, K9NothingIsMadeOrChanged) {
  fill();
  const std::string traces =
      "SELECT concat_ws(' ', (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_publication), "
      "(SELECT "
      "count(*) FROM pg_namespace), (SELECT count(*) FROM pg_class))";
  const std::string blue_before = blue().value(traces);
  const std::string green_before = green().value(traces);
  verify(0);
  EXPECT_EQ(blue().value(traces), blue_before);
  EXPECT_EQ(green().value(traces), green_before);
}

/// Two running sides.
class VerifyLive : public SidecarFixture {};

TEST_F(VerifyLive, K1RowsOnTheirWayAreNoDifferencesAndPlantedOnesAre) {
  create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase);
  create_pgbench_tables(green_server(), kOwnerRole, kShopDatabase);
  create_publication(kPgbenchTables);
  configure("copy: { schema: false }\nverify: { range_rows: 2000 }\n");
  run_streaming({"--no-copy"});
  Pgbench load(blue_server(), kOwnerRole, kShopDatabase, {.clients = 4, .seconds = 60});
  for (int i = 0; i < 4; ++i) {
    const TealResult result = command({"verify"});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  }
  green_owner().exec("INSERT INTO pgbench_accounts VALUES (-7, 1, 0, '')");
  const TealResult planted = command({"--json", "verify"});
  ASSERT_TRUE(load.running());
  EXPECT_EQ(planted.exit_code, 1) << planted.out << planted.err;
  const nlohmann::json accounts = nlohmann::json::parse(planted.out)["tables"][0];
  ASSERT_EQ(accounts["differences"].size(), 1U) << accounts;
  EXPECT_EQ(accounts["differences"][0]["kind"], "missing on blue");
  EXPECT_EQ(accounts["differences"][0]["key"]["\"aid\""], "-7");
}

TEST_F(VerifyLive, H4ValuesOfAVolatileDefaultAreFound) {
  start("CREATE TABLE item (id int PRIMARY KEY);", {"item"});
  blue_owner().exec("INSERT INTO item SELECT generate_series(1, 100)");
  wait_caught_up();
  ASSERT_EQ(command({"verify"}).exit_code, 0);
  for (Sql* owner : {&green_owner(), &blue_owner()}) owner->exec("ALTER TABLE item ADD v float8 DEFAULT random()");
  const TealResult result = command({"--json", "verify"});
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["tables"][0]["differences"].size(), 100U);
}

}  // namespace
}  // namespace teal::test
