// `teal verify --repair` at rest: what differs is written as it is on the right side, and nothing else (TRAPS K).
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/scenario/verify_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

/// Planted on green; in the words of the one direction: what blue has, green lacks, and so on.
constexpr const char* kPlanted =
    "UPDATE number SET n = n # 1 WHERE id = 1717; DELETE FROM number WHERE id IN (1, 3000);"
    "INSERT INTO number VALUES (-5, 0, 'extra', 1), (9000, 0, 'extra', 1);"
    "UPDATE number SET v = CASE id WHEN 50 THEN 'v60' ELSE 'v50' END WHERE id IN (50, 60);"
    "UPDATE number SET v = v || ' ' WHERE id = 70; UPDATE number SET price = 1.500 WHERE id = 150;"
    "UPDATE number SET id = 7000 WHERE id = 700;"
    "UPDATE word SET v = NULL WHERE v = 'v77'; UPDATE word SET v = '' WHERE v = 'v78';"
    "UPDATE name SET v = E'a\\\\b\"c\\n''d' WHERE v = 'v79'; UPDATE amount SET v = '-0' WHERE id = 3;"
    "UPDATE amount SET v = 'NaN' WHERE id = 6; UPDATE amount SET id = 9.00 WHERE id = 9;"
    "UPDATE part SET k = 15 WHERE id = 2 AND k = 2; DELETE FROM part WHERE id = 77; UPDATE part SET v = '' WHERE id = "
    "78;"
    "UPDATE thing SET v = set_bit(v, 100, 1 - get_bit(v, 100)) WHERE id = md5('5')::uuid;"
    "UPDATE moment SET v = 'x' WHERE id = '2026-01-01'::timestamptz + interval '5 second';"
    "UPDATE pair SET v = NULL WHERE b = 7;"
    "INSERT INTO loose VALUES (5, 'v5'), (5, 'v5'), (NULL, NULL), (9999, 'extra');"
    "DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose WHERE n = 6 LIMIT 3); DELETE FROM loose WHERE n = 7;";

/// All rows of the database, as text.
std::string rows_of(Sql& side) {
  std::string all;
  for (const SqlRow& row :
       side.rows("SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = "
                 "'public'::regnamespace ORDER BY 1::text")) {
    all += *row[0] + " " +
           side.value(
               "SELECT count(*) || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text COLLATE \"C\")), '') "
               "FROM " +
               *row[0] + " t") +
           "\n";
  }
  return all;
}

class VerifyRepairSides : public VerifyRepair, public testing::WithParamInterface<const char*> {
 protected:
  bool blue_is_right() const { return std::string(GetParam()) == "blue"; }
};

INSTANTIATE_TEST_SUITE_P(Right, VerifyRepairSides, testing::Values("blue", "green"),
                         [](const auto& side) { return std::string(side.param); });

TEST_P(VerifyRepairSides, K4EachKindOfDifferenceIsWrittenAndNothingElse) {
  fill();
  green_owner().exec(kPlanted);
  Sql& right = blue_is_right() ? blue() : green();
  const std::string before = rows_of(right);
  const nlohmann::json report = repair(0, GetParam());
  SCOPED_TRACE(report.dump(1));
  EXPECT_EQ(report["result"], "equal");
  EXPECT_EQ(rows_of(right), before) << "the right side was written";
  expect_all_equal();
  const nlohmann::json number = repaired(report, "number");
  EXPECT_EQ(number["written"], counts(3, 5, 3));
  EXPECT_EQ(number["planned"], number["written"]);
  EXPECT_EQ(repaired(report, "loose")["written"], blue_is_right() ? counts(13, 0, 4) : counts(4, 0, 13));
  EXPECT_EQ(report["repair"]["rounds"], 1);
}

TEST_P(VerifyRepairSides, K7EqualRowsWithoutAKeyAreCounted) {
  fill_from(
      "CREATE TABLE loose (n int, v text, j json); INSERT INTO loose SELECT 1, 'a', '{\"a\": 1}' FROM "
      "generate_series(1, 2000)");
  green_owner().exec("DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose LIMIT 1200)");
  const nlohmann::json report = repair(0, GetParam());
  EXPECT_EQ(repaired(report, "loose")["written"], blue_is_right() ? counts(1200, 0, 0) : counts(0, 0, 1200)) << report;
  expect_all_equal();
}

