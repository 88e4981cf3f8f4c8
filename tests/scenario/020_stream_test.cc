// `teal run` between two servers: rows written on blue arrive on green.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/pgbench.h"
#include "tests/support/two_node_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

class Stream : public TwoNodeFixture {
 protected:
  /// A table `item` on both sides and the publication for it.
  void prepare_items() {
    create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text, big text)");
    create_publication({"public.item"});
    config_ =
        write_config({.more = "direction: forward\ncopy: { schema: false }\ntables: { include: [public.item] }\n"})
            .string();
  }

  TealProcess& run(const std::vector<std::string>& more = {}, const TealOptions& options = {}) {
    std::vector<std::string> arguments{"--config", config_, "run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    teal_ = std::make_unique<TealProcess>(arguments, options);
    return *teal_;
  }

  void wait_for_rows(const std::string& table, std::int64_t count) {
    wait_until(table + " on green has " + std::to_string(count) + " rows", seconds(30),
               [&] { return green().number("SELECT count(*) FROM " + table) == count; });
  }

  /// Everything committed on blue until now is applied on green: a row of the test's own has come through.
  void wait_caught_up() {
    const std::string id =
        blue().value("INSERT INTO teal.marker (migration, link) VALUES ('shop', 'blue_to_green') RETURNING id");
    wait_until("the marker has arrived", seconds(60),
               [&] { return green().truth("SELECT count(*) > 0 FROM teal.marker_applied WHERE id = " + id); });
  }

  void TearDown() override {
    if (HasFailure() && teal_) std::fprintf(stderr, "%s", teal_->err().c_str());
    TwoNodeFixture::TearDown();
  }

  std::string config_;
  std::unique_ptr<TealProcess> teal_;
};

TEST_F(Stream, InsertsUpdatesDeletesAndTruncatesArrive) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("INSERT INTO item (name, big) SELECT 'n' || i, repeat('x', 5000) FROM generate_series(1, 100) i");
  wait_for_rows("item", 100);
  blue_owner().exec("UPDATE item SET name = 'changed' WHERE id % 2 = 0; DELETE FROM item WHERE id % 10 = 0");
  wait_for_rows("item", 90);
  wait_caught_up();
  expect_equal("public.item");
  blue_owner().exec("BEGIN; TRUNCATE item; INSERT INTO item (name) VALUES ('after'); COMMIT");
  wait_for_rows("item", 1);
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Stream, RolledBackWorkNeverArrives) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("BEGIN; INSERT INTO item (name) VALUES ('gone'); ROLLBACK");
  blue_owner().exec(
      "BEGIN; INSERT INTO item (name) VALUES ('kept'); SAVEPOINT s; INSERT INTO item (name) VALUES ('gone'); "
      "ROLLBACK TO s; COMMIT");
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(green().value("SELECT string_agg(name, ',') FROM item"), "kept");
}

TEST_F(Stream, LargeTransactionIsAppliedWhole) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("INSERT INTO item (name, big) SELECT 'n' || i, repeat('y', 200) FROM generate_series(1, 200000) i");
  wait_for_rows("item", 200000);
  EXPECT_EQ(green().number("SELECT count(DISTINCT xmin::text) FROM item"), 1);
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_LT(teal.peak_rss_kib(), 96 * 1024);
}

TEST_F(Stream, UntilSyncedEndsOnceEverythingIsThere) {
  prepare_items();
  blue_owner().exec("INSERT INTO item (name) SELECT 'n' || i FROM generate_series(1, 1000) i");
  const TealResult result = run_teal({"--config", config_, "run", "--until-synced"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_equal("public.item");
  blue_owner().exec("UPDATE item SET name = 'later'");
  EXPECT_EQ(run_teal({"--config", config_, "run", "--until-synced"}).exit_code, 0);
  expect_equal("public.item");
}

TEST_F(Stream, TermDrainsAndAcknowledgesWhatWasApplied) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("INSERT INTO item (name) SELECT 'n' || i FROM generate_series(1, 1000) i");
  wait_for_rows("item", 1000);
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
  const std::string applied = green().value("SELECT applied FROM teal.progress");
  EXPECT_TRUE(blue().truth("SELECT confirmed_flush_lsn = " + sql_text(applied) + "::pg_lsn FROM pg_replication_slots"));
}

TEST_F(Stream, A8IdleLinkMovesItsProgressRowFirstAndThenTheSlot) {
  prepare_items();
  blue_owner().exec("CREATE TABLE unpublished (id int)");
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("INSERT INTO unpublished SELECT generate_series(1, 10000)");
  const std::string end = blue().value("SELECT pg_current_wal_flush_lsn()");
  wait_until("the slot lets go of WAL that nobody needs", seconds(30), [&] {
    // At no time is the slot ahead of the flushed row (invariant I4). Slot first: the row only moves forward.
    const std::string confirmed = blue().value(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = "
        "'teal_shop_blue_to_green'");
    EXPECT_TRUE(green().truth("SELECT held >= " + sql_text(confirmed) + "::pg_lsn FROM teal.progress"));
    return blue().truth("SELECT " + sql_text(confirmed) + "::pg_lsn >= " + sql_text(end) + "::pg_lsn");
  });
}

TEST_F(Stream, A8KeepaliveNeverAcknowledgesWhatIsNotApplied) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE");
  blue_owner().exec("INSERT INTO item (name) VALUES ('waits')");
  const std::string committed = blue().value("SELECT pg_current_wal_flush_lsn()");
  blue_owner().exec("CREATE TABLE more (id int); INSERT INTO more SELECT generate_series(1, 10000)");
  wait_until("the applier waits for the lock", seconds(20),
             [&] { return green().truth("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"); });
  // The source goes on asking and being answered; nothing that it hears passes the row.
  wait_until("the source has heard from the receiver after that", seconds(20), [&] {
    return blue().truth("SELECT coalesce(bool_and(reply_time > now() - interval '1 second' AND write_lsn > " +
                        sql_text(committed) + "::pg_lsn), false) FROM pg_stat_replication");
  });
  // NULL: nothing was acknowledged at all by now.
  EXPECT_TRUE(
      blue().truth("SELECT coalesce(flush_lsn < " + sql_text(committed) + "::pg_lsn, true) FROM pg_stat_replication"));
  blocker.exec("ROLLBACK");
  wait_for_rows("item", 1);
}

