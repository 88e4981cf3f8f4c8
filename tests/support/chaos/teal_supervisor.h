#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/teal_process.h"

namespace teal::test {

/// How long it took from a death of teal until it streamed again.
struct Recovery {
  std::chrono::milliseconds took{0};
  bool undisturbed = true;  ///< nothing else broke meanwhile
};

/// Keeps one `teal run` alive through its deaths, as an init system would.
/// Threads: one, which lives as long as this.
class TealSupervisor {
 public:
  /// `arguments`: of `teal run`. `counts`: where failpoints count; see TEAL_FAILPOINT_COUNTS.
  TealSupervisor(std::vector<std::string> arguments, std::filesystem::path counts);

  /// Starts the first one. `failpoints`: of its environment, as "TEAL_FAILPOINT=commit_sent:3".
  void start(const std::string& failpoints = "");
  /// SIGKILL, and another one at once.
  void kill_and_start(const std::string& failpoints = "");
  /// Starts another one when it has ended; notes when it streams. One that found no server leaves its failpoints to the
  /// next one, one that they killed does not. Returns "", or that it ended as it must not.
  std::string look();
  /// Something else broke: a recovery that is going on will take longer.
  void disturbed() { undisturbed_ = false; }
  void send(int signal);
  /// SIGTERM; returns the exit code.
  int terminate();

  [[nodiscard]] const std::vector<Recovery>& recoveries() const { return recoveries_; }
  [[nodiscard]] int killed_by_failpoints() const { return killed_by_failpoints_; }
  [[nodiscard]] int unreachable() const { return unreachable_; }  ///< starts that found a server away
  /// The ends of the last logs.
  [[nodiscard]] std::string logs() const;

 private:
  using Clock = std::chrono::steady_clock;

  void spawn(const std::string& failpoints);
  void died();

  std::vector<std::string> arguments_;
  std::filesystem::path counts_;
  std::unique_ptr<TealProcess> teal_;
  std::string failpoints_;                    ///< of the one that runs
  std::optional<Clock::time_point> died_at_;  ///< until it streams again
  Clock::time_point log_read_;
  Clock::time_point spawned_at_;
  bool undisturbed_ = true;
  std::vector<Recovery> recoveries_;
  int killed_by_failpoints_ = 0;
  int unreachable_ = 0;
  std::string last_log_;
};

}  // namespace teal::test
