// Whose change is it: teal's own stay where they are, and everything else travels, also in the way back (TRAPS B).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "tests/scenario/two_way_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, v text, n int)";

class TwoWayOrigins : public TwoWayFixture {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override { return green_options(); }
  [[nodiscard]] PgServerOptions green_options() const override {
    return {.settings = {"max_prepared_transactions=10", "logical_decoding_work_mem=64kB"}};
  }

  static std::string rows(int first, int last, const std::string& value) {
    return "INSERT INTO item SELECT i, " + sql_text(value) + ", i FROM generate_series(" + std::to_string(first) +
           ", " + std::to_string(last) + ") i; ";
  }
  /// Changes that came from applications of the link's source, also from its publisher.
  std::int64_t foreign_and_local(const std::string& link) { return counter(link, "received") - counter(link, "own"); }
};

TEST_F(TwoWayOrigins, B2RowsThatBlueSubscribesToReachGreenAndDoNotComeBack) {
  PgServer third;
  third.psql("CREATE DATABASE shop");
  Sql publisher = third.connect("postgres", kShopDatabase);
  publisher.exec("CREATE TABLE item (id int PRIMARY KEY, v text, n int)");
  publisher.exec(rows(1, 50, "copied from the third"));
  publisher.exec("CREATE PUBLICATION third FOR TABLE item");
  start_both(kItems, {"public.item"});
  blue().exec("CREATE SUBSCRIPTION third CONNECTION " + sql_text(third.conninfo("postgres", kShopDatabase)) +
              " PUBLICATION third");
  wait_for_count("item", 50);
  publisher.exec(rows(51, 100, "third") +
                 "UPDATE item SET v = 'third again' WHERE id <= 10; DELETE FROM item WHERE id "
                 "= 50");
  wait_for_count("item", 99);
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(foreign_and_local("blue_to_green"), 50 + 50 + 10 + 1);
  EXPECT_EQ(foreign_and_local("green_to_blue"), 0);
  // They are versions like any other of blue's: what green has seen of them it may change.
  green_owner().exec("UPDATE item SET v = 'green' WHERE id <= 5");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 5);
  EXPECT_EQ(foreign_and_local("green_to_blue"), 5);
  expect_ledgers_close();
  blue().exec("ALTER SUBSCRIPTION third DISABLE; ALTER SUBSCRIPTION third SET (slot_name = NONE)");
  blue().exec("DROP SUBSCRIPTION third");
}

TEST_F(TwoWayOrigins, B3TheWayBackCopiesNothing) {
  create_tables_both(kItems);
  blue_owner().exec(rows(1, 1000, "blue"));
  publish_both({"public.item"});
  configure("copy: { schema: false }\n");
  run_streaming();
  wait_caught_up();
  blue_owner().exec("DELETE FROM item WHERE id <= 100");
  wait_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  config_ = write_config({.more = "direction: both\ncopy: { schema: false }\n"}).string();
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(counter("green_to_blue", "received"), 0);
  EXPECT_EQ(times_logged("table copied link=green_to_blue"), 0U);
}

// Copying, applying, joining and deciding: on each side, what has no origin of teal's is what applications wrote.
TEST_F(TwoWayOrigins, B4NothingThatTealWritesLooksLikeAnApplications) {
  create_tables_both(kItems);
  blue_owner().exec(rows(1, 1000, "blue"));
  publish_both({"public.item"});
  count_local_changes(blue());
  count_local_changes(green());
  config_ = write_config({.more = "direction: both\ncopy: { schema: false }\n"}).string();
  run_both();
  wait_both_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("UPDATE item SET v = 'blue again' WHERE id <= 20");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id BETWEEN 11 AND 30");
  run_both();
  wait_both_caught_up();
  create_tables_both("CREATE TABLE later (id int PRIMARY KEY, v text)");
  blue_owner().exec("INSERT INTO later SELECT i, 'blue' FROM generate_series(1, 500) i");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE later");
  wait_joined("later");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_GT(counter("blue_to_green", "conflict_lost") + counter("green_to_blue", "conflict_lost"), 0);
  EXPECT_EQ(local_changes(blue()), 20 + 500);
  EXPECT_EQ(local_changes(green()), 20);
}

TEST_F(TwoWayOrigins, B5WhoseATransactionIsDoesNotPassToTheNextAlsoWhenTealIsKilled) {
  start_both(kItems, {"public.item"});
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      const int id = (round * 10 + i) * 2;
      blue_owner().exec(rows(id, id, "blue"));
      green_owner().exec(rows(id + 1, id + 1, "green"));
    }
    teal_->kill9();
    run_both();
  }
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(counter("blue_to_green", "applied"), 30);
  EXPECT_EQ(counter("green_to_blue", "applied"), 30);
  expect_ledgers_close();
}

