#include "tools/cutover_hooks.h"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/log.h"
#include "engine/subprocess.h"

namespace teal {
namespace {

constexpr std::chrono::seconds kSyntaxTime{5};

// Asks to stop when either the time is over or somebody else asks.
class Deadline {
 public:
  Deadline(std::chrono::milliseconds time, const std::stop_token& other)
      : forward_(other, [this] { stop_.request_stop(); }), thread_([this, time](const std::stop_token& ended) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any woken;
          woken.wait_for(lock, ended, time, [] { return false; });
          if (ended.stop_requested()) return;
          stop_.request_stop();
        }) {}

  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  std::jthread thread_;
};

std::string first_lines(const std::string& text) {
  constexpr std::size_t kMost = 500;
  std::string out = text.substr(0, kMost);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return out;
}

}  // namespace

std::string command_problem(const std::string& name, const std::string& command) {
  if (command.empty()) return "";
  // Its grammar, and, where its first word is a plain one, that this is a command.
  const std::string look =
      "sh -n -c \"$1\" || exit; set -f; set -- $1; case $1 in *[!A-Za-z0-9_./-]*) ;; *) command -v \"$1\" > /dev/null "
      "|| { "
      "echo \"$1: not found\" >&2; exit 1; } ;; esac";
  const Deadline deadline(kSyntaxTime, {});
  const SubprocessResult result = run_subprocess({"/bin/sh", "-c", look, "sh", command}, {}, deadline.token());
  return result.exit_code == 0 ? "" : name + " cannot be run: " + first_lines(result.err);
}

std::vector<std::string> hook_problems(const CutoverHooks& hooks) {
  std::vector<std::string> problems;
  for (const auto& [name, command] : {std::pair<const char*, const std::string&>("before", hooks.before),
                                      std::pair<const char*, const std::string&>("repoint", hooks.repoint),
                                      std::pair<const char*, const std::string&>("after", hooks.after),
                                      std::pair<const char*, const std::string&>("failed", hooks.failed)}) {
    std::string problem = command_problem(std::string("cutover.hooks.") + name, command);
    if (!problem.empty()) problems.push_back(std::move(problem));
  }
  return problems;
}

std::string run_hook(const std::string& name, const std::string& command,
                     const std::map<std::string, std::string>& environment, std::chrono::milliseconds time,
                     const std::stop_token& stop, const std::function<void(pid_t)>& started) {
  if (command.empty()) return "";
  std::string problem;
  try {
    const Deadline deadline(time, stop);
    const SubprocessResult result = run_subprocess({"/bin/sh", "-c", command}, environment, deadline.token(), started);
    if (!result.out.empty() || !result.err.empty()) {
      log_event(LogLevel::kInfo, "hook said",
                {{"hook", name}, {"out", first_lines(result.out)}, {"err", first_lines(result.err)}});
    }
    if (result.exit_code == 0) return "";
    problem = name + " ended with " + std::to_string(result.exit_code) +
              (deadline.token().stop_requested() ? " (it was ended: its time was over)" : "") +
              (result.err.empty() ? "" : ": " + first_lines(result.err));
  } catch (const std::system_error& error) {
    problem = name + " cannot be run: " + error.what();
  }
  log_event(LogLevel::kWarn, "hook failed", {{"hook", name}, {"reason", problem}});
  return problem;
}

}  // namespace teal
