#pragma once
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {

inline constexpr const char* kVerifyTables =
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

inline constexpr const char* kVerifyRows =
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
    for (Sql* owner : {&blue_owner(), &green_owner()})
      owner->exec("SET search_path = public;" + std::string(kVerifyTables));
    blue_owner().exec(kVerifyRows);
    green_owner().exec(kVerifyRows);
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

/// And one of them is repaired.
class VerifyRepair : public Verify {
 protected:
  void fill_from(const std::string& sql, const std::string& more = "") {
    for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("SET search_path = public; " + sql);
    configure(more);
  }

  nlohmann::json repair(int expected, const std::string& right, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"--repair", right};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return verify(expected, arguments);
  }

  static nlohmann::json repaired(const nlohmann::json& report, const std::string& table) {
    for (const auto& entry : report["repair"]["tables"]) {
      if (entry["table"] == "public." + table) return entry;
    }
    throw std::runtime_error("no " + table + " in the repair's report");
  }

  static nlohmann::json counts(int inserted, int updated, int deleted) {
    return {{"insert", inserted}, {"update", updated}, {"delete", deleted}};
  }
};

}  // namespace teal::test