// A Relation message is sent once, and may come inside a transaction that is skipped.
TEST_F(TwoWayOrigins, B5RelationThatComesInAnOwnTransactionCountsForTheNextLocalOne) {
  start_both(kItems, {"public.item"});
  blue_owner().exec(rows(1, 5, "blue"));
  wait_both_caught_up();
  green_owner().exec("UPDATE item SET v = 'green' WHERE id = 1");
  wait_both_caught_up();
  for (const char* change : {"ALTER TABLE item ADD COLUMN later text", "ALTER TABLE item DROP COLUMN n"}) {
    green_owner().exec(change);
    blue_owner().exec(change);
    blue_owner().exec("INSERT INTO item (id, v) SELECT max(id) + 1, 'blue' FROM item");
    wait_both_caught_up();
    green_owner().exec("UPDATE item SET later = v || ' later'");
    wait_both_caught_up();
    expect_all_equal();
  }
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE later = v || ' later'"), 7);
}

TEST_F(TwoWayOrigins, B7LargeTransactionIsOwnFromItsFirstRowToItsLast) {
  start_both(kItems, {"public.item"});
  green_owner().exec("INSERT INTO item VALUES (-1, 'green', 0)");
  blue_owner().exec(rows(1, 200'000, "a large transaction of blue's"));
  wait_both_caught_up();
  green_owner().exec("UPDATE item SET v = 'green' WHERE id = 7");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(counter("blue_to_green", "applied"), 200'000);
  EXPECT_EQ(counter("green_to_blue", "own"), 200'000);
  EXPECT_EQ(foreign_and_local("green_to_blue"), 2);
  EXPECT_EQ(foreign_and_local("blue_to_green"), 200'000);
  EXPECT_TRUE(green().truth("SELECT coalesce(sum(stream_txns + spill_txns), 0) > 0 FROM pg_stat_replication_slots"))
      << "it was not large for green's walsender";
}

// Its number in the log would have no name: what teal wrote would look like an application's.
TEST_F(TwoWayOrigins, B8OriginThatWasDroppedIsNotMadeAnew) {
  start_both(kItems, {"public.item"});
  blue_owner().exec(rows(1, 10, "blue"));
  wait_both_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  for (const bool on_green : {true, false}) {
    Sql& side = on_green ? green() : blue();
    const std::string origin = on_green ? "teal_shop_blue_to_green" : "teal_shop_green_to_blue";
    side.exec("SELECT pg_replication_origin_drop(" + sql_text(origin) + ")");
    EXPECT_EQ(run().wait_exit(seconds(60)), 1);
    EXPECT_THAT(teal_->err(), testing::HasSubstr("the replication origin " + origin + " is gone"));
    EXPECT_THAT(teal_->err(), testing::HasSubstr("teal finish"));
    side.exec("SELECT pg_replication_origin_create(" + sql_text(origin) + ")");
  }
  run_both();
}

TEST_F(TwoWayOrigins, B9WhatATriggerAddsToTealsOwnRowsStaysThere) {
  start_both(std::string(kItems) + "; CREATE TABLE audit (id int, side text, PRIMARY KEY (id, side))",
             {"public.item", "public.audit"});
  green_owner().exec(
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (NEW.id, "
      "'green'); RETURN NULL; END $$; CREATE TRIGGER note AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION note(); "
      "ALTER TABLE item ENABLE ALWAYS TRIGGER note");
  blue_owner().exec(rows(1, 10, "blue"));
  wait_both_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM audit"), 10);
  EXPECT_EQ(blue().number("SELECT count(*) FROM audit"), 0);
  green_owner().exec(rows(11, 12, "green"));
  wait_both_caught_up();
  EXPECT_EQ(blue().number("SELECT count(*) FROM audit"), 2);
  expect_equal("public.item");
}

TEST_F(TwoWayOrigins, G12PreparedTransactionsOfBothSidesCountFromTheirCommit) {
  start_both(kItems, {"public.item"});
  blue_owner().exec(rows(1, 10, "old"));
  wait_both_caught_up();
  blue_owner().exec("BEGIN; UPDATE item SET v = 'blue' WHERE id <= 5; " + rows(101, 103, "blue") +
                    "PREPARE TRANSACTION 'on blue'");
  green_owner().exec("BEGIN; UPDATE item SET v = 'green' WHERE id BETWEEN 6 AND 10; " + rows(201, 203, "green") +
                     "PREPARE TRANSACTION 'on green'");
  blue_owner().exec("INSERT INTO item VALUES (300, 'blue', 0)");
  wait_both_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 11) << "what is prepared has not happened yet";
  teal_->kill9();
  // Neither has seen the other's; green's commit is the later one.
  blue_owner().exec("COMMIT PREPARED 'on blue'");
  green_owner().exec("UPDATE item SET v = 'green' WHERE id = 1");
  green_owner().exec("COMMIT PREPARED 'on green'");
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().value("SELECT string_agg(v, ' ' ORDER BY id) FROM item WHERE id <= 10"),
            "green blue blue blue blue green green green green green");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 17);
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_prepared_xacts"), 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_prepared_xacts"), 0);
  expect_ledgers_close();
}

}  // namespace
}  // namespace teal::test
