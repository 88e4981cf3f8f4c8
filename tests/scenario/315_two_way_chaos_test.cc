// Everything breaks at random while applications write the same rows on both sides, and green's clock is another one
// and steps: tests/run.sh --chaos SECONDS --seed N. No transaction of theirs fails because of teal, and when they stop,
// both sides are alike (TRAPS B1, W3, W8).
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/chaos/chaos_run.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/pg_installation.h"
#include "tests/support/random_seed.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/workloads/two_way_writers.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

// Green's clock from the run's begin, and from its middle on; which of them is the seed's. Servers of other versions
// live in roots of their own, without the library that moves a clock.
using Clocks = std::pair<const char*, const char*>;
constexpr Clocks kClocks[] = {{"+0", "+0"}, {"+3600", "-5"}, {"-3600", "-3600"}, {"+0", "-3600"}, {"-5", "+600"}};

Clocks clocks_of(std::uint64_t seed) {
  return green_major() == kOwnMajor ? kClocks[seed / 4 % std::size(kClocks)] : kClocks[0];
}
constexpr int kDefaultSeconds = 20;
constexpr int kCiSeconds = 120;

int chaos_seconds() {
  const char* given = std::getenv("TEAL_CHAOS_SECONDS");
  if (given != nullptr) return std::atoi(given);
  return long_tier() ? kCiSeconds : kDefaultSeconds;
}

class TwoWayChaos : public TwoWayFixture {
 protected:
  [[nodiscard]] PgServerOptions green_options() const override {
    PgServerOptions options;
    if (green_major() == kOwnMajor) options.environment = clock_.environment();
    return options;
  }
  void SetUp() override {
    TwoWayFixture::SetUp();
    blue_proxy_ = std::make_unique<FaultProxy>(blue_server().port(), seed_);
    green_proxy_ = std::make_unique<FaultProxy>(green_server().port(), seed_ + 1);
    config_ = write_config({.blue = through(*blue_proxy_),
                            .green = through(*green_proxy_),
                            .more = "direction: both\ncopy: { schema: false }\n" + room()})
                  .string();
    writers_ = std::make_unique<TwoWayWriters>(
        TwoWayWritersOptions{.blue = blue_server().conninfo(kOwnerRole, kShopDatabase),
                             .green = green_server().conninfo(kOwnerRole, kShopDatabase),
                             .seed = seed_});
    create_tables_both(TwoWayWriters::schema_sql());
    blue_owner().exec(TwoWayWriters::rows_sql());
    publish_both(TwoWayWriters::tables());
  }

  /// Every other run has hardly any, and every fourth little on disk either.
  [[nodiscard]] std::string room() const {
    if (seed_ % 2 == 0) return "";
    return "apply: { queue_bytes_max: 64KiB, batch_bytes_max: 64KiB, spill_bytes_max: " +
           std::string(seed_ % 4 == 1 ? "1MiB" : "10GiB") + " }\n";
  }

  static std::string through(const FaultProxy& proxy) {
    return "postgresql://" + std::string(kTealRole) + "@127.0.0.1:" + std::to_string(proxy.port()) + "/" +
           std::string(kShopDatabase);
  }

  static ChaosSide side(PgServer& server, FaultProxy& proxy, const std::string& link_from, const std::string& link_to) {
    return {server, proxy, std::string(kShopDatabase),
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'teal_shop_" + link_from +
                "' AND active_pid IS NOT NULL",
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'teal/shop/" + link_to + "'"};
  }

  void print_report(const ChaosRun& run) {
    std::printf("seed %llu, green's clock at %s s and then at %s s\n", static_cast<unsigned long long>(seed_),
                clocks_.first, clocks_.second);
    for (std::size_t i = 0; i < kFaultKinds; ++i) {
      const auto kind = static_cast<FaultKind>(i);
      std::printf("%6d %s\n", run.struck(kind), to_string(kind));
    }
    std::printf("%6d kills and cuts; transactions: %lld acknowledged, %lld lost their connection\n",
                run.kills_and_cuts(), static_cast<long long>(writers_->acknowledged()),
                static_cast<long long>(writers_->in_doubt()));
    for (const auto& time : run.caught_up_after()) {
      std::printf("caught up %lld ms after everything was mended\n", static_cast<long long>(time.count()));
    }
  }

  /// Each change of an application was applied once, or lost once, and nothing else was.
  void expect_each_change_decided_once() {
    expect_ledgers_close();
    EXPECT_EQ(counter("blue_to_green", "applied") + counter("blue_to_green", "conflict_lost"), local_changes(blue()));
    EXPECT_EQ(counter("green_to_blue", "applied") + counter("green_to_blue", "conflict_lost"), local_changes(green()));
  }

  const std::uint64_t seed_ = random_seed();
  const Clocks clocks_ = clocks_of(seed_);
  const FakeClock clock_{clocks_.first};
  std::unique_ptr<FaultProxy> blue_proxy_;
  std::unique_ptr<FaultProxy> green_proxy_;
  std::unique_ptr<TwoWayWriters> writers_;
};

TEST_F(TwoWayChaos, B1I5I6W3W8BothSidesAreAlikeAfterAllThatBroke) {
  const std::string counts = make_scratch_directory("counts") / "counts";
  run_both();
  wait_both_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  teal_.reset();
  count_local_changes(blue());
  count_local_changes(green());
  TealSupervisor teal(with_config({"run"}), counts);
  teal.start();
  writers_->start();
  // A backend that is stopped while it waits for a row heeds no lock_timeout: whoever waits for it finds a deadlock.
  ChaosRun run(side(blue_server(), *blue_proxy_, "blue_to_green", "green_to_blue"),
               side(green_server(), *green_proxy_, "green_to_blue", "blue_to_green"), teal, *writers_,
               {.seed = seed_, .without = {FaultKind::kStopApplier}});
  const seconds half(chaos_seconds() / 2);
  run.run(half);
  clock_.set(clocks_.second);
  if (run.problems().empty()) run.run(half);
  print_report(run);
  for (const std::string& problem : run.problems()) ADD_FAILURE() << problem;
  if (HasFailure()) {
    for (const std::string& line : run.fault_log()) std::printf("%s\n", line.c_str());
    std::printf("%s\n", teal.logs().c_str());
    return;
  }
  writers_->stop();
  EXPECT_EQ(writers_->violations(), std::vector<std::string>());
  EXPECT_EQ(teal.terminate(), 0) << teal.logs();
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  expect_each_change_decided_once();
  EXPECT_GE(run.kills_and_cuts(), chaos_seconds() / 10) << "a run that broke nothing shows nothing";
  blue_owner().exec("INSERT INTO register VALUES (-1, 'blue', 0)");
  green_owner().exec("INSERT INTO register VALUES (-2, 'green', 0)");
  wait_both_caught_up();
  expect_all_equal();
  EXPECT_EQ(blue().number("SELECT count(*) FROM register WHERE id < 0"), 2);
  EXPECT_EQ(teal_->terminate(), 0);
}

}  // namespace
}  // namespace teal::test
