#pragma once
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace teal::test {

/// A user of this machine, as the kernel knows one.
struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

struct SpawnOptions {
  std::vector<std::string> argv = {};                 ///< the program's path first; no shell is involved
  std::vector<std::string> environment = {};          ///< "KEY=value", on top of our own
  std::vector<std::string> removed_environment = {};  ///< names that the child shall not see
  std::string directory = "/";
  std::string stdout_path = "/dev/null";  ///< appended to
  std::string stderr_path = "/dev/null";  ///< appended to
  std::optional<UserIds> user = {};       ///< somebody else than us; needs root
  std::string root = {};                  ///< another root directory for the program; "": ours; needs root
  int death_signal = SIGKILL;             ///< what the child gets when the thread that started it ends
};

/// A program that a test started. It never outlives the test: its destructor kills it, and the kernel does when the
/// test itself dies.
/// Threads: one. Start it from a thread that lives as long as it should: see `SpawnOptions::death_signal`.
class ChildProcess {
 public:
  /// Errors: std::runtime_error when the program can't be executed.
  explicit ChildProcess(const SpawnOptions& options);
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_), peak_kib_(other.peak_kib_) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  /// Returns the exit code, 128 + signal for one that was killed; nullopt when it still runs at the deadline.
  [[nodiscard]] std::optional<int> wait_exit(std::chrono::milliseconds deadline);
  /// Does nothing when it has ended.
  void send(int signal);
  /// The largest resident size that was seen so far (each call, and each wait, looks). Units: KiB.
  [[nodiscard]] long peak_rss_kib();

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  long peak_kib_ = 0;
};

/// Kills all children of this process that are still there and waits for their end: for the way out on a signal.
void kill_all_children();

/// Runs a program to its end and returns its exit code. Errors: std::runtime_error at the deadline.
int run_program(const SpawnOptions& options, std::chrono::milliseconds deadline);

/// The path of a program that is built next to this one: from tests/support/programs, by its file's name.
[[nodiscard]] std::string sibling_program(const std::string& name);

/// The user that servers run as: nobody else (nullopt), or `postgres` when we are root.
/// Errors: std::runtime_error when we are root and there is no such user.
[[nodiscard]] std::optional<UserIds> server_user();

}  // namespace teal::test
