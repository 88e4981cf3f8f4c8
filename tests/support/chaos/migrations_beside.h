#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/chaos/migration_run.h"

namespace teal::test {

/// Migrations that begin, are killed on their way and end, one after the other, while something else runs on the same
/// servers.
/// Threads: it has one of its own; one calls.
class MigrationsBeside {
 public:
  MigrationsBeside(MigrationPlace place, std::uint64_t seed);
  /// Abandons the one that runs.
  ~MigrationsBeside();
  MigrationsBeside(const MigrationsBeside&) = delete;
  MigrationsBeside& operator=(const MigrationsBeside&) = delete;

  void start();
  /// The one at hand comes to its end, and after it as many, ten at most, as it takes until `enough`; then `ended`.
  /// Threads: `enough` is called on its own.
  void end_when(std::function<bool()> enough);
  /// None runs, and none will.
  [[nodiscard]] bool ended() const { return ended_; }

  /// What must not be; none comes after the first one.
  [[nodiscard]] std::vector<std::string> problems() const;
  /// Of those that came to their end.
  [[nodiscard]] MigrationTally tally() const;

 private:
  void run(const std::stop_token& stop);
  bool is_last();

  MigrationPlace place_;
  MigrationSchedule schedule_;
  mutable std::mutex mutex_;
  std::function<bool()> enough_;       // guarded by mutex_; set when no other one is to begin without need
  int more_ = 10;                      // guarded by mutex_
  std::vector<std::string> problems_;  // guarded by mutex_
  MigrationTally tally_;               // guarded by mutex_
  std::atomic<bool> ended_{false};
  std::jthread thread_;
};

}  // namespace teal::test
