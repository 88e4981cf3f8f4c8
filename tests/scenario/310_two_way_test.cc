// Both sides writable: what applications write on either side arrives on the other, and nothing comes back (TRAPS B).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/scenario/two_way_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, v text, n int)";

class TwoWay : public TwoWayFixture {};

TEST_F(TwoWay, RowsTravelBothWaysAndNeverComeBack) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'blue', i FROM generate_series(1, 100) i");
  green_owner().exec("INSERT INTO item SELECT i, 'green', i FROM generate_series(101, 150) i");
  wait_both_caught_up();
  green_owner().exec("UPDATE item SET v = 'green again' WHERE id <= 50");
  blue_owner().exec("DELETE FROM item WHERE id > 140; UPDATE item SET id = id + 1000 WHERE id BETWEEN 101 AND 105");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 140);
  EXPECT_EQ(counter("blue_to_green", "applied"), 100 + 10 + 5);
  EXPECT_EQ(counter("green_to_blue", "applied"), 50 + 50);
  EXPECT_EQ(counter("blue_to_green", "conflict_lost") + counter("green_to_blue", "conflict_lost"), 0);
  expect_ledgers_close();
  EXPECT_EQ(teal_->terminate(), 0);
}

TEST_F(TwoWay, CopiedRowsDoNotComeBack) {
  create_tables_both(kItems);
  blue_owner().exec("INSERT INTO item SELECT i, 'old', i FROM generate_series(1, 1000) i");
  publish_both({"public.item"});
  config_ = write_config({.more = "direction: both\ncopy: { schema: false }\n"}).string();
  run_both();
  wait_both_caught_up();
  green_owner().exec("UPDATE item SET v = 'green' WHERE id <= 10");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(counter("green_to_blue", "received"), 10);
  EXPECT_EQ(counter("green_to_blue", "own"), 0);
}

TEST_F(TwoWay, G1RowsThatAreChangedOnBothSidesEndUpAlike) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 50) i");
  wait_both_caught_up();
  // Neither link runs: nobody has seen the other's.
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec(
      "UPDATE item SET v = 'blue' WHERE id <= 30; DELETE FROM item WHERE id BETWEEN 31 AND 35; "
      "INSERT INTO item VALUES (100, 'blue', 1)");
  green_owner().exec(
      "UPDATE item SET v = 'green' WHERE id BETWEEN 11 AND 40; DELETE FROM item WHERE id <= 5; "
      "INSERT INTO item VALUES (100, 'green', 2)");
  blue_owner().exec("UPDATE item SET v = 'blue again' WHERE id BETWEEN 11 AND 15");
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().value("SELECT v FROM item WHERE id = 100"), "green");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 26);
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'blue again'"), 5);
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE id <= 5"), 0);
  EXPECT_GT(counter("blue_to_green", "conflict_lost"), 0);
  expect_ledgers_close();
}

TEST_F(TwoWay, LinkGoesOnWhenTheOtherHasStoppedAtARow) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 10) i");
  wait_both_caught_up();
  blue_owner().exec("ALTER TABLE item ADD CHECK (n < 100)");
  green_owner().exec("UPDATE item SET n = 100 WHERE id = 1");
  teal_->wait_for_log("link stopped link=green_to_blue", seconds(30));
  EXPECT_TRUE(teal_->running());
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id = 2; INSERT INTO item VALUES (11, 'blue', 0)");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id = 3");
  wait_for_count("item", 11);
  EXPECT_EQ(green().value("SELECT v FROM item WHERE id = 2"), "blue");
  // What blue changes of a row that green has changed meanwhile is decided, too.
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id = 3");
  wait_until("blue's later version is on green", seconds(30),
             [&] { return green().value("SELECT v FROM item WHERE id = 3") == "blue"; });
  EXPECT_EQ(teal_->terminate(), 5);
  blue_owner().exec("ALTER TABLE item DROP CONSTRAINT item_n_check");
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().value("SELECT v FROM item WHERE id = 3"), "blue");
  EXPECT_EQ(blue().number("SELECT n FROM item WHERE id = 1"), 100);
}

TEST_F(TwoWay, BothLinksDrainWhenTheyAreAskedToStop) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'blue', i FROM generate_series(1, 20000) i");
  green_owner().exec("INSERT INTO item SELECT i, 'green', i FROM generate_series(20001, 40000) i");
  const auto asked = std::chrono::steady_clock::now();
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, seconds(8));
  EXPECT_EQ(times_logged("not drained"), 0U);
}

TEST_F(TwoWay, FinishLeavesNoTraceOfTheWayBack) {
  start_both(kItems, {"public.item"});
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1) << "the publications are their owner's";
  blue_owner().exec("DROP PUBLICATION teal_shop_blue_to_green");
  green_owner().exec("DROP PUBLICATION teal_shop_green_to_blue");
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 0);
  expect_no_trace();
}

}  // namespace
}  // namespace teal::test
