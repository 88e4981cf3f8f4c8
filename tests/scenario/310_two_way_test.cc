// Both sides writable: what applications write on either side arrives on the other, and nothing comes back (TRAPS B).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/scenario/two_way_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, v text, n int)";

class TwoWay : public TwoWayFixture {
 protected:
  std::string phase_of(const std::string& link) {
    const auto status = nlohmann::json::parse(command({"status", "--json"}).out);
    for (const auto& one : status.at("links")) {
      if (one.at("link") == link) return one.at("phase");
    }
    return "";
  }

  /// Ten rows, one of which green changes as blue does not allow.
  void stop_the_way_back() {
    blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 10) i");
    wait_both_caught_up();
    blue_owner().exec("ALTER TABLE item ADD CHECK (n < 100)");
    green_owner().exec("UPDATE item SET n = 100 WHERE id = 1");
    teal_->wait_for_log("link stopped link=green_to_blue", seconds(30));
  }
};

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
  EXPECT_EQ(blue().value("SHOW track_commit_timestamp") + green().value("SHOW track_commit_timestamp"), "offoff");
  EXPECT_EQ(blue().value("SELECT v FROM item WHERE id = 100"), "green");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 26);
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'blue again'"), 5);
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE id <= 5"), 0);
  EXPECT_GT(counter("blue_to_green", "conflict_lost"), 0);
  expect_ledgers_close();
}

TEST_F(TwoWay, LinkGoesOnWhenTheOtherHasStoppedAtARow) {
  start_both(kItems, {"public.item"});
  stop_the_way_back();
  EXPECT_TRUE(teal_->running());
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id = 2; INSERT INTO item VALUES (11, 'blue', 0)");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id = 3");
  wait_for_count("item", 11);
  EXPECT_EQ(green().value("SELECT v FROM item WHERE id = 2"), "blue");
  // What blue changes of a row that green has changed meanwhile is decided, too.
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id = 3");
  wait_until("blue's later version is on green", seconds(30),
             [&] { return green().value("SELECT v FROM item WHERE id = 3") == "blue"; });
  EXPECT_EQ(phase_of("green_to_blue"), "observing");
  EXPECT_EQ(phase_of("blue_to_green"), "streaming");
  const TealResult listed = command({"quarantine", "list"});
  EXPECT_THAT(listed.out, HasSubstr("UPDATE on public.item key (\"id\")=(1)  (link green_to_blue)"));
  EXPECT_EQ(command({"quarantine", "retry", "1", "--link", "blue_to_green"}).exit_code, 1);
  EXPECT_EQ(command({"quarantine", "retry", "1"}).exit_code, 0);
  EXPECT_EQ(teal_->terminate(), 5);
  blue_owner().exec("ALTER TABLE item DROP CONSTRAINT item_n_check");
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().value("SELECT v FROM item WHERE id = 3"), "blue");
  EXPECT_EQ(blue().number("SELECT n FROM item WHERE id = 1"), 100);
}

// What it would have brought is known in memory, for the other link's decisions.
TEST_F(TwoWay, I7LinkThatHasStoppedHoldsTheOtherOneUpOnceItsChangesFillTheMemory) {
  start_both(kItems, {"public.item"}, "apply: { unseen_bytes_max: 64KiB }\n");
  stop_the_way_back();
  green_owner().exec(
      "DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO item SELECT i * 100 + j, 'green', 0 FROM generate_series(1, 100) "
      "j; COMMIT; END LOOP; END $$");
  teal_->wait_for_log("take apply.unseen_bytes_max", seconds(30));
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id = 2");
  teal_->wait_for_log("waiting for the other link to read link=blue_to_green", seconds(60));
  EXPECT_EQ(green().value("SELECT v FROM item WHERE id = 2"), "old");
  EXPECT_EQ(command({"quarantine", "retry", "1"}).exit_code, 0);
  EXPECT_EQ(teal_->terminate(), 5);
  blue_owner().exec("ALTER TABLE item DROP CONSTRAINT item_n_check");
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 10'010);
  EXPECT_EQ(green().value("SELECT v FROM item WHERE id = 2"), "blue");
  EXPECT_EQ(teal_->terminate(), 0);
}

