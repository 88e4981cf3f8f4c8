// A TRUNCATE is one version of every key of its table: what the other side has changed later stays, on both sides
// (TRAPS G5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/scenario/two_way_load_fixture.h"

namespace teal::test {
namespace {

constexpr int kLoadSeconds = 5;
constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, v text, n int)";

class TwoWayTruncate : public TwoWayLoadFixture {
 protected:
  TwoWayTruncate() : TwoWayLoadFixture(kLoadSeconds) {}

  void start_items(int rows, const std::string& sql = kItems) {
    start_both(sql, {"public.item"});
    blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, " + std::to_string(rows) + ") i");
    wait_both_caught_up();
  }
  void end_teal() { EXPECT_EQ(teal_->terminate(), 0); }
  void together() {
    run_both();
    wait_both_caught_up();
    expect_all_equal();
    expect_ledgers_close();
  }
  std::string ids(Sql& side) { return side.value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM item"); }
};

TEST_F(TwoWayTruncate, G5SparesWhatTheOtherSideWroteLaterAndWhatIsSparedLivesOn) {
  start_items(30);
  end_teal();
  blue_owner().exec("TRUNCATE item; INSERT INTO item VALUES (200, 'blue', 0)");
  green_owner().exec(
      "UPDATE item SET v = 'green' WHERE id <= 3; DELETE FROM item WHERE id = 4; INSERT INTO item VALUES (100, "
      "'green', "
      "0)");
  together();
  EXPECT_EQ(ids(green()), "1 2 3 100 200");
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.conflict_log WHERE type = 'delete_origin_differs' AND resolution "
                           "= 'kept'"),
            4);
  blue_owner().exec("UPDATE item SET v = 'blue again' WHERE id = 1; DELETE FROM item WHERE id = 2");
  green_owner().exec("DELETE FROM item WHERE id = 3; UPDATE item SET id = 101 WHERE id = 100");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(ids(blue()), "1 101 200");
  blue_owner().exec("TRUNCATE item");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
}

TEST_F(TwoWayTruncate, G5LargeTableKeepsAFewRows) {
  start_items(50'000);
  end_teal();
  green_owner().exec("UPDATE item SET v = 'green, earlier' WHERE id BETWEEN 11 AND 20");
  blue_owner().exec("TRUNCATE item");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id % 10000 = 0");
  together();
  EXPECT_EQ(ids(blue()), "10000 20000 30000 40000 50000");
}

TEST_F(TwoWayTruncate, G5SeveralTablesWithAKeyBetweenThemAndACompositeKey) {
  start_both(
      "CREATE TABLE item (a text, id numeric, v text, PRIMARY KEY (id, a)); CREATE TABLE part (id int PRIMARY KEY, a "
      "text, item numeric, FOREIGN KEY (item, a) REFERENCES item (id, a))",
      {"public.item", "public.part"});
  blue_owner().exec(
      "INSERT INTO item SELECT 'a' || i, i, 'old' FROM generate_series(1, 10) i; INSERT INTO part SELECT i, 'a' || i, "
      "i "
      "FROM generate_series(1, 10) i");
  wait_both_caught_up();
  end_teal();
  blue_owner().exec("TRUNCATE item CASCADE");
  green_owner().exec("INSERT INTO item VALUES ('n', 7.10, 'green'); INSERT INTO part VALUES (11, 'n', 7.1)");
  together();
  EXPECT_EQ(blue().value("SELECT string_agg(a || id || v, ' ') FROM item"), "n7.10green");
  EXPECT_EQ(blue().value("SELECT string_agg(id || a, ' ') FROM part"), "11n");
}

TEST_F(TwoWayTruncate, G5PartitionedTableSparesRowsInTheirPartitions) {
  start_items(30,
              "CREATE TABLE item (id int PRIMARY KEY, v text, n int) PARTITION BY RANGE (id); CREATE TABLE item_1 "
              "PARTITION OF item FOR VALUES FROM (0) TO (16); CREATE TABLE item_2 PARTITION OF item FOR VALUES FROM "
              "(16) TO (100)");
  end_teal();
  blue_owner().exec("TRUNCATE item");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id IN (5, 25)");
  together();
  EXPECT_EQ(ids(blue()), "5 25");
}

TEST_F(TwoWayTruncate, G5OnePartitionSparesItsLaterRowsAndLeavesTheOthersAlone) {
  start_items(30,
              "CREATE TABLE item (id int PRIMARY KEY, v text, n int) PARTITION BY RANGE (id); CREATE TABLE item_1 "
              "PARTITION OF item FOR VALUES FROM (0) TO (16); CREATE TABLE item_2 PARTITION OF item FOR VALUES FROM "
              "(16) TO (100)");
  end_teal();
  blue_owner().exec("TRUNCATE item_1");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id IN (5, 25)");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 16);
  EXPECT_EQ(blue().value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM item_1"), "5");
}

TEST_F(TwoWayTruncate, G5InATransactionThatIsLargerThanABatch) {
  start_both(std::string(kItems), {"public.item"}, "apply: { two_way_batch_rows: 5 }\n");
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 100) i");
  wait_both_caught_up();
  end_teal();
  blue_owner().exec(
      "UPDATE item SET n = 1; INSERT INTO item SELECT i, repeat('b', 1000), 0 FROM generate_series(1000, 9000) i; "
      "TRUNCATE item; INSERT INTO item SELECT i, repeat('b', 1000), 0 FROM generate_series(2000, 9000) i");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id % 10 = 0; INSERT INTO item VALUES (2000, 'green', 2)");
  together();
  EXPECT_EQ(blue().value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM item WHERE v = 'green'"),
            "10 20 30 40 50 60 70 80 90 100 2000");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 7011);
}

