// What applications do to the same rows of both sides at a time ends alike, whatever they do and whoever is to win
// (TRAPS G).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/scenario/two_way_load_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr int kLoadSeconds = 3;
constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, v text, n int)";

class TwoWayApart : public TwoWayLoadFixture {
 protected:
  TwoWayApart() : TwoWayLoadFixture(kLoadSeconds) {}

  void start_items() {
    start_both(kItems, {"public.item"});
    blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 30) i");
    wait_both_caught_up();
  }
  /// Neither side sees what the other does; the first one's commits are the earlier ones.
  void apart(Sql& first, const std::string& first_sql, Sql& second, const std::string& second_sql) {
    EXPECT_EQ(teal_->terminate(), 0);
    first.exec(first_sql);
    second.exec(second_sql);
  }
  void together() {
    run_both();
    wait_both_caught_up();
    expect_all_equal();
    expect_ledgers_close();
  }
};

TEST_F(TwoWayApart, G5RowsThatBothSidesDeletedAreGoneAndOnesThatCameBackStay) {
  start_items();
  apart(blue_owner(), "DELETE FROM item WHERE id <= 10", green_owner(),
        "DELETE FROM item WHERE id BETWEEN 6 AND 15; INSERT INTO item SELECT i, 'green', 1 FROM generate_series(8, 12) "
        "i");
  together();
  EXPECT_EQ(blue().value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM item WHERE id <= 16"), "8 9 10 11 12 16");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 5);
}

TEST_F(TwoWayApart, G5KeysThatChangeOnBothSidesAreRowsThatGoAndRowsThatCome) {
  start_items();
  apart(
      green_owner(),
      "UPDATE item SET id = id + 200, v = 'green' WHERE id <= 10; UPDATE item SET v = 'green' WHERE id BETWEEN 11 AND "
      "15",
      blue_owner(),
      "UPDATE item SET id = id + 100, v = 'blue' WHERE id BETWEEN 6 AND 12; UPDATE item SET v = 'blue' WHERE id <= "
      "3");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE id > 200"), 10);
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE id BETWEEN 101 AND 200"), 7);
  EXPECT_EQ(blue().value("SELECT string_agg(id || v, ' ' ORDER BY id) FROM item WHERE id <= 13"),
            "1blue 2blue 3blue 13green");
}

// The clients of one side have no key in common at a time: without teal, two of them could deadlock.
TEST_F(TwoWayApart, G5KeysThatChangeUnderLoadOnBothSidesEndUpAlike) {
  start_both(
      std::string(kItems) +
          "; CREATE FUNCTION move(a int, b int, side text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM "
          "pg_advisory_xact_lock(least(a, b)), pg_advisory_xact_lock(greatest(a, b)); UPDATE "
          "public.item SET id = b, v = side, n = n + 1 WHERE id = a; EXCEPTION WHEN unique_violation THEN END $$",
      {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 60) i");
  wait_both_caught_up();
  write_on_both(R"(\set a random(1, 100)
\set b random(1, 100)
SELECT move(:a, :b, ':side');
)");
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
}

TEST_F(TwoWayApart, G5C1WinnerBringsItsWholeRowAlsoWhatItDidNotChange) {
  start_both(
      "CREATE TABLE doc (id int PRIMARY KEY, big text, n int); ALTER TABLE doc ALTER big SET STORAGE EXTERNAL; ALTER "
      "TABLE doc REPLICA IDENTITY FULL",
      {"public.doc"});
  blue_owner().exec("INSERT INTO doc SELECT i, repeat('o', 5000), 0 FROM generate_series(1, 20) i");
  wait_both_caught_up();
  apart(green_owner(), "UPDATE doc SET big = repeat('g', 6000) WHERE id <= 10", blue_owner(),
        "UPDATE doc SET n = 1 WHERE id <= 5");
  blue_owner().exec("DELETE FROM doc WHERE id = 10");
  together();
  EXPECT_EQ(green().number("SELECT count(*) FROM doc WHERE id <= 5 AND big = repeat('o', 5000) AND n = 1"), 5);
  EXPECT_EQ(blue().number("SELECT count(*) FROM doc WHERE id BETWEEN 6 AND 9 AND big = repeat('g', 6000)"), 4);
  EXPECT_EQ(blue().number("SELECT count(*) FROM doc"), 19);
}

// With the policy error it is the operator's to decide which row is to go: the stops name both. Its own side deletes
// it, and where it never was, its coming and its going are passed over.
TEST_F(TwoWayApart, G7PolicyErrorStopsBothLinksAtAValueThatTwoRowsClaimUntilOneIsGone) {
  start_both("CREATE TABLE account (id int PRIMARY KEY, mail text CONSTRAINT one_mail UNIQUE)", {"public.account"},
             "conflicts: { default: error }\n");
  wait_both_caught_up();
  apart(blue_owner(), "INSERT INTO account VALUES (1, 'a@x')", green_owner(),
        "INSERT INTO account VALUES (2, 'a@x'), (3, 'c@x')");
  run();
  EXPECT_EQ(teal_->wait_exit(seconds(60)), 5) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("link stopped link=blue_to_green"));
  EXPECT_THAT(teal_->err(), HasSubstr("link stopped link=green_to_blue"));
  const std::string stops = command({"quarantine", "list"}).out;
  EXPECT_THAT(stops, HasSubstr("one_mail"));
  EXPECT_THAT(stops, HasSubstr("(\"id\")=(1)"));
  EXPECT_THAT(stops, HasSubstr("(\"id\")=(2)"));
  green_owner().exec("DELETE FROM account WHERE id = 2");
  for (const std::string change : {"INSERT", "DELETE"}) {
    run();
    teal_->wait_for_log("link stopped link=green_to_blue .*" + change, seconds(60));
    EXPECT_EQ(teal_->terminate(), 5);
    const std::string id = blue().value("SELECT max(id) FROM teal.quarantine");
    EXPECT_EQ(command({"quarantine", "skip", id, "--link", "green_to_blue", "--yes"}).exit_code, 0);
  }
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(green().value("SELECT string_agg(id || mail, ' ' ORDER BY id) FROM account"), "1a@x 3c@x");
}

// Nobody's commit times are asked for: a row says nothing of when it was written, and need not.
TEST_F(TwoWayApart, G8RowsThatWereWrittenBeforeAnythingWasKnownAreNoConflicts) {
  start_items();
  EXPECT_EQ(green().value("SHOW track_commit_timestamp"), "off");
  for (Sql* side : {&blue(), &green()}) side->exec("VACUUM (FREEZE) item");
  apart(blue_owner(), "UPDATE item SET v = 'blue' WHERE id <= 10; DELETE FROM item WHERE id = 11", green_owner(),
        "UPDATE item SET v = 'green' WHERE id BETWEEN 12 AND 30");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'blue'"), 10);
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 19);
  for (Sql* side : {&blue(), &green()}) EXPECT_EQ(side->number("SELECT count(*) FROM teal.conflict_log"), 0);
}