TEST_F(Stream, ForeignTransactionsAreForwardedAndOwnOnesSkipped) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue().exec(
      "SELECT pg_replication_origin_create('some_other_node'); SELECT "
      "pg_replication_origin_create('teal_shop_green_to_blue')");
  blue().exec("SELECT pg_replication_origin_session_setup('some_other_node')");
  blue().exec("INSERT INTO item (name) VALUES ('foreign')");
  blue().exec("SELECT pg_replication_origin_session_reset()");
  blue().exec("SELECT pg_replication_origin_session_setup('teal_shop_green_to_blue')");
  blue().exec("INSERT INTO item (name) VALUES ('own')");
  blue().exec("SELECT pg_replication_origin_session_reset()");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(name, ',') FROM item"), "foreign");
  EXPECT_EQ(green().value("SELECT counters->>'own' FROM teal.progress"), "1");
}

TEST_F(Stream, BrokenConnectionsAreMadeAgain) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  for (int round = 1; round <= 3; ++round) {
    blue().exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL");
    blue_owner().exec("INSERT INTO item (name) VALUES ('a')");
    wait_for_rows("item", 2 * round - 1);
    green().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teal/shop/%'");
    blue_owner().exec("INSERT INTO item (name) VALUES ('b')");
    wait_for_rows("item", 2 * round);
  }
  expect_equal("public.item");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Stream, ServersMayRestart) {
  prepare_items();
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("INSERT INTO item (name) VALUES ('before')");
  wait_for_rows("item", 1);
  green_server().restart(StopMode::kImmediate);
  blue_owner().exec("INSERT INTO item (name) VALUES ('green came back')");
  wait_for_rows("item", 2);
  blue_server().restart(StopMode::kImmediate);
  blue_owner().exec("INSERT INTO item (name) VALUES ('blue came back')");
  wait_for_rows("item", 3);
  wait_caught_up();
  expect_equal("public.item");
}

TEST_F(Stream, SlotAheadOfTheProgressRowStopsTheLinkWithTheGap) {
  prepare_items();
  {
    TealProcess& teal = run();
    teal.wait_for_log("link streaming");
    blue_owner().exec("INSERT INTO item (name) VALUES ('a')");
    wait_for_rows("item", 1);
    EXPECT_EQ(teal.terminate(), 0);
  }
  green().exec("UPDATE teal.progress SET applied = applied - 100, held = held - 100");  // a restored target
  const TealResult result = run_teal({"--config", config_, "run", "--until-synced"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("gap"));
}

TEST_F(Stream, TableThatLeftThePublicationForAWhileIsNotTakenForUpToDate) {
  prepare_items();
  EXPECT_EQ(run_teal({"--config", config_, "run", "--until-synced"}).exit_code, 0);
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE item");
  blue_owner().exec("INSERT INTO item (name) VALUES ('never published')");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE item");
  const TealResult refused = run_teal({"--config", config_, "run", "--until-synced"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, testing::HasSubstr("public.item"));
  green().exec("TRUNCATE item; DELETE FROM teal.table_state");  // as the message says
  EXPECT_EQ(run_teal({"--config", config_, "run", "--until-synced"}).exit_code, 0);
  expect_equal("public.item");
}

TEST_F(Stream, RowThatGreenRefusesStopsTheLinkWithExitCode5) {
  prepare_items();
  green_owner().exec("ALTER TABLE item ADD CONSTRAINT no_such_name CHECK (name <> 'bad')");
  TealProcess& teal = run();
  teal.wait_for_log("link streaming");
  blue_owner().exec("INSERT INTO item (name) VALUES ('good')");
  blue_owner().exec("INSERT INTO item (name) VALUES ('bad')");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), testing::HasSubstr("no_such_name"));
  EXPECT_EQ(green().value("SELECT string_agg(name, ',') FROM item"), "good");
  green_owner().exec("ALTER TABLE item DROP CONSTRAINT no_such_name");
  EXPECT_EQ(run_teal({"--config", config_, "run", "--until-synced"}).exit_code, 0);
  expect_equal("public.item");
}

}  // namespace
}  // namespace teal::test
