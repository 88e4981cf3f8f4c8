#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "tests/scenario/sidecar_fixture.h"

// Seeded differences among many rows in tables of all sorts of keys: all of them are named, and nothing else is.
// TEAL_VERIFY_ROWS: of all tables together. TEAL_TEST_SEED: which rows, and which differences.
namespace teal::test {
namespace {

constexpr std::int64_t kRows = 60'000;
constexpr int kDifferences = 200;

// The columns of a key, and their values in row k.
struct KeyCase {
  const char* table;
  const char* columns;  // "": no key at all
  const char* names;
  const char* values;
};

constexpr std::array<KeyCase, 20> kCases{{
    {"t_int", "a int", "a", "k"},
    {"t_bigint", "a bigint", "a", "k * 10000000000"},
    {"t_small", "a smallint, b int", "a, b", "k % 100, k"},
    {"t_text_c", "a text COLLATE \"C\"", "a", "md5(k::text)"},
    {"t_text", "a text", "a", "CASE WHEN k % 2 = 0 THEN 'Ä' ELSE 'a' END || k"},
    {"t_varchar", "a varchar(40) COLLATE \"C\"", "a", "reverse(k::text) || ' x'"},
    {"t_uuid", "a uuid", "a", "md5(k::text)::uuid"},
    {"t_numeric", "a numeric", "a", "(k - 1000) * 1.5"},
    {"t_date", "a date", "a", "date '1900-01-01' + k"},
    {"t_stamptz", "a timestamptz", "a", "timestamptz '2020-01-01 00:00+00' + k * interval '13 seconds'"},
    {"t_stamp", "a timestamp", "a", "timestamp '1999-01-01' + k * interval '0.000011 seconds'"},
    {"t_bytea", "a bytea", "a", "decode(md5(k::text), 'hex')"},
    {"t_ints", "a int, b int", "b, a", "k, k % 17"},
    {"t_text_int", "a text COLLATE \"C\", b int", "a, b", "md5((k % 100)::text), k"},
    {"t_uuid_date", "a uuid, b date", "a, b", "md5((k / 50)::text)::uuid, date '2020-01-01' + k % 50"},
    {"t_char", "a char(12) COLLATE \"C\"", "a", "k::text"},
    {"t_float", "a float8", "a", "k / 7.0"},
    {"t_inet", "a inet", "a", "inet '10.0.0.0' + k"},
    {"t_part", "a int, b int", "a, b", "k, k % 20"},
    {"t_loose", "", "", ""},
}};

std::string create_sql(const KeyCase& one) {
  const std::string table = one.table;
  const std::string key = *one.columns == '\0' ? "" : std::string(one.columns) + ", PRIMARY KEY (" + one.names + "), ";
  std::string sql = "CREATE TABLE public." + table + " (" + key + "k int, n bigint, v text, w text, z bytea)";
  if (table != "t_part") return sql + ";";
  return sql +
         " PARTITION BY RANGE (b); CREATE TABLE public.t_part_1 PARTITION OF public.t_part FOR VALUES FROM (0) TO "
         "(10); "
         "CREATE TABLE public.t_part_2 PARTITION OF public.t_part FOR VALUES FROM (10) TO (20);";
}

std::string fill_sql(const KeyCase& one, std::int64_t rows) {
  const std::string values = *one.values == '\0' ? "" : std::string(one.values) + ", ";
  return "INSERT INTO public." + std::string(one.table) + " SELECT " + values +
         "k, k::bigint * k, 'v' || k, '', decode(md5(k::text), 'hex') FROM generate_series(1, " + std::to_string(rows) +
         ") k; ANALYZE public." + one.table + ";";
}

class VerifyMutation : public SidecarFixture {
 protected:
  void fill(std::int64_t rows) {
    for (Sql* side : {&blue_owner(), &green_owner()}) {
      side->set_deadline(std::chrono::minutes(5));
      for (const KeyCase& one : kCases) side->exec(create_sql(one) + fill_sql(one, rows));
    }
    configure("verify: { range_rows: " + std::to_string(std::max<std::int64_t>(500, rows / 10)) + " }\n");
  }

  TealResult compare(const std::vector<std::string>& arguments) {
    return run_teal(with_config(arguments), {}, std::chrono::minutes(20));
  }

  // As a report names it; a table without a key names none.
  static std::string key_of(Sql& side, const KeyCase& one, std::int64_t k) {
    if (*one.columns == '\0') return "a row";
    std::string fields;
    for (const char* name : {"a", "b"}) {
      if (std::string(one.names).find(name) == std::string::npos) continue;
      fields += (fields.empty() ? "'" : ", '") + std::string(name) + "', " + name + "::text";
    }
    return nlohmann::json::parse(side.value("SELECT json_build_object(" + fields + ") FROM public." + one.table +
                                            " WHERE k = " + std::to_string(k)))
        .dump();
  }

  void note(const KeyCase& one, const std::string& key, const std::string& kind) {
    expected_.insert(std::string(one.table) + " " + key + " " + kind);
  }

