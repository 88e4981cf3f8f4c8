// pgbench on blue with `teal run` beside it, which is left alone, killed again and again, or cut off from its servers.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/pgbench.h"

namespace teal::test {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr int kClients = 8;
constexpr int kScale = 5;

int load_seconds() { return long_tier() ? 60 : 10; }
int kills_wanted() { return long_tier() ? 20 : 3; }

class LoadFixture : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase, {.scale = kScale});
    create_pgbench_tables(green_server(), kOwnerRole, kShopDatabase, {.scale = kScale, .rows = false});
    create_publication(kPgbenchTables);
    configure("copy: { schema: false }\n");
  }

  Pgbench start_load(int length_s) {
    return {blue_server(), kOwnerRole, kShopDatabase, {.clients = kClients, .seconds = length_s}};
  }

  /// About how many transactions pgbench has committed; as cheap as a look can be.
  std::int64_t history_rows() { return blue().number("SELECT last_value FROM public.pgbench_history_hid_seq"); }

  /// Returns false when the load ended first.
  bool wait_for_growth(Pgbench& load, std::int64_t rows) {
    const std::int64_t goal = history_rows() + rows;
    bool reached = false;
    wait_until("pgbench has written " + std::to_string(rows) + " rows or has ended", seconds(120), [&] {
      reached = history_rows() >= goal;
      return reached || !load.running();
    });
    return reached;
  }

  void expect_same_on_both_sides() {
    for (const std::string& table : kPgbenchTables) expect_equal(table);
    const std::string counts = "SELECT count(*) || ' ' || count(DISTINCT hid) FROM public.pgbench_history";
    const std::string rows = green().value("SELECT count(*) FROM public.pgbench_history");
    EXPECT_EQ(green().value(counts), rows + " " + rows) << "something is there twice";
    EXPECT_EQ(blue().value(counts), rows + " " + rows);
  }

  /// Starts teal and returns how long it took until it streamed.
  milliseconds start_to_streaming() {
    const auto start = Clock::now();
    run_streaming();
    return duration_cast<milliseconds>(Clock::now() - start);
  }
};

class PgbenchLoad : public LoadFixture {};

TEST_F(PgbenchLoad, ArrivesWholeWithLittleLagInLittleMemory) {
  TealProcess& teal = run_streaming();
  Pgbench load = start_load(load_seconds());
  const PgbenchResult result = load.wait(seconds(load_seconds() + 60));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const milliseconds lag = wait_caught_up();
  const long peak_kib = teal.peak_rss_kib();
  std::printf("%d s, %.0f transactions/s, lag at the end %lld ms, peak memory %.1f MiB\n", load_seconds(), result.tps,
              static_cast<long long>(lag.count()), static_cast<double>(peak_kib) / 1024);
  EXPECT_LT(lag, seconds(2));
  EXPECT_LT(peak_kib, 96 * 1024);
  EXPECT_EQ(blue().number("SELECT count(*) FROM public.pgbench_history"), result.transactions);
  expect_same_on_both_sides();
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

class KilledUnderLoad : public LoadFixture {
 protected:
  /// Kills teal every 0.3 to `longest` seconds, measured in rows of the load, until that ends.
  void kill_until_the_end(Pgbench& load, double longest_s) {
    const auto start = Clock::now();
    const std::int64_t before = history_rows();
    std::uniform_real_distribution<double> pause_s(0.3, longest_s);
    wait_for_growth(load, 100);
    for (;;) {
      const std::chrono::duration<double> passed = Clock::now() - start;
      const double rows_per_second = static_cast<double>(history_rows() - before) / passed.count();
      const auto rows = static_cast<std::int64_t>(rows_per_second * pause_s(random_));
      if (!wait_for_growth(load, std::max<std::int64_t>(rows, 10))) return;
      teal_->kill9();
      ++kills_;
      slowest_restart_ = std::max(slowest_restart_, start_to_streaming());
    }
  }

  std::mt19937_64 random_;
  int kills_ = 0;
  milliseconds slowest_restart_{0};
};

TEST_F(KilledUnderLoad, A5A13KilledAgainAndAgainNothingIsLostOrThereTwice) {
  const std::uint64_t seed = std::random_device()();
  random_.seed(seed);
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  run_streaming();
  Pgbench load = start_load(load_seconds());
  kill_until_the_end(load, long_tier() ? 3.0 : 1.5);
  const PgbenchResult result = load.wait(seconds(60));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const milliseconds lag = wait_caught_up();
  std::printf("%d kills in %d s of load at %.0f transactions/s, slowest restart %lld ms, caught up after %lld ms\n",
              kills_, load_seconds(), result.tps, static_cast<long long>(slowest_restart_.count()),
              static_cast<long long>(lag.count()));
  EXPECT_GE(kills_, kills_wanted());
  EXPECT_LT(slowest_restart_, seconds(5));
  expect_same_on_both_sides();
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

class FaultsUnderLoad : public LoadFixture {
 protected:
  enum Fault { kKillTeal, kEndWalsender, kEndApplier, kCrashGreen, kCrashBlue };

  void strike(Fault fault) {
    switch (fault) {
      case kKillTeal:
        teal_->kill9();
        run();
        break;
      case kEndWalsender:
        blue().exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL");
        break;
      case kEndApplier:
        green().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teal/%'");
        break;
      case kCrashGreen:
        green_server().restart(StopMode::kImmediate);
        break;
      case kCrashBlue:
        blue_server().restart(StopMode::kImmediate);
        break;
    }
  }
};

TEST_F(FaultsUnderLoad, A7KillsBrokenConnectionsAndCrashesOfServersCostNothing) {
  constexpr std::uint64_t kSeed = 20240607;
  std::vector<Fault> faults{kKillTeal,   kEndWalsender, kEndApplier, kCrashGreen, kCrashBlue,
                            kEndApplier, kEndWalsender, kKillTeal,   kCrashBlue,  kCrashGreen};
  std::mt19937_64 random(kSeed);
  std::shuffle(faults.begin(), faults.end(), random);
  std::uniform_int_distribution<std::int64_t> rows(300, 6000);
  run_streaming();
  auto load = std::make_unique<Pgbench>(start_load(600));
  for (const Fault fault : faults) {
    ASSERT_TRUE(wait_for_growth(*load, rows(random))) << load->wait(seconds(1)).output;
    strike(fault);
    if (fault != kCrashBlue) continue;
    // Its clients saw the crash and gave up.
    load.reset();
    load = std::make_unique<Pgbench>(start_load(600));
  }
  ASSERT_TRUE(wait_for_growth(*load, 500));
  load->stop();
  wait_caught_up();
  ASSERT_TRUE(teal_->running()) << teal_->err();
  expect_same_on_both_sides();
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

}  // namespace
}  // namespace teal::test