TEST_F(VerifyRepair, K9DryRunSaysWhatWouldBeDoneAndDoesNothing) {
  fill();
  green_owner().exec(kPlanted);
  const std::string traces =
      "SELECT concat_ws(' ', (SELECT count(*) FROM pg_replication_origin), (SELECT count(*) FROM pg_class), (SELECT "
      "count(*) FROM pg_namespace))";
  const std::string blue_before = rows_of(blue()) + blue().value(traces);
  const std::string green_before = rows_of(green()) + green().value(traces);
  const nlohmann::json report = repair(1, "blue", {"--dry-run"});
  EXPECT_EQ(repaired(report, "number")["planned"], counts(3, 5, 3)) << report;
  EXPECT_EQ(repaired(report, "number")["written"], counts(0, 0, 0));
  EXPECT_EQ(repaired(report, "loose")["planned"], counts(13, 0, 4)) << report;
  const TealResult text = command({"verify", "--repair", "blue", "--dry-run", "--tables", "public.number"});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.out, HasSubstr("public.number: 3 to insert, 5 to update, 3 to delete"));
  EXPECT_THAT(text.out, HasSubstr("update: (id)=(1717)"));
  EXPECT_THAT(text.out, HasSubstr("delete: (id)=(-5)"));
  EXPECT_EQ(rows_of(blue()) + blue().value(traces), blue_before);
  EXPECT_EQ(rows_of(green()) + green().value(traces), green_before);
}

TEST_F(VerifyRepair, OnlyTheTablesThatWereAskedForAreWritten) {
  fill();
  green_owner().exec("UPDATE number SET n = -1 WHERE id = 5; UPDATE word SET v = 'x' WHERE v = 'v5'");
  repair(0, "blue", {"--tables", "public.number"});
  expect_equal("public.number");
  EXPECT_EQ(green().number("SELECT count(*) FROM word WHERE v = 'x'"), 1);
}

TEST_P(VerifyRepairSides, F1ValuesUnderAUniqueRuleChangePlaces) {
  fill_from(
      "CREATE TABLE item (id int PRIMARY KEY, u int UNIQUE, v text); CREATE UNIQUE INDEX ON item (lower(v)) WHERE id > "
      "10; INSERT INTO item SELECT k, k, 'v' || k FROM generate_series(1, 3000) k",
      "apply: { two_way_batch_rows: 100 }\n");
  Sql& green = green_owner();
  // A swap across transactions, a circle of three, one that goes with its row, and a shift of a thousand.
  green.exec("UPDATE item SET u = -id WHERE id IN (11, 2900)");
  green.exec("UPDATE item SET u = CASE id WHEN 11 THEN 2900 ELSE 11 END WHERE id IN (11, 2900)");
  green.exec("UPDATE item SET v = 'w' || id WHERE id IN (21, 1500, 2800)");
  green.exec(
      "UPDATE item SET v = CASE id WHEN 21 THEN 'v1500' WHEN 1500 THEN 'v2800' ELSE 'V21' END WHERE id IN (21, "
      "1500, 2800)");
  green.exec("UPDATE item SET id = 5000 WHERE id = 40");
  green.exec("UPDATE item SET u = -id WHERE id BETWEEN 1001 AND 2000");
  green.exec("UPDATE item SET u = 10000 WHERE id = 2000; UPDATE item SET u = id + 1 WHERE id BETWEEN 1001 AND 1999");
  const nlohmann::json report = repair(0, GetParam());
  SCOPED_TRACE(report.dump(1).substr(0, 2000));
  expect_all_equal();
  EXPECT_EQ(repaired(report, "item")["refused"], 0);
}

TEST_F(VerifyRepair, F12UniqueValueOfARowThatStaysIsRefusedAndSaidAndTheRestIsWritten) {
  fill_from(
      "CREATE TABLE item (id int PRIMARY KEY, u int); INSERT INTO item SELECT k, k FROM generate_series(1, 50) k");
  blue_owner().exec("UPDATE item SET u = 7 WHERE id = 8; UPDATE item SET u = -u WHERE id > 40");
  green_owner().exec("CREATE UNIQUE INDEX item_u ON item (u)");
  const nlohmann::json report = repair(1, "blue");
  const nlohmann::json item = repaired(report, "item");
  EXPECT_EQ(item["written"], counts(0, 10, 0)) << report;
  EXPECT_EQ(item["refused"], 1);
  EXPECT_THAT(item["refused_because"][0].get<std::string>(), HasSubstr("item_u"));
  EXPECT_EQ(report["tables"][0]["differences"].size(), 1U);
}

