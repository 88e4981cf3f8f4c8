#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/scenario/verify_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

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
    found.insert(difference["key"]["id"].get<std::string>() + " " + difference["kind"].get<std::string>());
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

// Equal keys that are written in two ways: the statement that reads one of them again finds the other.
TEST_P(VerifyForms, K3KeysThatAreEqualAndNotTheSameDiffer) {
  fill();
  green_owner().exec("UPDATE amount SET id = id + 0.000");
  const nlohmann::json report = verify(1, form());
  EXPECT_EQ(of_table(report, "amount")["in_flux"], 0);
  EXPECT_EQ(of_table(report, "amount")["differences"].size(), 1000U) << "as many as are named";
}

// A type and two of its values. Each pair is told apart neither by its type's equality nor by its type's own hash,
// which folds, forgets the sign, or takes the same length of time for the same.
const std::vector<std::array<std::string, 3>> kLookalikes = {
    {"bigint", "1", "4294967296"},
    {"bigint", "-1", "4294967295"},
    {"smallint", "1", "257"},
    {"integer", "1", "-1"},
    {"boolean", "true", "false"},
    {"oid", "1", "4294967295"},
    {"uuid", "00000000-0000-0001-0000-000000000000", "00000000-0000-0000-0000-000000000001"},
    {"date", "infinity", "-infinity"},
    {"bpchar", "a", "a "},
    {"numeric", "5", "-5"},
    {"numeric", "1.0", "1.00"},
    {"numeric(9,2)", "0.01", "100"},
    {"timestamp", "2000-01-01 00:00:00.000001", "2000-01-01 01:11:34.967296"},
    {"timestamptz", "2000-01-01 00:00:00.000001+00", "2000-01-01 01:11:34.967296+00"},
    {"interval", "1 month", "30 days"},
    {"float8", "0", "-0"},
    {"float4", "0", "-0"},
    {"jsonb", "1.0", "1.00"},
    {"json", "1", " 1"},
    {"timetz", "03:00+00", "04:00+01"},
    {"text", "a", "a "},
    {"varchar(9)", "", " "},
    {"bytea", "\\x00", "\\x0000"},
    {"int[]", "{1,NULL}", "{1,0}"},
    {"inet", "10.0.0.1", "10.0.0.1/8"},
    {"bit(3)", "101", "100"},
    {"varbit", "101", "1010"},
    {"int4range", "[1,2)", "[1,3)"},
};

std::string lookalike_table(std::size_t number) { return "t" + std::to_string(number); }

// In each of them the three rows have the first of the two values, nothing, and the first again.
void create_lookalikes(Sql& side) {
  for (std::size_t i = 0; i < kLookalikes.size(); ++i) {
    const auto& [type, here, there] = kLookalikes[i];
    side.exec("CREATE TABLE public." + lookalike_table(i) + " (id int PRIMARY KEY, v " + type +
              "); INSERT INTO public." + lookalike_table(i) + " VALUES (1, '" + here + "'), (2, NULL), (3, '" + here +
              "')");
  }
}

void set_lookalike(Sql& side, std::size_t number, int id, const std::string& value) {
  side.exec("UPDATE public." + lookalike_table(number) + " SET v = '" + value + "' WHERE id = " + std::to_string(id));
}

TEST_P(VerifyForms, K3ValuesThatTheirTypesHashAlikeDiffer) {
  for (Sql* side : {&blue_owner(), &green_owner()}) create_lookalikes(*side);
  for (std::size_t i = 0; i < kLookalikes.size(); ++i) set_lookalike(green_owner(), i, 3, kLookalikes[i][2]);
  configure("");
  const nlohmann::json report = verify(1, form());
  for (std::size_t i = 0; i < kLookalikes.size(); ++i) {
    EXPECT_EQ(of_table(report, lookalike_table(i))["differences"].size(), 1U) << kLookalikes[i][0];
  }
}

