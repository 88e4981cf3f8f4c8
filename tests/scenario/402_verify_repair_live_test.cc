// `teal verify --repair` beside a running sidecar: what it writes is no change of an application's, and what
// applications write meanwhile stays (TRAPS B, G, K).
#include <gmock/gmock.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <stop_token>
#include <thread>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pgbench.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, v text, n int)";

/// Writes rows that no link carries: under an origin that is taken for teal's own.
void plant(Sql& side, const std::string& own_prefix, const std::string& statements) {
  const std::string origin = sql_text(own_prefix + "_drift");
  side.exec("SELECT pg_replication_origin_create(" + origin +
            ") WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = " + origin + ")");
  side.exec("SELECT pg_replication_origin_session_setup(" + origin + "); BEGIN; " + statements +
            "; COMMIT; SELECT pg_replication_origin_session_reset()");
}

/// Sessions that write single rows of a few keys, each its own way.
class Writers {
 public:
  Writers(const std::string& conninfo, int threads, std::uint64_t seed, bool inserts) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([=, this](const std::stop_token& stop) {
        write(conninfo, seed + static_cast<std::uint64_t>(i), inserts, stop);
      });
    }
  }
  void stop() { threads_.clear(); }
  [[nodiscard]] std::string problem() const {
    const std::scoped_lock lock(mutex_);
    return problem_;
  }
  [[nodiscard]] int written() const { return written_; }

 private:
  void write(const std::string& conninfo, std::uint64_t seed, bool inserts, const std::stop_token& stop) {
    std::mt19937_64 random(seed);
    const auto draw = [&](std::uint64_t below) { return random() % below; };
    try {
      Sql sql(conninfo);
      while (!stop.stop_requested()) {
        const std::string id = std::to_string(1 + draw(300));
        const std::string value = "'w" + std::to_string(draw(1'000'000)) + "'";
        const std::uint64_t kind = draw(inserts ? 10 : 6);
        if (kind < 6) {
          sql.exec("UPDATE public.item SET v = " + value + ", n = n + 1 WHERE id = " + id);
        } else if (kind < 8) {
          sql.exec("DELETE FROM public.item WHERE id = " + id);
        } else {
          sql.exec("INSERT INTO public.item VALUES (" + id + ", " + value + ", 0) ON CONFLICT DO NOTHING");
        }
        ++written_;
        sql.exec("SELECT pg_sleep(0.004)");
      }
    } catch (const std::exception& error) {
      const std::scoped_lock lock(mutex_);
      problem_ = error.what();
    }
  }

  mutable std::mutex mutex_;
  std::string problem_;  // guarded by mutex_
  std::atomic<int> written_{0};
  std::vector<std::jthread> threads_;
};

nlohmann::json parsed(const TealResult& result) {
  EXPECT_FALSE(result.out.empty()) << result.err;
  return nlohmann::json::parse(result.out);
}

class VerifyRepairTwoWay : public TwoWayFixture {};

TEST_F(VerifyRepairTwoWay, B1RepairIsNotCarriedAndNoConflictAndRowsGoOnAsBefore) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', i FROM generate_series(1, 1000) i");
  wait_both_caught_up();
  const std::string drift =
      "UPDATE public.item SET v = 'drift' WHERE id <= 50; DELETE FROM public.item WHERE id BETWEEN 51 AND 80; INSERT "
      "INTO public.item SELECT i, 'extra', 0 FROM generate_series(2001, 2020) i";
  plant(green(), "teal_shop_blue_to_green", drift);
  count_local_changes(green());
  count_local_changes(blue());
  const TealResult of_green = command({"--json", "verify", "--repair", "blue"});
  ASSERT_EQ(of_green.exit_code, 0) << of_green.out << of_green.err;
  EXPECT_EQ(parsed(of_green)["repair"]["tables"][0]["written"],
            (nlohmann::json{{"insert", 30}, {"update", 50}, {"delete", 20}}));
  wait_both_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'old'"), 1000);
  plant(blue(), "teal_shop_green_to_blue", drift);
  const TealResult of_blue = command({"verify", "--repair", "green"});
  ASSERT_EQ(of_blue.exit_code, 0) << of_blue.out << of_blue.err;
  wait_both_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE v = 'old'"), 1000);
  EXPECT_EQ(local_changes(green()), 0);
  EXPECT_EQ(local_changes(blue()), 0);
  EXPECT_EQ(counter("green_to_blue", "applied"), 0);
  EXPECT_EQ(counter("blue_to_green", "applied"), 1000);

  green_owner().exec(
      "UPDATE item SET v = 'green' WHERE id BETWEEN 1 AND 60; DELETE FROM item WHERE id BETWEEN 61 AND 65");
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id BETWEEN 66 AND 90; INSERT INTO item VALUES (2001, 'blue', 0)");
  wait_both_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v = 'green'"), 60);
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE v = 'blue'"), 26);
  for (Sql* side : {&blue(), &green()}) EXPECT_EQ(side->number("SELECT count(*) FROM teal.conflict_log"), 0);
  expect_ledgers_close();
  EXPECT_EQ(teal_->terminate(), 0);
  const TealResult finished = command({"finish", "--yes"});  // 1: the publications are their owner's
  EXPECT_THAT(finished.err + finished.out, testing::HasSubstr("origin teal_shop_blue_to_green_repair"));
  for (Sql* side : {&blue(), &green()}) {
    EXPECT_EQ(side->number("SELECT count(*) FROM pg_replication_origin WHERE roname LIKE '%repair'"), 0);
  }
}