TEST_P(VerifyRepairSides, ColumnsOfAllKindsAreWritten) {
  fill_from(
      "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"'); CREATE DOMAIN small AS int CHECK (VALUE < 1000);"
      "CREATE TYPE spot AS (x int, y text); CREATE TABLE \"Odd \"\"one\" (id int GENERATED ALWAYS AS IDENTITY PRIMARY "
      "KEY, \"t\" int, \"select\" text, version int GENERATED ALWAYS AS IDENTITY, m mood, d small, a text[], aa "
      "int[][], "
      "s spot, c char(5), b bytea, j jsonb, r numrange, h text, g int GENERATED ALWAYS AS (d * 2) STORED, f float8, i "
      "interval, o bool);"
      "INSERT INTO \"Odd \"\"one\" (\"t\", \"select\", m, d, a, aa, s, c, b, j, r, h, f, i, o) SELECT k, 'v' || k, "
      "'sad', k, ARRAY['a,b', NULL, '{\"x\"}'], '{{1,2},{3,4}}', ROW(k, 'a b,\"c\"')::spot, 'a', '\\x00ff', '{\"a\": "
      "[1]}', "
      "'[1,2)', 'h', k / 3.0, '1 day 2 hours', k % 2 = 0 FROM generate_series(1, 40) k");
  const std::string large = "(SELECT string_agg(md5((k + id)::text), '') FROM generate_series(1, 20000) k)";
  for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("UPDATE \"Odd \"\"one\" SET h = " + large);
  Sql& green = green_owner();
  green.exec("UPDATE \"Odd \"\"one\" SET \"t\" = -1, m = 'it''s \"ok\"', d = NULL, a = '{}', aa = NULL WHERE id = 3");
  green.exec(
      "UPDATE \"Odd \"\"one\" SET h = repeat('x', 300000) WHERE id = 4; UPDATE \"Odd \"\"one\" SET h = NULL, c = "
      "'b', f = f + 1e-12, o = NULL WHERE id = 5");
  green.exec(
      "UPDATE \"Odd \"\"one\" SET version = DEFAULT WHERE id = 6; DELETE FROM \"Odd \"\"one\" WHERE id IN (7, "
      "8); UPDATE \"Odd \"\"one\" SET \"select\" = '' WHERE id = 9; UPDATE \"Odd \"\"one\" SET \"select\" = NULL "
      "WHERE id = 10");
  green.exec("INSERT INTO \"Odd \"\"one\" (\"t\", s) VALUES (0, ROW(NULL, '')::spot), (1, NULL)");
  const nlohmann::json report = repair(0, GetParam());
  SCOPED_TRACE(report.dump(1).substr(0, 3000));
  expect_all_equal();
}

TEST_P(VerifyRepairSides, J4RowsFindTheirPartitionsWhereTheSidesCutTheTableInTwoWays) {
  blue_owner().exec(
      "SET search_path = public; CREATE TABLE part (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);"
      "CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TABLE part_b PARTITION OF part "
      "DEFAULT");
  green_owner().exec(
      "SET search_path = public; CREATE TABLE part (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY HASH (id);"
      "CREATE TABLE part_a PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
      "CREATE TABLE part_b PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1)");
  for (Sql* owner : {&blue_owner(), &green_owner()}) {
    owner->exec("INSERT INTO part SELECT k, k % 20, 'v' || k FROM generate_series(1, 500) k");
  }
  green_owner().exec(
      "UPDATE part SET k = k + 10 WHERE id <= 20; UPDATE part SET v = 'x' WHERE id BETWEEN 30 AND 60; "
      "DELETE FROM part WHERE id BETWEEN 70 AND 80; INSERT INTO part VALUES (900, 1, 'e')");
  configure("");
  repair(0, GetParam());
  expect_equal("public.part");
}

TEST_F(VerifyRepair, ColumnsThatOnlyTheWrittenSideHasKeepWhatIsInThem) {
  fill_from(
      "CREATE TABLE item (id int PRIMARY KEY, u int UNIQUE); INSERT INTO item SELECT k, k FROM "
      "generate_series(1, 50) k");
  green_owner().exec("ALTER TABLE item ADD note text DEFAULT 'new'; UPDATE item SET note = 'n' || id");
  green_owner().exec(
      "UPDATE item SET u = -5 WHERE id = 5; UPDATE item SET u = -7 WHERE id = 7; UPDATE item SET u = 7 "
      "WHERE id = 8; UPDATE item SET u = 8 WHERE id = 7; DELETE FROM item WHERE id = 9");
  repair(3, "blue");
  EXPECT_TRUE(
      green().truth("SELECT bool_and(u = id AND note = CASE id WHEN 9 THEN 'new' ELSE 'n' || id END) FROM item"));
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 50);
}

TEST_F(VerifyRepair, K4AllDifferencesAreRepairedHoweverFewAreNamed) {
  fill("");
  config_ = write_config({.more = "direction: forward\nverify: { range_rows: 500, max_diff_rows: 5 }\n"}).string();
  green_owner().exec(
      "UPDATE number SET n = -1; DELETE FROM pair; INSERT INTO loose SELECT -k FROM generate_series(1, "
      "2500) k");
  const nlohmann::json planned = repair(1, "blue", {"--dry-run"});
  EXPECT_EQ(of_table(planned, "number")["differences"].size(), 5U);
  EXPECT_EQ(repaired(planned, "number")["planned"], counts(0, 3000, 0));
  EXPECT_EQ(repaired(planned, "number")["planned_rows"].size(), 5U);
  repair(0, "blue");
  expect_all_equal();
}