// The sums of each column's values are the same on both sides, so hashes that add columns up would be as well.
TEST_P(VerifyForms, K4ValuesThatHaveChangedPlacesDiffer) {
  for (Sql* side : {&blue_owner(), &green_owner()}) create_lookalikes(*side);
  for (std::size_t i = 0; i < kLookalikes.size(); ++i) {
    set_lookalike(blue_owner(), i, 3, kLookalikes[i][2]);
    set_lookalike(green_owner(), i, 1, kLookalikes[i][2]);
  }
  configure("");
  const nlohmann::json report = verify(1, form());
  for (std::size_t i = 0; i < kLookalikes.size(); ++i) {
    EXPECT_EQ(of_table(report, lookalike_table(i))["differences"].size(), 2U) << kLookalikes[i][0];
  }
}

// One row of each: values that have changed places between columns, a column that has become NULL, and a zero that has.
TEST_P(VerifyForms, K3ValuesOfOneColumnAreNotThoseOfAnother) {
  const std::string columns = "(id int PRIMARY KEY, a bigint, b bigint, c bigint, d int, e int, f text, g text)";
  for (Sql* side : {&blue_owner(), &green_owner()}) {
    side->exec(
        "SET search_path = public; CREATE TABLE many " + columns + "; CREATE TABLE long_rows " + columns +
        "; INSERT INTO many SELECT k, 0, k, k + 1, 0, k, 'f' || k, '' FROM generate_series(1, 20) k; INSERT INTO "
        "long_rows SELECT id, a, b, c, d, e, (SELECT string_agg(md5(f || x), '') FROM generate_series(1, 100) x), g "
        "FROM many; ANALYZE");
    side->exec("VACUUM public.long_rows");
  }
  for (const char* table : {"many", "long_rows"}) {
    for (const char* change : {"a = b, b = a WHERE id = 1", "b = c, c = b WHERE id = 2", "d = e, e = d WHERE id = 3",
                               "f = g, g = f WHERE id = 4", "a = NULL WHERE id = 5", "d = NULL WHERE id = 6",
                               "g = NULL WHERE id = 7", "a = NULL, b = NULL, c = NULL WHERE id = 8"}) {
      green_owner().exec("UPDATE public." + std::string(table) + " SET " + change);
    }
  }
  configure("");
  const nlohmann::json report = verify(1, form());
  for (const char* table : {"many", "long_rows"}) {
    EXPECT_EQ(of_table(report, table)["differences"].size(), 8U) << of_table(report, table).dump(1);
  }
}

// A table, and what to change in a row of it that has NULL in all other columns but its key: columns of some types are
// mixed into the hash one by one, those of others are fields of a record, and the key may be of either.
TEST_P(VerifyForms, K3NullsHideNothing) {
  const std::vector<std::array<std::string, 2>> tables = {
      {"(id int PRIMARY KEY, a int, x numeric)", "a = 7"},
      {"(id int PRIMARY KEY, a int, x numeric)", "x = 7"},
      {"(id date PRIMARY KEY, a int, b bigint)", "b = 7"},
      {"(id date PRIMARY KEY, a int, x numeric)", "a = 7"},
      {"(id date PRIMARY KEY, a int, x numeric, y interval)", "x = 7"},
      {"(id int PRIMARY KEY, v text, x numeric, y interval)", "y = '1 day'"},
      {"(id int, k date, v text, w text, PRIMARY KEY (id, k))", "w = ''"},
  };
  for (Sql* side : {&blue_owner(), &green_owner()}) {
    for (std::size_t i = 0; i < tables.size(); ++i) {
      const std::string name = "public.t" + std::to_string(i);
      const std::string keys = tables[i][0].starts_with("(id date")               ? "'2026-01-01'::date + k"
                               : tables[i][0].find("k date") == std::string::npos ? "k"
                                                                                  : "k, '2026-01-01'::date + k";
      side->exec("CREATE TABLE " + name + " " + tables[i][0] + "; INSERT INTO " + name + " SELECT " + keys +
                 " FROM generate_series(1, 4) k");
    }
  }
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const std::string update = "UPDATE public.t" + std::to_string(i) + " SET " + tables[i][1] + " WHERE id = (SELECT ";
    // On both sides in one row, on green alone in another, and in one row of each side, which is another one.
    for (Sql* side : {&blue_owner(), &green_owner()})
      side->exec(update + "min(id) FROM public.t" + std::to_string(i) + ")");
    green_owner().exec(update + "max(id) FROM public.t" + std::to_string(i) + ")");
    blue_owner().exec(update + "id FROM public.t" + std::to_string(i) + " ORDER BY id OFFSET 1 LIMIT 1)");
    green_owner().exec(update + "id FROM public.t" + std::to_string(i) + " ORDER BY id OFFSET 2 LIMIT 1)");
  }
  configure("");
  const nlohmann::json report = verify(1, form());
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const nlohmann::json table = of_table(report, "t" + std::to_string(i));
    EXPECT_EQ(table["differences"].size(), 3U) << tables[i][0] << tables[i][1] << table.dump(1);
  }
}

