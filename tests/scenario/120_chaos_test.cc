// Everything breaks at random while workloads with invariants run: tests/run.sh --chaos SECONDS --seed N. Beside the
// link that streams all the while, in a database of their own, migrations are set up, copied, joined by tables and
// finished, one after the other.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/chaos/chaos_run.h"
#include "tests/support/chaos/migrations_beside.h"
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
constexpr int kEveryOtherFailpointSeconds = 60;  // from here on each that is not steady has to kill
constexpr int kEveryFailpointSeconds = 300;      // and from here on the steady ones too
constexpr int kLongSeconds = 600;
constexpr int kLongKillsAndCuts = 200;  // that many a long run has to survive
constexpr double kTransactionsPerSecond = 1000;
constexpr std::string_view kBesideDatabase = "beside";
constexpr std::string_view kBesideMigration = "beside";

int chaos_seconds() {
  const char* given = std::getenv("TEAL_CHAOS_SECONDS");
  if (given != nullptr) return std::atoi(given);
  return long_tier() ? kCiSeconds : kDefaultSeconds;
}

class Chaos : public SidecarFixture {
 protected:
  /// Little enough that transactions with large values come in blocks.
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"logical_decoding_work_mem=64kB"}};
  }

  void SetUp() override {
    SidecarFixture::SetUp();
    blue_proxy_ = std::make_unique<FaultProxy>(blue_server().port(), seed_);
    green_proxy_ = std::make_unique<FaultProxy>(green_server().port(), seed_ + 1);
    beside_green_proxy_ = std::make_unique<FaultProxy>(green_server().port(), seed_ + 2);
    config_ = write_config({.blue = through(*blue_proxy_, kShopDatabase),
                            .green = through(*green_proxy_, kShopDatabase),
                            .more = "direction: forward\ncopy: { schema: false }\n"})
                  .string();
    prepare_database(blue_server(), kBesideDatabase);
    prepare_database(green_server(), kBesideDatabase, {"make_tables=on"});
  }

  [[nodiscard]] static std::string through(const FaultProxy& proxy, std::string_view database) {
    return "postgresql://" + std::string(kTealRole) + "@127.0.0.1:" + std::to_string(proxy.port()) + "/" +
           std::string(database);
  }

  /// What breaks on the way to blue breaks for them too; green's COMMITs are cut for themselves.
  MigrationPlace beside_place() {
    const ConfigOptions config{.name = std::string(kBesideMigration),
                               .blue = through(*blue_proxy_, kBesideDatabase),
                               .green = through(*beside_green_proxy_, kBesideDatabase)};
    return {.blue = blue_server(),
            .green = green_server(),
            .database = std::string(kBesideDatabase),
            .name = config.name,
            .schema = blue_major() == green_major(),
            .green_proxy = *beside_green_proxy_,
            .write_config =
                [this, config](const std::string& more) {
                  ConfigOptions options = config;
                  options.more += more;
                  return write_config(options).string();
                },
            .counts = counts_};
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
                "' AND active_pid IS NOT NULL",
            ""};
  }
  ChaosSide green_side() {
    return {green_server(), *green_proxy_, std::string(kShopDatabase), "",
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green'"};
  }

  void print_report(const ChaosRun& run, const TealSupervisor& teal, const MigrationTally& beside) {
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
    for (std::size_t i = 0; i < kFaultKinds; ++i) {
      const auto kind = static_cast<FaultKind>(i);
      std::printf("%6d %s\n", run.struck(kind), to_string(kind));
    }
    std::printf("%6d kills and cuts, failpoints that killed among them: %d\n", run.kills_and_cuts(),
                teal.killed_by_failpoints());
    std::printf(
        "migrations beside: %d from set-up to finish, %d tables joined, %d kills at failpoints (%d not reached), %d in "
        "between, %d starts without a server, %lld transactions\n",
        beside.finished, beside.tables_joined, beside.killed_at_failpoints, beside.missed_failpoints,
        beside.killed_between, beside.unreachable, static_cast<long long>(beside.transactions));
    print_failpoints();
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

  void print_failpoints() {
    const FailpointCounts counts(counts_);
    std::printf("killed   passed failpoint\n");
    for (const Failpoint& point : kFailpoints) {
      const FailpointCount& count = counts.of(point.name);
      std::printf("%6llu %8llu %s\n", static_cast<unsigned long long>(count.killed),
                  static_cast<unsigned long long>(count.passed), std::string(point.name).c_str());
    }
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

  /// The failpoints that were not passed, or did not kill although the run is long enough for that.
  std::string failpoints_missing(FailpointIn in) {
    const FailpointCounts counts(counts_);
    const bool has_to_kill =
        chaos_seconds() >= (in == FailpointIn::kStream ? kEveryFailpointSeconds : kEveryOtherFailpointSeconds);
    std::string missing;
    for (const Failpoint& point : kFailpoints) {
      if (point.in != in) continue;
      const FailpointCount& count = counts.of(point.name);
      if ((has_to_kill ? count.killed : count.passed) == 0) missing += std::string(point.name) + " ";
    }
    return missing;
  }

  std::uint64_t seed_ = random_seed();
  std::string counts_ = make_scratch_directory("counts") / "counts";
  std::unique_ptr<FaultProxy> blue_proxy_;
  std::unique_ptr<FaultProxy> green_proxy_;
  std::unique_ptr<FaultProxy> beside_green_proxy_;
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
  MigrationsBeside beside(beside_place(), seed_);
  ChaosRun run(blue_side(), green_side(), teal, *workloads_,
               {.seed = seed_, .beside = [&beside] { return beside.problems(); }});
  beside.start();
  run.run(seconds(chaos_seconds()));
  beside.end_when([this] { return failpoints_missing(FailpointIn::kSetUp).empty(); });
  if (run.problems().empty()) run.look_after([&beside] { return beside.ended(); });
  print_report(run, teal, beside.tally());
  for (const std::string& problem : run.problems()) ADD_FAILURE() << problem;
  if (HasFailure()) {
    for (const std::string& line : run.fault_log()) std::printf("%s\n", line.c_str());
    std::printf("%s\n", teal.logs().c_str());
    return;
  }
  teal.kill_and_start();  // one without failpoints: nobody starts another one from here on
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
  EXPECT_EQ(failpoints_missing(FailpointIn::kStream), "");
  EXPECT_EQ(failpoints_missing(FailpointIn::kSetUp), "");
  EXPECT_GT(beside.tally().finished, 0);
  EXPECT_EQ(teal.terminate(), 0) << teal.logs();
}

}  // namespace
}  // namespace teal::test