TEST_F(VerifyRepairTwoWay, G1RepairUnderLoadOnBothSidesEndsWithEqualSides) {
  start_both(kItems, {"public.item"}, "apply: { two_way_batch_rows: 50 }\n");
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 2000) i");
  wait_both_caught_up();
  Writers on_blue(blue_server().conninfo(kOwnerRole, kShopDatabase), 2, 1, true);
  Writers on_green(green_server().conninfo(kOwnerRole, kShopDatabase), 2, 101, true);
  std::uint64_t written = 0;
  for (int i = 0; i < 6; ++i) {
    const bool green_drifts = i % 2 == 0;
    // A link that needs a row which is gone would stop: what the writers have differs in values alone.
    plant(green_drifts ? green() : blue(), green_drifts ? "teal_shop_blue_to_green" : "teal_shop_green_to_blue",
          "UPDATE public.item SET v = 'drift' WHERE id <= 1200 AND id % 3 = " + std::to_string(i % 3) +
              "; DELETE FROM public.item WHERE id BETWEEN 1501 AND 1600; INSERT INTO public.item SELECT i, 'extra', 0 "
              "FROM generate_series(3001, 3100) i");
    const TealResult result = command({"--json", "verify", "--repair", green_drifts ? "blue" : "green"});
    EXPECT_THAT(result.exit_code, testing::AnyOf(0, 1, 3)) << result.err;
    const nlohmann::json report = parsed(result);
    for (const auto& table : report["repair"]["tables"]) {
      written += table["written"]["insert"].get<std::uint64_t>() + table["written"]["update"].get<std::uint64_t>();
    }
  }
  EXPECT_GT(written, 1000U);
  on_blue.stop();
  on_green.stop();
  EXPECT_EQ(on_blue.problem() + on_green.problem(), "");
  EXPECT_GT(on_blue.written() + on_green.written(), 500);
  wait_both_caught_up();
  const TealResult last = command({"--json", "verify", "--repair", "blue"});
  EXPECT_EQ(last.exit_code, 0) << last.out << last.err;
  wait_both_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(times_logged("link stopped"), 0U);
  expect_ledgers_close();
}