// Where the length of the blanks and a number were added to the same hash, one would make up for the other.
TEST_P(VerifyForms, K3NumbersDoNotMakeUpForBlanks) {
  for (Sql* side : {&blue_owner(), &green_owner()}) {
    side->exec("CREATE TABLE public.t (id int PRIMARY KEY, a bigint, v bpchar)");
  }
  blue_owner().exec("INSERT INTO public.t VALUES (1, 2, 'x '), (2, 3, 'x')");
  green_owner().exec("INSERT INTO public.t VALUES (1, 1, 'x'), (2, 1, 'x  ')");
  configure("");
  EXPECT_EQ(of_table(verify(1, form()), "t")["differences"].size(), 2U);
}

TEST_F(Verify, WhatOneSideAloneHasOrIsNotCopiedIsNotFullyChecked) {
  fill();
  green_owner().exec("CREATE TABLE later (id int PRIMARY KEY)");
  EXPECT_EQ(of_table(verify(3), "later")["not_checked"], nlohmann::json{"it is not on blue"});
  blue_owner().exec(
      "DROP TABLE loose; CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE "
      "amount, moment, name, number, pair, part, thing, word");
  green_owner().exec("DROP TABLE later, loose; TRUNCATE amount, moment, name, number, pair, part, thing, word");
  const auto init = command({"init"});
  ASSERT_EQ(init.exit_code, 0) << init.err;
  EXPECT_EQ(of_table(verify(3), "word")["not_checked"], nlohmann::json{"it is not copied yet"});
}

TEST_F(Verify, ServerThatEndsMeanwhileIsNoDifference) {
  fill();
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.pair");
  TealProcess teal(with_config({"verify"}), {});
  wait_until("verify waits for the table", std::chrono::seconds(30), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
        "application_name = 'teal/shop/verify'");
  });
  green().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'teal/shop/verify'");
  blocker.exec("ROLLBACK");
  EXPECT_EQ(teal.wait_exit(std::chrono::seconds(60)), 3) << teal.err();
}

TEST_F(Verify, WhatCannotBeReadIsNotFullyCheckedAndSaysWhy) {
  fill();
  green_owner().exec("DROP TABLE pair; ALTER TABLE thing ADD more int; REVOKE SELECT ON word FROM PUBLIC, teal");
  const nlohmann::json report = verify(3);
  EXPECT_EQ(of_table(report, "pair")["not_checked"], nlohmann::json{"it is not on green"});
  EXPECT_EQ(of_table(report, "thing")["not_checked"], nlohmann::json{"column more is not on blue"});
  EXPECT_EQ(of_table(report, "word")["not_checked"],
            nlohmann::json{"teal's role may not read it on green: GRANT SELECT ON \"public\".\"word\" is missing"});
  EXPECT_EQ(of_table(report, "number")["result"], "equal");
}

TEST_F(Verify, ReportIsForItsOwnerAndIsTriedBeforeTheWork) {
  fill();
  const std::filesystem::path directory = make_scratch_directory("report");
  const std::string file = (directory / "report.json").string();
  verify(0, {"--report", file});
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600)) << "it names keys";
  EXPECT_EQ(nlohmann::json::parse(read_file(file))["result"], "equal");

  const TealResult nowhere = command({"verify", "--report", (directory / "no" / "report.json").string()});
  EXPECT_EQ(nowhere.exit_code, 2);
  EXPECT_THAT(nowhere.err, testing::HasSubstr("--report: cannot write to "));
  EXPECT_EQ(nowhere.out, "");

  blue_server().stop();
  const std::string never = (directory / "never.json").string();
  EXPECT_EQ(command({"verify", "--report", never}).exit_code, 4);
  EXPECT_FALSE(std::filesystem::exists(never)) << "nothing was compared";
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

}  // namespace
}  // namespace teal::test
