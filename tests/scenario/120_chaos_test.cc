// Everything breaks at random while workloads with invariants run: tests/run.sh --chaos SECONDS --seed N.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/chaos/chaos_run.h"
#include "tests/support/failpoint_counts.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/random_seed.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/workloads/workload_run.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kDefaultSeconds = 20;
constexpr int kCiSeconds = 120;
constexpr int kEveryFailpointSeconds = 300;  // long enough for each steady one to kill
constexpr int kLongSeconds = 600;
constexpr int kLongKillsAndCuts = 200;  // that many a long run has to survive
constexpr double kTransactionsPerSecond = 1000;

int chaos_seconds() {
  const char* given = std::getenv("TEAL_CHAOS_SECONDS");
  if (given != nullptr) return std::atoi(given);
  return long_tier() ? kCiSeconds : kDefaultSeconds;
}

class Chaos : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    blue_proxy_ = std::make_unique<FaultProxy>(blue_server().port(), seed_);
    green_proxy_ = std::make_unique<FaultProxy>(green_server().port(), seed_ + 1);
    config_ = write_config({.blue = through(*blue_proxy_),
                            .green = through(*green_proxy_),
                            .more = "direction: forward\ncopy: { schema: false }\n"})
                  .string();
  }

  [[nodiscard]] static std::string through(const FaultProxy& proxy) {
    return "postgresql://" + std::string(kTealRole) + "@127.0.0.1:" + std::to_string(proxy.port()) + "/" +
           std::string(kShopDatabase);
  }

  /// W1, W2 and W5 always; the others in turn.
  void make_workloads() {
    std::vector<std::unique_ptr<Workload>> workloads;
    workloads.push_back(make_bank());
    workloads.push_back(make_ledger());
    workloads.push_back(make_toast());
    if (seed_ % 3 == 1) workloads.push_back(make_swap());
    if (seed_ % 3 == 2) workloads.push_back(make_lists());
    workloads_ = std::make_unique<WorkloadRun>(
        std::move(workloads), WorkloadRunOptions{.blue = blue_server().conninfo(kOwnerRole, kShopDatabase),
                                                 .green = green_server().conninfo(kOwnerRole, kShopDatabase),
                                                 .transactions_per_second = kTransactionsPerSecond,
                                                 .seed = seed_});
    create_tables_both(workloads_->schema_sql());
    blue_owner().exec(workloads_->rows_sql());
    create_publication(workloads_->tables());
  }

  ChaosSide blue_side() {
    return {blue_server(), *blue_proxy_, std::string(kShopDatabase),
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '" + std::string(kSlot) +
                "' AND active_pid IS NOT NULL"};
  }
  ChaosSide green_side() {
    return {green_server(), *green_proxy_, std::string(kShopDatabase),
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green'"};
  }

  void print_report(const ChaosRun& run, const TealSupervisor& teal) {
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
    for (std::size_t i = 0; i < kFaultKinds; ++i) {
      const auto kind = static_cast<FaultKind>(i);
      std::printf("%6d %s\n", run.struck(kind), to_string(kind));
    }
    std::printf("%6d kills and cuts, failpoints that killed among them: %d\n", run.kills_and_cuts(),
                teal.killed_by_failpoints());
    std::printf("failpoints (killed/passed): %s\n", FailpointCounts(counts_).text().c_str());
    std::printf(
        "transactions: %lld acknowledged, %lld refused or rolled back, %lld in doubt, of which %lld committed\n",
        static_cast<long long>(workloads_->acknowledged()), static_cast<long long>(workloads_->refused()),
        static_cast<long long>(workloads_->in_doubt()), static_cast<long long>(workloads_->in_doubt_committed()));
    std::printf("snapshots read on green: %lld, violations: %zu\n", static_cast<long long>(workloads_->snapshots()),
                run.problems().size());
    print_times("death of teal to streaming, undisturbed", recovery_times(teal, true));
    print_times("death of teal to streaming, all", recovery_times(teal, false));
    print_times("caught up after everything was mended", run.caught_up_after());
  }

  static void print_times(const char* what, std::vector<milliseconds> times) {
    if (times.empty()) return;
    std::sort(times.begin(), times.end());
    std::printf("%s: %zu times, median %lld ms, most %lld ms\n", what, times.size(),
                static_cast<long long>(times[times.size() / 2].count()), static_cast<long long>(times.back().count()));
  }

  static std::vector<milliseconds> recovery_times(const TealSupervisor& teal, bool undisturbed) {
    std::vector<milliseconds> times;
    for (const Recovery& recovery : teal.recoveries()) {
      if (recovery.undisturbed || !undisturbed) times.push_back(recovery.took);
    }
    return times;
  }

  void expect_every_failpoint(bool killed) {
    const FailpointCounts counts(counts_);
    for (const Failpoint& point : kFailpoints) {
      if (!point.steady) continue;
      EXPECT_GT(counts.of(point.name).passed, 0U) << point.name;
      EXPECT_TRUE(!killed || counts.of(point.name).killed > 0) << point.name;
    }
  }

  std::uint64_t seed_ = random_seed();
  std::string counts_ = make_scratch_directory("counts") / "counts";
  std::unique_ptr<FaultProxy> blue_proxy_;
  std::unique_ptr<FaultProxy> green_proxy_;
  std::unique_ptr<WorkloadRun> workloads_;
};

TEST_F(Chaos, I1I3NothingIsLostNothingIsTwiceAndNobodySeesHalfATransaction) {
  make_workloads();
  workloads_->start_writers();
  ASSERT_EQ(run_until_synced().exit_code, 0);
  TealSupervisor teal(with_config({"run"}), counts_);
  teal.start();
  wait_caught_up();
  workloads_->start_readers();
  ChaosRun run(blue_side(), green_side(), teal, *workloads_, seed_);
  run.run(seconds(chaos_seconds()));
  print_report(run, teal);
  for (const std::string& problem : run.problems()) ADD_FAILURE() << problem;
  if (HasFailure()) {
    for (const std::string& line : run.fault_log()) std::printf("%s\n", line.c_str());
    std::printf("%s\n", teal.logs().c_str());
    return;
  }
  workloads_->stop_writers();
  wait_caught_up();
  workloads_->stop_readers();
  wait_until("the idle link has written its progress", seconds(20),
             [&] { return FailpointCounts(counts_).of("before_idle_progress").passed > 0; });
  EXPECT_EQ(workloads_->violations(), std::vector<std::string>());
  EXPECT_EQ(workloads_->check_at_rest(green()), "");
  for (const std::string& table : workloads_->tables()) expect_equal(table);
  for (const milliseconds time : recovery_times(teal, true)) EXPECT_LT(time, seconds(5));
  EXPECT_GT(workloads_->snapshots(), chaos_seconds());
  // A run that broke nothing shows nothing.
  EXPECT_GE(run.kills_and_cuts(), chaos_seconds() >= kLongSeconds ? kLongKillsAndCuts : chaos_seconds() / 10);
  expect_every_failpoint(chaos_seconds() >= kEveryFailpointSeconds);
  EXPECT_EQ(teal.terminate(), 0) << teal.logs();
}

}  // namespace
}  // namespace teal::test