TEST_F(TwoWayApart, G5TruncateTakesWhatTheOtherSideWroteEarlier) {
  start_items();
  apart(green_owner(), "UPDATE item SET v = 'green' WHERE id <= 5; INSERT INTO item VALUES (100, 'green', 0)",
        blue_owner(), "TRUNCATE item; INSERT INTO item VALUES (200, 'blue', 0)");
  together();
  EXPECT_EQ(green().value("SELECT string_agg(id::text, ' ') FROM item"), "200");
}

struct PolicyCase {
  const char* name;
  const char* more;
};

class TwoWayPolicies : public TwoWayApart, public testing::WithParamInterface<PolicyCase> {};

TEST_P(TwoWayPolicies, G9BothSidesAreAlikeUnderLoad) {
  start_both(kRegisterTable, {"public.register"}, std::string("conflicts: ") + GetParam().more + "\n");
  write_on_both(register_script(100));
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
  EXPECT_GT(counter("blue_to_green", "conflict_lost") + counter("green_to_blue", "conflict_lost"), 0);
}

INSTANTIATE_TEST_SUITE_P(Policies, TwoWayPolicies,
                         testing::Values(PolicyCase{"FirstUpdateWins", "{ default: first_update_wins }"},
                                         PolicyCase{"BlueWins", "{ default: blue_wins }"},
                                         PolicyCase{"GreenWins", "{ default: green_wins }"},
                                         PolicyCase{"VersionColumn",
                                                    "{ tables: { public.register: { version_column: n } } }"}),
                         [](const auto& policy) { return policy.param.name; });

TEST_F(TwoWayApart, G9PolicyErrorStopsTheLinksWithTheTableAndTheKey) {
  start_both(kItems, {"public.item"}, "conflicts: { default: error }\n");
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 30) i");
  wait_both_caught_up();
  green_owner().exec("UPDATE item SET v = 'green, which has seen it' WHERE id = 1");
  wait_both_caught_up();
  apart(blue_owner(), "UPDATE item SET v = 'blue' WHERE id = 7", green_owner(),
        "UPDATE item SET v = 'green' WHERE id = 7");
  EXPECT_EQ(run().wait_exit(seconds(60)), 5);
  EXPECT_THAT(teal_->err(), HasSubstr("table public.item: the row (\"id\")=(7) was changed on both sides"));
  EXPECT_EQ(blue().value("SELECT v FROM item WHERE id = 7"), "blue");
  EXPECT_EQ(green().value("SELECT v FROM item WHERE id = 7"), "green");
  config_ =
      write_config({.more = "direction: both\ncopy: { schema: false }\nconflicts: { default: green_wins }\n"}).string();
  together();
  EXPECT_EQ(blue().value("SELECT v FROM item WHERE id = 7"), "green");
}

}  // namespace
}  // namespace teal::test
