#include "tests/scenario/verify_fixture.h"

// Rows that a key does not lead to, on one of the sides.
namespace teal::test {
namespace {

using testing::HasSubstr;

class VerifyKeys : public Verify {
 protected:
  void tables(const std::string& on_blue, const std::string& on_green, const std::string& verify = "range_rows: 500") {
    blue_owner().exec("SET search_path = public; " + on_blue + "; ANALYZE");
    green_owner().exec("SET search_path = public; " + on_green + "; ANALYZE");
    config_ = write_config({.more = "direction: forward\nverify: { " + verify + " }\n"}).string();
  }

  // By either way of hashing.
  void expect_one_difference(const std::string& table, const std::string& kind) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--exact"}}) {
      const nlohmann::json entry = of_table(verify(1, more), table);
      ASSERT_EQ(entry["differences"].size(), 1U) << entry;
      EXPECT_EQ(entry["differences"][0]["kind"], kind) << entry;
    }
  }
};

struct KeyTypes {
  const char* name;
  const char* blue;
  const char* green;
  const char* both;        // a key that both write alike; nullptr: there is none
  const char* green_only;  // one that only green's can
};

class VerifyKeyTypes : public VerifyKeys, public testing::WithParamInterface<KeyTypes> {};

INSTANTIATE_TEST_SUITE_P(Of, VerifyKeyTypes,
                         testing::Values(KeyTypes{"varchar", "varchar(5)", "varchar(20)", "ab", "abcdefgh"},
                                         KeyTypes{"text", "varchar(5)", "text", "ab", "abcdefgh"},
                                         KeyTypes{"padded", "char(5)", "char(10)", nullptr, "abcdefgh"},
                                         KeyTypes{"bits", "bit varying(3)", "bit varying(8)", "101", "10101"},
                                         KeyTypes{"moment", "timestamp(0)", "timestamp", "2026-01-01 00:00:00",
                                                  "2026-01-01 00:00:00.25"},
                                         KeyTypes{"amount", "numeric(10,2)", "numeric(12,4)", nullptr, "1.2345"},
                                         KeyTypes{"number", "smallint", "bigint", "5", "3000000000"}),
                         [](const auto& types) { return std::string(types.param.name); });

TEST_P(VerifyKeyTypes, K5RowWhoseKeyOnlyGreensColumnCanHoldIsNamed) {
  const KeyTypes& types = GetParam();
  const auto create = [](const std::string& type) { return "CREATE TABLE item (k " + type + " PRIMARY KEY, v int); "; };
  const auto insert = [](const std::string& key) { return "INSERT INTO item VALUES ('" + key + "', 1); "; };
  const std::string both = types.both == nullptr ? "" : insert(types.both);
  tables(create(types.blue) + both, create(types.green) + both + insert(types.green_only));
  expect_one_difference("item", "missing on blue");
}

TEST_F(VerifyKeys, K5RowsThatHaveNoKeyOnGreenAreFoundInAnyRange) {
  const std::string rows = "INSERT INTO item SELECT k, 'v' || k FROM generate_series(1, 3000) k; ";
  const std::string columns = "CREATE TABLE item (id int, v text); ";
  tables(columns + "ALTER TABLE item ADD PRIMARY KEY (id); " + rows,
         columns + "CREATE UNIQUE INDEX ON item (id); " + rows + "INSERT INTO item VALUES (NULL, 'extra')");
  expect_one_difference("item", "missing on blue");
}

// As after a change of its collation's order: the row is in the table, and the index does not lead to it.
TEST_F(VerifyKeys, E6RowThatTheIndexDoesNotLeadToIsFound) {
  const std::string item = "CREATE TABLE item (id text PRIMARY KEY, v int); INSERT INTO item VALUES ('a', 1); ";
  tables(item, item);
  const auto index_is = [&](const char* ready) {
    green().exec(std::string("UPDATE pg_index SET indisready = ") + ready +
                 " WHERE indexrelid = 'item_pkey'::regclass");
  };
  index_is("false");
  green_owner().exec("INSERT INTO item VALUES ('b', 1)");
  index_is("true");
  ASSERT_EQ(green().number("SET enable_seqscan = off; SELECT count(*) FROM item WHERE id = 'b'"), 0);
  expect_one_difference("item", "missing on blue");
}

