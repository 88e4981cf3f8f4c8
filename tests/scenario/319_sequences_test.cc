// `sequences.interleave`: both sides draw keys, and none is drawn twice (TRAPS J6, J7, W12).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kInterleave = "sequences: { interleave: true }\n";
constexpr const char* kItem = "CREATE TABLE item (id serial PRIMARY KEY, side text)";

class Sequences : public TwoWayFixture {
 protected:
  void prepare(const std::string& sql, const std::vector<std::string>& tables, const std::string& more = kInterleave) {
    create_tables_both(sql);
    publish_both(tables);
    let_teal_alter();
    config_ = write_config({.more = "direction: both\nwriters: both\ncopy: { schema: false }\n" + more}).string();
  }
  void let_teal_alter() {
    blue().exec("GRANT shop_owner TO teal");
    green().exec("GRANT shop_owner TO teal");
  }
  static void insert(Sql& side, const std::string& table, const std::string& name, int count) {
    for (int i = 0; i < count; ++i) side.exec("INSERT INTO " + table + " (side) VALUES (" + sql_text(name) + ")");
  }
  /// "2 1": increment and start.
  static std::string settings(Sql& side, const std::string& sequence) {
    return side.value("SELECT format('%s %s', seqincrement, seqstart) FROM pg_sequence WHERE seqrelid = " +
                      sql_text(sequence) + "::regclass");
  }
  static std::int64_t records(Sql& side) { return side.number("SELECT count(*) FROM teal.sequence_state"); }
  void expect_no_conflict() {
    EXPECT_EQ(blue().number("SELECT count(*) FROM teal.conflict_log"), 0);
    EXPECT_EQ(green().number("SELECT count(*) FROM teal.conflict_log"), 0);
  }
  void finish() {
    teal_->terminate();
    const TealResult result = command({"finish", "--yes"});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  }
};

TEST_F(Sequences, J6W12BothSidesDrawAtATimeAndNoKeyIsDrawnTwice) {
  const std::vector<std::string> tables{"item", "big", "small", "below", "one", "two", "whole"};
  prepare(std::string(kItem) +
              "; ALTER SEQUENCE item_id_seq CACHE 20;"
              "CREATE TABLE big (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, side text);"
              "CREATE TABLE small (id smallserial PRIMARY KEY, side text);"
              "CREATE SEQUENCE down INCREMENT BY -1; CREATE SEQUENCE shared START 100;"
              "CREATE TABLE below (id bigint PRIMARY KEY DEFAULT nextval('down'), side text);"
              "CREATE TABLE one (id bigint PRIMARY KEY DEFAULT nextval('shared'), side text);"
              "CREATE TABLE two (id bigint PRIMARY KEY DEFAULT nextval('shared'), side text);"
              "CREATE TABLE whole (id bigserial PRIMARY KEY, side text) PARTITION BY RANGE (id);"
              "CREATE TABLE part PARTITION OF whole DEFAULT",
          {"public.item", "public.big", "public.small", "public.below", "public.one", "public.two", "public.whole"});
  // This session has numbers in its cache when the sequences are altered.
  for (const std::string& table : tables) insert(blue_owner(), table, "before", 3);
  run_both();
  EXPECT_EQ(times_logged("sequences interleaved side="), 2U);
  const auto write = [&](Sql& side, const std::string& name) {
    for (int i = 0; i < 100; ++i) {
      for (const std::string& table : tables) {
        EXPECT_EQ(side.sqlstate_of("INSERT INTO " + table + " (side) VALUES (" + sql_text(name) + ")"), "") << table;
      }
    }
  };
  Sql& on_blue = blue_owner();
  Sql& on_green = green_owner();
  std::jthread writer([&] { write(on_blue, "blue"); });
  write(on_green, "green");
  writer.join();
  wait_both_caught_up();
  expect_all_equal();
  expect_no_conflict();
  for (const std::string& table : tables) {
    EXPECT_EQ(blue().number("SELECT count(*) FROM " + table), 203) << table;
  }
  // Nor did that session go on with what it had in its cache.
  EXPECT_EQ(blue().value("SELECT string_agg(DISTINCT side || id % 2, ' ') FROM item WHERE side <> 'before'"),
            "blue1 green0");
  expect_ledgers_close();
}

