// `teal sequences sync`: no number that one side has drawn is drawn on the other (TRAPS J6, J7, W12).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

constexpr const char* kTables =
    "CREATE TABLE item (id serial PRIMARY KEY, v text);"
    "CREATE TABLE ident (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);"
    "CREATE TABLE small (id smallserial PRIMARY KEY, v text);"
    "CREATE SEQUENCE cached CACHE 100; CREATE SEQUENCE down INCREMENT BY -3; CREATE SEQUENCE shared START 100;"
    "CREATE TABLE packed (id bigint PRIMARY KEY DEFAULT nextval('cached'), v text);"
    "CREATE TABLE below (id bigint PRIMARY KEY DEFAULT nextval('down'), v text);"
    "CREATE TABLE one (id bigint PRIMARY KEY DEFAULT nextval('shared'), v text);"
    "CREATE TABLE two (id bigint PRIMARY KEY DEFAULT nextval('shared'), v text);"
    "CREATE SEQUENCE free INCREMENT BY 10 START 5; CREATE SEQUENCE given; CREATE SEQUENCE unused;"
    "CREATE SEQUENCE \"Odd \"\"Name\"\"\"";
const std::vector<std::string> kSequences = {"item_id_seq", "ident_id_seq", "small_id_seq", "cached",
                                             "down",        "shared",       "free",         "given"};

class SequencesSync : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    configure("");
    create_tables_both(kTables);
    blue_owner().exec("GRANT UPDATE ON ALL SEQUENCES IN SCHEMA public TO teal");
  }

  TealResult sync(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"sequences", "sync"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return command(arguments);
  }
  void expect_synced(const std::vector<std::string>& more = {}) {
    const TealResult result = sync(more);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  }
  static std::set<std::int64_t> draw(Sql& side, const std::string& sequence, int count) {
    std::set<std::int64_t> numbers;
    for (const auto& row : side.rows("SELECT nextval(" + sql_text(sequence) + ") FROM generate_series(1, " +
                                     std::to_string(count) + ")")) {
      numbers.insert(std::stoll(*row[0]));
    }
    EXPECT_EQ(numbers.size(), static_cast<std::size_t>(count)) << sequence << " gave a number twice";
    return numbers;
  }
  /// Of each sequence, adds numbers that `side` draws to those in `drawn`, of which none may be met again.
  void draw_new(Sql& side, std::vector<std::set<std::int64_t>>& drawn, int count) {
    drawn.resize(kSequences.size());
    for (std::size_t i = 0; i < kSequences.size(); ++i) {
      for (const std::int64_t number : draw(side, kSequences[i], count)) {
        EXPECT_TRUE(drawn[i].insert(number).second) << kSequences[i] << " gave " << number << " again";
      }
    }
  }
  static std::string standing(Sql& side) {
    std::string text;
    for (const std::string& sequence : kSequences) {
      text += side.value("SELECT format('%s %s', last_value, is_called) FROM " + sequence) + "; ";
    }
    return text;
  }
};

TEST_F(SequencesSync, J6W12NoNumberIsDrawnTwiceThereAndBack) {
  std::vector<std::set<std::int64_t>> drawn;
  Sql& on_blue = blue_owner();
  Sql& on_green = green_owner();
  on_blue.exec("BEGIN; SELECT nextval('given') FROM generate_series(1, 50); ROLLBACK");
  on_blue.exec("SELECT setval('given', 700, false)");
  for (int round = 0; round < 3; ++round) {
    draw_new(on_blue, drawn, round == 0 ? 7 : 500);
    expect_synced();
    draw_new(on_green, drawn, round == 1 ? 12'000 : 30);
    expect_synced({"--to", "blue"});
  }
  EXPECT_GE(*drawn[7].begin(), 700);
}

TEST_F(SequencesSync, J7NoneIsMovedBackwardsHoweverOften) {
  draw(blue_owner(), "item_id_seq", 40);
  draw(green_owner(), "free", 900);
  expect_synced();
  const std::string once = standing(green());
  expect_synced();
  EXPECT_EQ(standing(green()), once);
  EXPECT_EQ(green().number("SELECT nextval('free')"), 9005);
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), 41);
  // Towards the side that is ahead already.
  expect_synced({"--to", "blue"});
  EXPECT_EQ(blue().number("SELECT nextval('item_id_seq')"), 42);
  EXPECT_EQ(blue().number("SELECT nextval('free')"), 9015);
}