TEST_F(TwoWayTruncate, G5UnderLoadOnBothSidesEndsUpAlikeAlsoWhenTealIsKilled) {
  start_items(300);
  write_on_both(R"(\set id random(1, 300)
\set kind random(1, 1000)
\if :kind <= 500
UPDATE item SET v = ':side', n = n + 1 WHERE id = :id;
\elif :kind <= 995
INSERT INTO item VALUES (:id, ':side', 0) ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = item.n + 1;
\else
TRUNCATE item;
\endif
)",
                [this] {
                  teal_->wait_for_log("a TRUNCATE left rows that are later", std::chrono::seconds(60));
                  teal_->kill9();
                  run_both();
                });
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
}

// A row of another partition would be lost on one side, and stay on the other.
TEST_F(TwoWayTruncate, G5TruncateOfOnePartitionIsNoVersionOfTheOthersRows) {
  start_both(
      "CREATE TABLE item (id int PRIMARY KEY, v text, n int) PARTITION BY RANGE (id); "
      "CREATE TABLE item_low PARTITION OF item FOR VALUES FROM (0) TO (100); "
      "CREATE TABLE item_high PARTITION OF item FOR VALUES FROM (100) TO (1000)",
      {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 130) i");
  wait_both_caught_up();
  end_teal();
  green_owner().exec("UPDATE item SET v = 'green' WHERE id IN (5, 105); INSERT INTO item VALUES (500, 'green', 0)");
  blue_owner().exec("TRUNCATE item_low");
  together();
  EXPECT_EQ(blue().value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM item WHERE v = 'green'"), "105 500");
  EXPECT_EQ(green().number("SELECT count(*) FROM item_low"), 0);
  end_teal();
  green_owner().exec("UPDATE item SET v = 'green' WHERE id = 110; INSERT INTO item VALUES (7, 'green', 0)");
  blue_owner().exec("TRUNCATE item; INSERT INTO item VALUES (200, 'blue', 0)");
  together();
  EXPECT_EQ(green().value("SELECT string_agg(id::text, ' ') FROM item"), "200");
}

}  // namespace
}  // namespace teal::test