TEST_F(Sequences, J6BlueIsWrittenWhileTheyAreInterleaved) {
  prepare(kItem, {"public.item"});
  std::atomic<int> failed{0};
  std::vector<std::jthread> writers;
  writers.reserve(3);
  for (int i = 0; i < 3; ++i) {
    writers.emplace_back([&](const std::stop_token& stop) {
      Sql own = blue_server().connect(kOwnerRole, kShopDatabase);
      while (!stop.stop_requested()) {
        const std::string insert = "INSERT INTO public.item (side) VALUES ('blue'); ";
        if (!own.sqlstate_of("BEGIN; " + insert + insert + "COMMIT").empty()) ++failed;
        static_cast<void>(own.sqlstate_of("BEGIN; SELECT nextval('public.item_id_seq'); ROLLBACK"));
      }
    });
  }
  run_both();
  insert(green_owner(), "item", "green", 100);
  writers.clear();  // stops them
  EXPECT_EQ(failed, 0);
  wait_both_caught_up();
  expect_all_equal();
  expect_no_conflict();
  finish();
}

TEST_F(Sequences, J7FinishPutsThemBackBehindWhatBothHaveDrawn) {
  prepare(std::string(kItem) +
              "; CREATE SEQUENCE tens INCREMENT BY 10 START 3 MINVALUE 3;"
              "CREATE TABLE ten (id bigint PRIMARY KEY DEFAULT nextval('tens'), side text)",
          {"public.item", "public.ten"});
  insert(blue_owner(), "item", "before", 5);
  run_both();
  EXPECT_EQ(settings(blue(), "item_id_seq"), "2 1");
  EXPECT_EQ(settings(green(), "item_id_seq"), "2 2");
  EXPECT_EQ(settings(blue(), "tens"), "20 3");
  EXPECT_EQ(settings(green(), "tens"), "20 13");
  for (const char* table : {"item", "ten"}) {
    insert(blue_owner(), table, "blue", 40);
    insert(green_owner(), table, "green", 3);
  }
  wait_both_caught_up();
  expect_all_equal();
  finish();
  expect_no_trace();
  for (Sql* side : {&blue(), &green()}) {
    EXPECT_EQ(settings(*side, "item_id_seq"), "1 1");
    EXPECT_EQ(settings(*side, "tens"), "10 3");
    for (const std::string table : {"item", "ten"}) {
      const std::int64_t most = side->number("SELECT max(id) FROM " + table);
      insert(*side, table, "after", 1);
      EXPECT_GT(side->number("SELECT id FROM " + table + " WHERE side = 'after'"), most);
    }
  }
}

TEST_F(Sequences, J7NextStartLeavesThemWhereTheyAre) {
  prepare(kItem, {"public.item"});
  run_both();
  insert(green_owner(), "item", "green", 5);
  insert(blue_owner(), "item", "blue", 2);
  wait_both_caught_up();
  const std::string before = blue().value("SELECT last_value FROM item_id_seq");
  EXPECT_EQ(teal_->terminate(), 0);
  run_both();
  EXPECT_EQ(times_logged("sequences interleaved"), 0U);
  EXPECT_EQ(blue().value("SELECT last_value FROM item_id_seq"), before);
  // A value that somebody set into the other side's numbers is mended at the next start.
  EXPECT_EQ(teal_->terminate(), 0);
  green().exec("SELECT setval('item_id_seq', 101)");
  run_both();
  EXPECT_EQ(times_logged("sequences interleaved"), 2U);
  EXPECT_EQ(settings(green(), "item_id_seq"), "2 2");
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), 104);
  green_owner().exec("TRUNCATE item RESTART IDENTITY");
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), 2);
  finish();
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
}

TEST_F(Sequences, KilledWhileOneIsHeldByATransaction) {
  prepare(kItem, {"public.item"});
  Sql holder = green_server().connect(kOwnerRole, kShopDatabase);
  holder.exec("BEGIN; SELECT nextval('public.item_id_seq')");
  run().wait_for_log("a sequence waits for a transaction that has drawn from it", seconds(60));
  blue_owner().set_deadline(seconds(5));
  insert(blue_owner(), "item", "blue", 5);  // nobody waits for teal that waits
  teal_->kill9();
  wait_until("teal's sessions have ended", seconds(30),
             [&] { return blue().truth("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'teal'"); });
  EXPECT_EQ(settings(blue(), "item_id_seq"), "1 1");
  EXPECT_EQ(records(blue()), 0);
  holder.exec("COMMIT");
  run_both();
  insert(blue_owner(), "item", "blue", 5);
  insert(green_owner(), "item", "green", 5);
  wait_both_caught_up();
  expect_all_equal();
  expect_no_conflict();
}

