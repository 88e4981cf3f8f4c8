#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include "tests/support/chaos/migration_schedule.h"
#include "tests/support/chaos/teal_supervisor.h"
#include "tests/support/fault_proxy.h"

namespace teal::test {

/// What migrations went through.
struct MigrationTally {
  int finished = 0;
  int killed_at_failpoints = 0;
  int missed_failpoints = 0;  ///< a second pass, where a copy had one table left
  int killed_between = 0;     ///< at a drawn moment
  int unreachable = 0;        ///< starts that found a server away
  int tables_joined = 0;
  std::int64_t transactions = 0;  ///< that writers had acknowledged

  MigrationTally& operator+=(const MigrationTally& other);
};

/// The test has no more use for what a migration would show.
class MigrationAbandoned : public std::runtime_error {
 public:
  MigrationAbandoned() : std::runtime_error("abandoned") {}
};

/// The teal of one migration: its `init`, its `run` and its `finish`, killed as they are told to be and started again
/// when they found a server away.
/// Threads: one, which lives as long as this.
/// Errors: MigrationAbandoned once a stop is requested; std::runtime_error, with the end of its log, for an end that
/// nobody caused; WaitTimeout.
class MigrationTeal {
 public:
  /// `green`: the proxy that it reaches green through. `counts`: where failpoints count.
  MigrationTeal(FaultProxy& green, std::filesystem::path counts, std::stop_token stop);

  /// The file that it is started with from now on.
  void configure(std::string config) { config_ = std::move(config); }

  /// `teal WORDS`, until it ends with 0, or dies at the failpoint.
  void command(const std::vector<std::string>& words, const MigrationKill* kill = nullptr);
  /// The same, killed after that time unless it is done by then.
  void command_killed_after(const std::vector<std::string>& words, std::chrono::milliseconds lives);

  /// `teal run`, in place of one that runs.
  void start();
  /// Kills it, and starts another one that dies at the failpoint. Returns when it has, or when `passed` says that it
  /// will not come there any more. Another one runs then.
  void kill_at(const MigrationKill& kill, const std::function<bool()>& passed);
  /// Starts another one when it has ended; throws when it ended as it must not.
  void look();
  /// Looks after it so long.
  void pass_time(std::chrono::milliseconds time);
  /// Looks after it until that is so.
  void wait_for(const std::string& what, const std::function<bool()>& so);
  /// SIGKILL, or SIGTERM, on which it has to end well.
  void end(bool kill);

  [[nodiscard]] const MigrationTally& tally() const { return tally_; }

 private:
  [[nodiscard]] std::vector<std::string> arguments(const std::vector<std::string>& words) const;
  void abandon_if_told() const;
  void cut_as_drawn(const MigrationKill& kill);

  FaultProxy& green_;
  std::filesystem::path counts_;
  std::stop_token stop_;
  std::string config_;
  std::unique_ptr<TealSupervisor> run_;
  MigrationTally tally_;
};

}  // namespace teal::test