TEST_F(SequencesSync, J7NoneIsMovedBackwardsWhileItIsDrawnFrom) {
  Sql drawing = green_server().connect(kOwnerRole, kShopDatabase);
  std::jthread writer([&](const std::stop_token& stop) {
    std::int64_t last = 0;
    while (!stop.stop_requested()) {
      for (const auto& row : drawing.rows("SELECT nextval('item_id_seq') FROM generate_series(1, 10)")) {
        const std::int64_t number = std::stoll(*row[0]);
        EXPECT_GT(number, last);
        last = number;
      }
    }
  });
  int moved = 0;
  for (const int ahead : {300'000, 300'000, 300'000, 9'000, 9'000, 9'000}) {
    const std::int64_t there = green().number("SELECT last_value FROM item_id_seq") + ahead;
    blue_owner().exec("SELECT setval('item_id_seq', " + std::to_string(there) + ")");
    const TealResult result = sync();
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    moved += result.out.find("1 moved") != std::string::npos ? 1 : 0;
    EXPECT_GE(green().number("SELECT last_value FROM item_id_seq"), there);
  }
  EXPECT_GE(moved, 3);
}

TEST_F(SequencesSync, J6J7CyclingOnesGoForwardAndBeginAgainAtTheirEnd) {
  create_tables_both("CREATE SEQUENCE ring MAXVALUE 10 CYCLE");
  draw(blue_owner(), "ring", 4);
  expect_synced();
  EXPECT_EQ(green().number("SELECT nextval('ring')"), 5);
  draw(green_owner(), "ring", 3);
  expect_synced();
  EXPECT_EQ(green().number("SELECT nextval('ring')"), 9);
  draw(blue_owner(), "ring", 6);
  expect_synced();
  EXPECT_EQ(green().number("SELECT nextval('ring')"), 1);
}

TEST_F(SequencesSync, MarginLeavesRoomForWhatBlueDrawsAfterwards) {
  draw(blue_owner(), "item_id_seq", 10);
  expect_synced();
  for (int i = 0; i < 2; ++i) {
    expect_synced({"--margin", "100"});
    EXPECT_EQ(green().number("SELECT last_value FROM item_id_seq"), 110);
  }
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), 111);
}

// One that has come to its end on blue has done so on green too; one that has less room on green is a problem.
TEST_F(SequencesSync, EndOfOneIsNotPassed) {
  create_tables_both("CREATE SEQUENCE few MAXVALUE 5; CREATE SEQUENCE less MAXVALUE 50");
  blue_owner().exec("GRANT UPDATE ON ALL SEQUENCES IN SCHEMA public TO teal");
  draw(blue_owner(), "few", 5);
  expect_synced();
  EXPECT_EQ(green_owner().sqlstate_of("SELECT nextval('few')"), "2200H");
  expect_synced();
  expect_synced({"--to", "blue"});
  blue_owner().exec("ALTER SEQUENCE less MAXVALUE 500; SELECT setval('less', 100)");
  const TealResult result = sync();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("public.less: it has no number left behind 100"));
}

// On green the application fills the key by itself from a sequence of the same name.
TEST_F(SequencesSync, J6SequenceThatNoColumnOfGreenDrawsFromIsFoundByItsName) {
  green_owner().exec("ALTER TABLE item ALTER id DROP DEFAULT; ALTER SEQUENCE item_id_seq OWNED BY NONE");
  draw(blue_owner(), "item_id_seq", 30);
  expect_synced();
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), 31);
}

TEST_F(SequencesSync, DryRunSaysWhatItWouldDoAndDoesNothing) {
  draw(blue_owner(), "item_id_seq", 10);
  const std::string before = standing(green());
  const TealResult result = sync({"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("public.item_id_seq: next 1 -> 11 (blue's: 11)"));
  EXPECT_THAT(result.out, HasSubstr("1 would be moved on green"));
  EXPECT_EQ(standing(green()), before);
}

TEST_F(SequencesSync, WhatCannotBeMovedIsNamedAndTheRestIs) {
  draw(blue_owner(), "item_id_seq", 10);
  draw(blue_owner(), "ident_id_seq", 10);
  draw(blue_owner(), "free", 10);
  blue_owner().exec("CREATE SEQUENCE only_blue");
  green_owner().exec("REVOKE UPDATE ON SEQUENCE ident_id_seq FROM teal; ALTER SEQUENCE free MAXVALUE 50");
  const TealResult refused = sync({"--json"});
  EXPECT_EQ(refused.exit_code, 1);
  const auto json = nlohmann::json::parse(refused.out);
  int problems = 0;
  for (const auto& entry : json["sequences"]) {
    if (entry["outcome"] != "problem") continue;
    ++problems;
    const std::string wanted = entry["sequence"] == "public.free" ? "MAXVALUE" : "GRANT SELECT, UPDATE ON SEQUENCE";
    EXPECT_THAT(entry["problem"].get<std::string>(), HasSubstr(wanted));
  }
  EXPECT_EQ(problems, 2) << refused.out;
  EXPECT_THAT(refused.out, HasSubstr("only_blue"));
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), 11);
  green_owner().exec("GRANT UPDATE ON SEQUENCE ident_id_seq TO teal; ALTER SEQUENCE free MAXVALUE 5000");
  expect_synced();
  EXPECT_EQ(green().number("SELECT nextval('ident_id_seq')"), 11);
  EXPECT_EQ(green().number("SELECT nextval('free')"), 105);
}

}  // namespace
}  // namespace teal::test