TEST_F(VerifyRepair, F6RightsThatAreMissingAreSaidAndTheOtherTablesAreRepaired) {
  fill();
  green_owner().exec(
      "UPDATE number SET n = -1 WHERE id = 5; UPDATE word SET v = 'x' WHERE v = 'v5'; REVOKE UPDATE, "
      "DELETE ON word FROM teal");
  const nlohmann::json report = repair(3, "blue");
  expect_equal("public.number");
  EXPECT_THAT(repaired(report, "word")["not_repaired"][0].get<std::string>(),
              HasSubstr("GRANT DELETE, UPDATE ON \"public\".\"word\" TO teal"));
  EXPECT_EQ(green().number("SELECT count(*) FROM word WHERE v = 'x'"), 1);
  green().exec(
      "REVOKE EXECUTE ON FUNCTION pg_replication_origin_session_setup(text) FROM teal; GRANT UPDATE, DELETE ON "
      "word TO teal");
  const nlohmann::json without = repair(3, "blue");
  EXPECT_THAT(repaired(without, "word")["not_repaired"][0].get<std::string>(),
              HasSubstr("GRANT EXECUTE ON FUNCTION pg_catalog.pg_replication_origin_session_setup"));
  EXPECT_EQ(green().number("SELECT count(*) FROM word WHERE v = 'x'"), 1);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_replication_origin"), 1) << "that of the first repair";
}

// Where teal may not lock the right side's rows, it reads them again.
TEST_F(VerifyRepair, F6RightSideNeedsNoRightButToRead) {
  fill();
  green_owner().exec(kPlanted);
  blue().exec("REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM teal");
  repair(0, "blue");
  expect_all_equal();
}

TEST_P(VerifyRepairSides, RowsThatAnApplicationHasLockedAreLeftAndTheOthersWritten) {
  fill();
  green_owner().exec("UPDATE number SET n = -1 WHERE id BETWEEN 10 AND 20");
  Sql on_blue = blue_server().connect(kOwnerRole, kShopDatabase);
  Sql on_green = green_server().connect(kOwnerRole, kShopDatabase);
  on_blue.exec("BEGIN; SELECT FROM public.number WHERE id = 12 FOR UPDATE");
  on_green.exec("BEGIN; SELECT FROM public.number WHERE id = 15 FOR UPDATE");
  const nlohmann::json report = repair(1, GetParam());
  EXPECT_EQ(repaired(report, "number")["written"], counts(0, 9, 0)) << report;
  EXPECT_EQ(repaired(report, "number")["left_alone"], 2);
  on_blue.exec("ROLLBACK");
  on_green.exec("ROLLBACK");
  repair(0, GetParam());
  expect_all_equal();
}

// A key that somebody writes at the moment, and has not committed.
TEST_F(VerifyRepair, InsertDoesNotWaitForAnApplicationWithTheSameKey) {
  fill();
  green_owner().exec("DELETE FROM number WHERE id IN (5, 6)");
  Sql writer = green_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; INSERT INTO public.number VALUES (5, 1, 'mine', 1)");
  const nlohmann::json report = repair(1, "blue");
  EXPECT_EQ(repaired(report, "number")["written"], counts(1, 0, 0)) << report;
  writer.exec("COMMIT");
  repair(0, "blue");
  expect_all_equal();
}

TEST_P(VerifyRepairSides, A13KilledInTheMiddleItGoesOnWhenItIsRunAgain) {
  fill("apply: { two_way_batch_rows: 100 }\n");
  green_owner().exec("UPDATE number SET n = -1; DELETE FROM pair WHERE b < 25");
  green_owner().exec("INSERT INTO loose SELECT -1 FROM generate_series(1, 500)");
  for (const char* point : {"rows_written:3", "commit_sent:2", "before_commit:40"}) {
    const TealResult killed = run_teal(with_config({"verify", "--repair", GetParam()}),
                                       {.environment = {"TEAL_FAILPOINT=" + std::string(point)}});
    EXPECT_EQ(killed.exit_code, 128 + 9) << point << killed.err;
  }
  repair(0, GetParam());
  expect_all_equal();
}

TEST_F(VerifyRepair, TwoAtATimeAreRefused) {
  fill();
  green_owner().exec("UPDATE number SET n = -1");
  Sql other = green_server().connect(kTealRole, kShopDatabase);
  other.exec("SELECT pg_advisory_lock(hashtextextended('teal.run.shop.repair', 0))");
  const TealResult result = command({"verify", "--repair", "blue"});
  EXPECT_EQ(result.exit_code, 1) << result.out;
  EXPECT_THAT(result.err, HasSubstr("another teal"));
  EXPECT_EQ(green().number("SELECT count(*) FROM number WHERE n = -1"), 3000);
}

}  // namespace
}  // namespace teal::test
