#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "tests/support/chaos/migration_schedule.h"
#include "tests/support/chaos/migration_teal.h"
#include "tests/support/chaos/server_sessions.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/pg_server.h"
#include "tests/support/workloads/workload_run.h"

namespace teal::test {

/// Where a migration runs. The servers are only asked for their addresses: another thread may crash and start them.
struct MigrationPlace {
  const PgServer& blue;
  const PgServer& green;
  std::string database;  ///< nothing else is in it
  std::string name;      ///< of the migration
  bool schema;           ///< whether pg_dump is new enough for teal to make green's tables
  FaultProxy& green_proxy;
  /// Writes a teal.yml for that name and database, with these lines more; returns its path.
  std::function<std::string(const std::string& more)> write_config;
  std::filesystem::path counts;  ///< where failpoints count
};

/// How many workloads a plan chooses from.
inline constexpr std::size_t kMigrationWorkloads = 5;

/// One migration from its first table to its last trace, under load and with the deaths of its plan: set-up, copy, a
/// workload's tables that join, readers on green, comparison row by row, `teal finish`.
/// Threads: one, which lives as long as this.
class MigrationRun {
 public:
  MigrationRun(const MigrationPlace& place, const MigrationPlan& plan, std::stop_token stop);

  /// Errors: those of MigrationTeal; std::runtime_error with what is not as it has to be.
  void run();
  [[nodiscard]] const MigrationTally& tally() const { return tally_; }

 private:
  using Clock = std::chrono::steady_clock;

  void make_workloads();
  void make_tables();
  void set_up_and_copy();
  void join();
  void expect_equal();
  void finish();
  void drop_tables();

  void kill_in(MigrationPhase phase, const std::string& passed);
  [[nodiscard]] bool holds_on_green(const std::string& query);
  [[nodiscard]] bool restores_schema() const { return plan_.schema && place_.schema; }
  [[nodiscard]] std::string config(const std::string& more) const;
  [[nodiscard]] std::string publication() const { return sql_name("teal_" + place_.name + "_blue_to_green"); }
  [[nodiscard]] std::string streamed() const;
  [[nodiscard]] std::string all_copied() const;
  [[nodiscard]] std::string differences(Sql& blue, Sql& green);
  [[nodiscard]] std::string traces(Sql& side) const;

  const MigrationPlace& place_;
  const MigrationPlan& plan_;
  ServerSessions admins_;  ///< superusers, who judge
  ServerSessions owners_;
  std::unique_ptr<WorkloadRun> workloads_;
  std::vector<std::string> first_tables_;  ///< those of the initial copy
  std::vector<std::string> joining_tables_;
  MigrationTeal teal_;
  Clock::time_point asked_;
  MigrationTally tally_;
};

}  // namespace teal::test