TEST_F(Sequences, KilledBetweenTheCommitsOfTheTwoSides) {
  prepare(kItem, {"public.item"});
  insert(blue_owner(), "item", "before", 4);
  EXPECT_EQ(command({"init"}).exit_code, 0);
  green().exec(
      "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN PERFORM "
      "pg_advisory_xact_lock(42); RETURN NULL; END$$; CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON "
      "teal.sequence_state DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.hold()");
  Sql holder = green_server().connect("postgres", kShopDatabase);
  holder.exec("SELECT pg_advisory_lock(42)");
  run();
  wait_until("blue is interleaved", seconds(60), [&] { return settings(blue(), "item_id_seq") == "2 1"; });
  teal_->kill9();
  green().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'teal'");
  wait_until("teal's sessions have ended", seconds(30),
             [&] { return green().truth("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'teal'"); });
  holder.exec("SELECT pg_advisory_unlock(42)");
  green().exec("DROP TRIGGER hold ON teal.sequence_state; DROP FUNCTION public.hold()");
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
  insert(blue_owner(), "item", "between", 4);
  run_both();
  EXPECT_EQ(settings(green(), "item_id_seq"), "2 2");
  insert(blue_owner(), "item", "blue", 5);
  insert(green_owner(), "item", "green", 5);
  wait_both_caught_up();
  expect_all_equal();
  expect_no_conflict();
  finish();
  EXPECT_EQ(settings(blue(), "item_id_seq"), "1 1");
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
}

TEST_F(Sequences, FinishThatIsHeldUpIsRepeated) {
  prepare(kItem, {"public.item"});
  run_both();
  EXPECT_EQ(teal_->terminate(), 0);
  Sql holder = green_server().connect(kOwnerRole, kShopDatabase);
  holder.exec("BEGIN; SELECT nextval('public.item_id_seq')");
  const TealResult held = command({"finish", "--yes"});
  EXPECT_EQ(held.exit_code, 1);
  EXPECT_THAT(held.err, HasSubstr("sequence public.item_id_seq is held by a transaction"));
  holder.exec("COMMIT");
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 0);
  EXPECT_EQ(settings(blue(), "item_id_seq"), "1 1");
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
  expect_no_trace();
}

TEST_F(Sequences, FinishWithoutTheOtherSideGoesOnBehindItsRows) {
  prepare(kItem, {"public.item"});
  run_both();
  insert(blue_owner(), "item", "blue", 30);
  wait_both_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  blue_server().stop();
  EXPECT_EQ(command({"finish", "--yes", "--force"}).exit_code, 0);
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq')"), green().number("SELECT max(id) + 1 FROM item"));
}

TEST_F(Sequences, WhatTealMayNotPutBackStaysNoted) {
  prepare(kItem, {"public.item"});
  run_both();
  EXPECT_EQ(teal_->terminate(), 0);
  green().exec("REVOKE shop_owner FROM teal");
  const TealResult left = command({"finish", "--yes", "--json"});
  EXPECT_EQ(left.exit_code, 1);
  const nlohmann::json said = nlohmann::json::parse(left.out);
  std::string mends;
  for (const nlohmann::json& one : said.at("left")) {
    const std::string mend = one.at("mend");
    if (mend.starts_with("ALTER SEQUENCE")) mends += mend;
  }
  EXPECT_EQ(records(green()), 1);
  green_owner().exec(mends);
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
  green().exec("GRANT shop_owner TO teal");
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 0);
  expect_no_trace();
}

TEST_F(Sequences, TableThatJoinsLaterIsInterleavedBeforeItIsPublishedOnGreen) {
  prepare(kItem, {"public.item"});
  run_both();
  create_tables_both("CREATE TABLE late (id serial PRIMARY KEY, side text)");
  insert(blue_owner(), "late", "before", 3);
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE late");
  teal_->wait_for_log("table is replicated in both directions table=public.late", seconds(180));
  EXPECT_EQ(settings(green(), "late_id_seq"), "2 2");
  insert(blue_owner(), "late", "blue", 5);
  insert(green_owner(), "late", "green", 5);
  wait_both_caught_up();
  expect_all_equal();
  expect_no_conflict();
}

TEST_F(Sequences, ValuesThatDoNotHoldAreReadBackAndRefused) {
  prepare(kItem, {"public.item"});
  green().exec(
      "CREATE FUNCTION public.meddle() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN PERFORM "
      "setval('public.item_id_seq', 77); END$$; CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN "
      "('ALTER SEQUENCE') EXECUTE FUNCTION public.meddle()");
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("is not what teal has set it to"));
  EXPECT_EQ(settings(blue(), "item_id_seq"), "1 1");
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
  EXPECT_EQ(records(blue()) + records(green()), 0);
}

TEST_F(Sequences, WithoutTheOptionNothingChanges) {
  prepare(kItem, {"public.item"}, "");
  run_both();
  EXPECT_EQ(settings(blue(), "item_id_seq"), "1 1");
  EXPECT_EQ(settings(green(), "item_id_seq"), "1 1");
}

}  // namespace
}  // namespace teal::test