// The comparison is over, and the repair waits for its lock: what is written then is not what was compared.
TEST_F(VerifyRepairTwoWay, K2WhatIsWrittenAfterTheComparisonStays) {
  start_both(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', i FROM generate_series(1, 100) i");
  wait_both_caught_up();
  plant(green(), "teal_shop_blue_to_green",
        "UPDATE public.item SET v = 'drift' WHERE id <= 40; DELETE FROM public.item WHERE id BETWEEN 41 AND 50; INSERT "
        "INTO public.item SELECT i, 'extra', 0 FROM generate_series(201, 220) i");
  Sql holder = green_server().connect(kTealRole, kShopDatabase);
  holder.exec("SELECT pg_advisory_lock(hashtextextended('teal.run.shop.repair', 0))");
  TealProcess repair(with_config({"--json", "verify", "--repair", "blue"}));
  wait_until("the repair waits", seconds(30), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'teal/shop/repair' AND query LIKE "
        "'%pg_try_advisory_lock%'");
  });
  blue_owner().exec(
      "UPDATE item SET v = 'blue' WHERE id <= 5; DELETE FROM item WHERE id BETWEEN 6 AND 10; UPDATE item "
      "SET id = id + 1000 WHERE id BETWEEN 11 AND 15");
  green_owner().exec(
      "UPDATE item SET v = 'green' WHERE id BETWEEN 16 AND 20; DELETE FROM item WHERE id BETWEEN 21 AND "
      "25; UPDATE item SET id = id + 2000 WHERE id BETWEEN 26 AND 30");
  wait_both_caught_up();
  holder.exec("SELECT pg_advisory_unlock_all()");
  ASSERT_EQ(repair.wait_exit(seconds(60)), 0) << repair.out() << repair.err();
  const nlohmann::json report = nlohmann::json::parse(repair.out());
  EXPECT_EQ(report["repair"]["tables"][0]["planned"], (nlohmann::json{{"insert", 10}, {"update", 40}, {"delete", 20}}));
  wait_both_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(blue().value("SELECT string_agg(v || ' ' || n, ',' ORDER BY v, n) FROM (SELECT v, count(*) AS n FROM item "
                         "GROUP BY v) AS s"),
            "blue 5,drift 5,green 5,old 75");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE id > 1000"), 10);
}

class VerifyRepairOneWay : public SidecarFixture {};

TEST_F(VerifyRepairOneWay, K1RepairOfGreenUnderLoadEndsWithEqualSides) {
  start(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 3000) i");
  wait_caught_up();
  Writers writers(blue_server().conninfo(kOwnerRole, kShopDatabase), 3, 7, false);
  for (int i = 0; i < 4; ++i) {
    // Rows that the link needs stay: where they were gone, it would stop.
    green_owner().exec("UPDATE item SET v = 'drift' || v WHERE id % 2 = " + std::to_string(i % 2) +
                       "; DELETE FROM item WHERE id > 2500; INSERT INTO item SELECT i, 'extra', 0 FROM "
                       "generate_series(5001, 5300) i ON CONFLICT DO NOTHING");
    const TealResult result = command({"--json", "verify", "--repair", "blue"});
    EXPECT_THAT(result.exit_code, testing::AnyOf(0, 3)) << result.out << result.err;
    EXPECT_GE(parsed(result)["repair"]["tables"][0]["written"]["insert"].get<int>(), 500);
  }
  writers.stop();
  EXPECT_EQ(writers.problem(), "");
  EXPECT_GT(writers.written(), 100);
  wait_caught_up();
  EXPECT_EQ(command({"verify", "--repair", "blue"}).exit_code, 0);
  expect_equal("public.item");
}

// What waits in the slot looks as if it were missing.
TEST_F(VerifyRepairOneWay, A5NothingIsWrittenThatALinkHasYetToBring) {
  start(kItems, {"public.item"});
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 100) i");
  const TealResult result = command({"verify", "--repair", "blue"});
  EXPECT_EQ(result.exit_code, 3) << result.out;
  EXPECT_THAT(result.err, testing::HasSubstr("set up and not running: blue_to_green"));
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
  EXPECT_EQ(command({"verify", "--repair", "blue", "--dry-run"}).exit_code, 3);
  run_streaming();
  wait_caught_up();
  EXPECT_EQ(command({"verify", "--repair", "blue"}).exit_code, 0);
  expect_equal("public.item");
}

TEST_F(VerifyRepairOneWay, B1RepairOfBlueIsNotCarriedToGreen) {
  start(kItems, {"public.item"});
  blue_owner().exec("INSERT INTO item SELECT i, 'old', 0 FROM generate_series(1, 100) i");
  wait_caught_up();
  green_owner().exec(
      "UPDATE item SET v = 'green' WHERE id <= 10; DELETE FROM item WHERE id BETWEEN 11 AND 20; INSERT "
      "INTO item VALUES (500, 'green', 1)");
  const TealResult result = command({"verify", "--repair", "green"});
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(blue().number("SELECT count(*) FROM item"), 91);
  blue_owner().exec("UPDATE item SET v = 'blue' WHERE id IN (1, 500)");
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(times_logged("link stopped"), 0U);
}

}  // namespace
}  // namespace teal::test