  // Without a key a row that is written differs by being missing on both sides, each in its own form.
  void note_changed(const KeyCase& one, const std::string& key) {
    if (*one.columns != '\0') return note(one, key, "differs");
    note(one, key, "missing on green");
    note(one, key, "missing on blue");
  }

  void change(const KeyCase& one, std::int64_t k, const std::string& set) {
    note_changed(one, key_of(green_owner(), one, k));
    write(green_owner(), "UPDATE public." + std::string(one.table) + " SET " + set + " WHERE k = " + std::to_string(k));
  }

  void remove(const KeyCase& one, std::int64_t k, Sql& side, const std::string& kind) {
    note(one, key_of(side, one, k), kind);
    write(side, "DELETE FROM public." + std::string(one.table) + " WHERE k = " + std::to_string(k));
  }

  static void write(Sql& side, const std::string& statement) {
    ASSERT_EQ(side.number("WITH written AS (" + statement + " RETURNING 1) SELECT count(*) FROM written"), 1)
        << statement;
  }

  void move_to_another_partition(const KeyCase& one, std::int64_t k) {
    note(one, key_of(blue_owner(), one, k), "missing on green");
    write(green_owner(), "UPDATE public.t_part SET b = (b + 10) % 20 WHERE k = " + std::to_string(k));
    note(one, key_of(green_owner(), one, k), "missing on blue");
  }

  void swap_values(const KeyCase& one, std::int64_t k, std::int64_t other) {
    change(one, k, "v = 'v" + std::to_string(other) + "'");
    change(one, other, "v = 'v" + std::to_string(k) + "'");
  }

  // `other` is a row that nothing else is about.
  void mutate(const KeyCase& one, std::int64_t k, std::int64_t other, int kind) {
    switch (kind) {
      case 0:
        return change(one, k, "n = n # (1::bigint << " + std::to_string(k % 63) + ")");
      case 1:
        return change(
            one, k, "z = set_bit(z, " + std::to_string(k % 128) + ", 1 - get_bit(z, " + std::to_string(k % 128) + "))");
      case 2:
        return change(one, k, "v = v || ' '");
      case 3:
        return change(one, k, "w = NULL");
      case 4:
        return remove(one, k, green_owner(), "missing on green");
      case 5:
        return remove(one, k, blue_owner(), "missing on blue");
      case 6:
        return swap_values(one, k, other);
      default:
        if (std::string(one.table) == "t_part") return move_to_another_partition(one, k);
        return change(one, k, "n = -n");
    }
  }

  using Names = std::vector<std::string>;
  static Names without(const std::multiset<std::string>& some, const std::multiset<std::string>& others) {
    Names rest;
    std::set_difference(some.begin(), some.end(), others.begin(), others.end(), std::back_inserter(rest));
    return rest;
  }

  static std::multiset<std::string> named(const nlohmann::json& report) {
    std::multiset<std::string> names;
    for (const auto& table : report["tables"]) {
      for (const auto& difference : table["differences"]) {
        const std::string name = table["table"].get<std::string>();
        const std::string key = name == "public.t_loose" ? "a row" : difference["key"].dump();
        names.insert(name.substr(name.find('.') + 1) + " " + key + " " + difference["kind"].get<std::string>());
      }
    }
    return names;
  }

  std::multiset<std::string> expected_;
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

TEST_F(VerifyMutation, K4AllSeededDifferencesAreNamedAndNothingElse) {
  const std::uint64_t seed = number_from("TEAL_TEST_SEED", std::random_device{}());
  const auto rows = static_cast<std::int64_t>(number_from("TEAL_VERIFY_ROWS", kRows) / kCases.size());
  SCOPED_TRACE("TEAL_TEST_SEED=" + std::to_string(seed));
  fill(rows);
  const TealResult equal = compare({"verify"});
  ASSERT_EQ(equal.exit_code, 0) << equal.out << equal.err;
  std::mt19937_64 random(seed);
  std::array<std::set<std::int64_t>, kCases.size()> used;
  const auto fresh = [&](std::size_t table) {
    while (true) {
      const auto k = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(rows)) + 1;
      if (used[table].insert(k).second) return k;
    }
  };
  for (std::size_t table = 0; table < kCases.size(); ++table) {  // the first and the last row of each
    for (const std::int64_t k : {std::int64_t{1}, rows}) {
      used[table].insert(k);
      mutate(kCases[table], k, 0, static_cast<int>(random() % 6));
    }
  }
  for (int i = 2 * static_cast<int>(kCases.size()); i < kDifferences; ++i) {
    const std::size_t table = random() % kCases.size();
    const std::int64_t k = fresh(table);
    mutate(kCases[table], k, fresh(table), static_cast<int>(random() % 8));
  }
  const TealResult found = compare({"--json", "verify"});
  EXPECT_EQ(found.exit_code, 1) << found.err;
  const nlohmann::json report = nlohmann::json::parse(found.out);
  const std::multiset<std::string> names = named(report);
  EXPECT_EQ(without(expected_, names), Names()) << "not named";
  EXPECT_EQ(without(names, expected_), Names()) << "named, and the same";
  for (const auto& table : report["tables"]) EXPECT_TRUE(table["not_checked"].empty()) << table["not_checked"];
}

}  // namespace
}  // namespace teal::test