TEST_F(VerifyKeys, TableThatIsLockedIsNotWaitedForWithoutEnd) {
  const std::string item = "CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1); ";
  tables(item, item);
  Sql holder(green_server().conninfo(kOwnerRole, kShopDatabase));
  holder.exec("BEGIN; LOCK TABLE public.item IN ACCESS EXCLUSIVE MODE");
  const nlohmann::json report = verify(3, {"--patience", "1s", "--rows-only"});
  EXPECT_THAT(of_table(report, "item")["not_checked"].dump(), HasSubstr("lock timeout"));
}

TEST_F(VerifyKeys, RangesAreReadInPartsThatTakeAsLongAsTheyMay) {
  const std::string rows = "INSERT INTO item SELECT k, repeat(md5(k::text), 20) FROM generate_series(1, 40000) k; ";
  const std::string item = "CREATE TABLE item (id int PRIMARY KEY, v text); " + rows;
  tables(item, item + "UPDATE item SET v = 'planted' WHERE id IN (1, 20000, 40000)",
         "range_rows: 10000, statement_time: 5ms, jobs: 1");
  green().exec("SELECT pg_stat_reset()");
  const nlohmann::json entry = of_table(verify(1, {"--blocks"}), "item");
  EXPECT_EQ(entry["differences"].size(), 3U) << entry;
  EXPECT_EQ(entry["rows"], 40'000);
}

TEST_F(VerifyKeys, BlocksFollowEachOtherAndSayWhatTheyCameTo) {
  const std::string item =
      "CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item SELECT k, 1 FROM generate_series(1, 3000) k; ";
  tables(item, item + "UPDATE item SET v = 2 WHERE id = 1");
  const nlohmann::json blocks = of_table(verify(1, {"--blocks"}), "item")["blocks"];
  ASSERT_GE(blocks.size(), 4U);
  EXPECT_TRUE(blocks.front()["from"].is_null());
  EXPECT_TRUE(blocks.back()["below"].is_null());
  EXPECT_EQ(blocks[0]["result"], "differs");
  std::int64_t rows = blocks[0]["rows"];
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i]["from"], blocks[i - 1]["below"]);
    EXPECT_EQ(blocks[i]["result"], "equal");
    rows += blocks[i]["rows"].get<std::int64_t>();
  }
  EXPECT_EQ(rows, 3000);
  EXPECT_TRUE(of_table(verify(1), "item")["blocks"].empty()) << "only when asked for";
}

// Without its key a row is known by all of its values; written without them it would be another one.
TEST_F(VerifyKeys, RepairRefusesATableWhoseKeyOrColumnsCannotBeCompared) {
  tables(
      "CREATE TABLE keyed (id int PRIMARY KEY, v int); INSERT INTO keyed SELECT k, k FROM generate_series(1, 9) k; "
      "CREATE TABLE priced (id int PRIMARY KEY, price int NOT NULL); INSERT INTO priced VALUES (1, 100), (2, 200)",
      "CREATE SEQUENCE s START 1000; CREATE TABLE keyed (id numeric(20,0) PRIMARY KEY DEFAULT nextval('s'), v int); "
      "INSERT INTO keyed SELECT k, k FROM generate_series(1, 8) k; "
      "CREATE TABLE priced (id int PRIMARY KEY, price numeric NOT NULL DEFAULT 0); INSERT INTO priced VALUES (1, 100)");
  for (Sql* side : {&blue(), &green()}) {
    side->exec("GRANT INSERT, UPDATE, DELETE ON public.keyed, public.priced TO teal");
  }
  const TealResult result = command({"--json", "verify", "--repair", "blue"});
  EXPECT_EQ(result.exit_code, 3) << result.out << result.err;
  const nlohmann::json report = nlohmann::json::parse(result.out)["repair"]["tables"];
  ASSERT_EQ(report.size(), 2U) << report;
  for (const auto& table : report) EXPECT_THAT(table["not_repaired"].dump(), HasSubstr("cannot be compared")) << table;
  EXPECT_EQ(green().number("SELECT count(*) FROM public.keyed WHERE id > 8"), 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM public.priced"), 1);
}

}  // namespace
}  // namespace teal::test