// A target that lacks something, a disk that is full say, refuses for as long as that lasts.
TEST_F(TwoWay, LinkThatBacksOffReadsOnForTheOther) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 10) i");
  wait_both_caught_up();
  green_owner().exec(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$; "
      "CREATE TRIGGER refuse BEFORE INSERT ON item FOR EACH ROW WHEN (NEW.n = 13) EXECUTE FUNCTION refuse(); "
      "ALTER TABLE item ENABLE ALWAYS TRIGGER refuse");
  blue_owner().exec("INSERT INTO item VALUES (11, 'blue', 13)");
  teal_->wait_for_log("stream is read on for the other link link=blue_to_green", seconds(60));
  for (int i = 1; i <= 3; ++i) {
    const std::string n = std::to_string(i);
    wait_until("it reads on", seconds(60), [&] { return phase_of("blue_to_green") == "observing"; });
    blue_owner().exec("UPDATE item SET v = 'blue' WHERE id = " + n);
    green_owner().exec("UPDATE item SET n = " + n + " WHERE id = 10");
    wait_until("green's change is on blue", seconds(5),
               [&] { return blue().number("SELECT n FROM item WHERE id = 10") == i; });
  }
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE v = 'blue'"), 0);
  green_owner().exec("DROP TRIGGER refuse ON item");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(teal_->terminate(), 0);
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

TEST_F(TwoWay, TableThatComesLaterIsReplicatedBothWays) {
  start_both(kItems, {"public.item"});
  create_tables_both("CREATE TABLE late (id int PRIMARY KEY, v text)");
  blue_owner().exec("INSERT INTO late VALUES (1, 'blue')");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE late");
  wait_joined("late");
  // Its owner has to publish it on green, too.
  teal_->wait_for_log("tables are not taken into the way back", seconds(60));
  EXPECT_THAT(teal_->err(), HasSubstr("ALTER PUBLICATION \\\"teal_shop_green_to_blue\\\" ADD TABLE"));
  green_owner().exec("ALTER PUBLICATION teal_shop_green_to_blue ADD TABLE late");
  teal_->wait_for_log("table is replicated in both directions table=public.late", seconds(90));
  green_owner().exec("INSERT INTO late VALUES (2, 'green'); UPDATE late SET v = 'green' WHERE id = 1");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().value("SELECT string_agg(v, ' ' ORDER BY id) FROM late"), "green green");
}

TEST_F(TwoWay, I9TableThatLeftTheWayBacksPublicationForAWhileIsTheOperatorsToCompare) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item VALUES (1, 'blue', 0)");
  wait_both_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  green_owner().exec("ALTER PUBLICATION teal_shop_green_to_blue DROP TABLE item");
  green_owner().exec("UPDATE item SET v = 'missed'");
  green_owner().exec("ALTER PUBLICATION teal_shop_green_to_blue ADD TABLE item");
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, testing::Not(HasSubstr("empty each on the target")));
  blue_owner().exec("UPDATE item SET v = 'missed'");
  const std::string begin = "UPDATE teal.table_state SET publication_entry = ''";
  const std::size_t at = refused.err.find(begin);
  ASSERT_NE(at, std::string::npos) << refused.err;
  blue().exec(refused.err.substr(at, refused.err.find(';', at) - at));
  run_both();
  green_owner().exec("UPDATE item SET n = 2");
  wait_both_caught_up();
  expect_all_equal();
}

TEST_F(TwoWay, WayBackIsOpenedLaterAndNotForgotten) {
  create_tables_both(kItems);
  publish_both({"public.item"});
  blue_owner().exec("INSERT INTO item VALUES (1, 'old', 0)");
  configure("copy: { schema: false }\n");
  run_streaming();
  wait_caught_up();
  blue_owner().exec("INSERT INTO item VALUES (2, 'blue', 0)");
  wait_for_count("item", 2);
  EXPECT_EQ(teal_->terminate(), 0);
  const std::string forward = config_;
  config_ = write_config({.more = "direction: both\ncopy: { schema: false }\n"}).string();
  run_both();
  green_owner().exec("UPDATE item SET v = 'green'");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 2);
  EXPECT_EQ(teal_->terminate(), 0);
  config_ = forward;
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("say direction: both, or end the migration"));
}

TEST_F(TwoWay, UntilSyncedWaitsForBothDirections) {
  start_both(kItems, {"public.item"});
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("INSERT INTO item SELECT i, 'blue', i FROM generate_series(1, 5000) i");
  green_owner().exec("INSERT INTO item SELECT i, 'green', i FROM generate_series(5001, 10000) i");
  const TealResult synced = run_until_synced();
  EXPECT_EQ(synced.exit_code, 0) << synced.err;
  expect_all_equal();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 10000);
}

TEST_F(TwoWay, StatusShowsBothLinks) {
  start_both(kItems, {"public.item"});
  const auto status = nlohmann::json::parse(command({"status", "--json"}).out);
  ASSERT_EQ(status.at("links").size(), 2U);
  EXPECT_EQ(status.at("links").at(0).at("link"), "blue_to_green");
  EXPECT_EQ(status.at("links").at(1).at("link"), "green_to_blue");
  EXPECT_EQ(status.at("links").at(1).at("phase"), "streaming");
  EXPECT_THAT(command({"status"}).out, HasSubstr("link       green_to_blue"));
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
