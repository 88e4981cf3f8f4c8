#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace teal::test {

struct TealOptions {
  std::vector<std::string> environment;   ///< "KEY=value", over the test's own, without its PG* and TEAL_*
  std::filesystem::path directory = "/";  ///< where it runs
};

/// The path of the binary under test: TEAL_BINARY, else the one of this build.
[[nodiscard]] std::string teal_binary();

/// A running `teal`. Killed at the end of its life.
/// Threads: one; start it from a thread that lives as long as it shall.
/// Errors: std::runtime_error when it can't be started; WaitTimeout where a deadline is given.
class TealProcess {
 public:
  /// `arguments` come after the program's name.
  explicit TealProcess(const std::vector<std::string>& arguments, const TealOptions& options = {});

  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] bool running() { return process_.running(); }
  /// Returns its exit code, 128 + signal when it was killed.
  int wait_exit(std::chrono::milliseconds deadline);
  /// SIGKILL; returns when it is dead.
  void kill9();
  /// SIGTERM; returns its exit code.
  int terminate(std::chrono::milliseconds deadline = std::chrono::seconds(30));
  /// Waits until a line of stderr (where the log goes) matches the ECMAScript `pattern`. Ends early, with
  /// std::runtime_error, when the process does.
  void wait_for_log(const std::string& pattern, std::chrono::milliseconds deadline = std::chrono::seconds(30));

  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;
  /// The largest resident size so far: asked while it runs, and at each wait. Units: KiB.
  [[nodiscard]] long peak_rss_kib() { return process_.peak_rss_kib(); }

 private:
  std::filesystem::path files_;
  ChildProcess process_;
};

struct TealResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// Runs `teal` to its end.
TealResult run_teal(const std::vector<std::string>& arguments, const TealOptions& options = {},
                    std::chrono::milliseconds deadline = std::chrono::minutes(2));

}  // namespace teal::test
