#include "tests/support/chaos/teal_supervisor.h"

#include <csignal>
#include <utility>

namespace teal::test {
namespace {

using std::chrono::milliseconds;

constexpr int kKilled = 128 + SIGKILL;
constexpr int kUnreachable = 4;
constexpr milliseconds kLogPause{10};
constexpr milliseconds kStartPause{200};  // between two that find no server
constexpr std::size_t kLogBytes = 12000;

std::string end_of(const std::string& text) {
  return text.size() <= kLogBytes ? text : "..." + text.substr(text.size() - kLogBytes);
}

}  // namespace

TealSupervisor::TealSupervisor(std::vector<std::string> arguments, std::filesystem::path counts)
    : arguments_(std::move(arguments)), counts_(std::move(counts)) {}

void TealSupervisor::start(const std::string& failpoints) { spawn(failpoints); }

void TealSupervisor::spawn(const std::string& failpoints) {
  TealOptions options;
  options.environment = {"TEAL_FAILPOINT_COUNTS=" + counts_.string()};
  if (!failpoints.empty()) options.environment.push_back(failpoints);
  failpoints_ = failpoints;
  spawned_at_ = Clock::now();
  if (teal_) last_log_ = end_of(teal_->err());
  teal_ = std::make_unique<TealProcess>(arguments_, options);
}

// A recovery counts from the first death: whoever dies on the way has not recovered.
void TealSupervisor::died() {
  if (died_at_) {
    undisturbed_ = false;
    return;
  }
  died_at_ = Clock::now();
  undisturbed_ = true;
}

void TealSupervisor::kill_and_start(const std::string& failpoints) {
  teal_->kill9();
  died();
  spawn(failpoints);
}

std::string TealSupervisor::look() {
  if (!teal_->running()) {
    const int code = teal_->wait_exit(milliseconds(0));
    std::string next;
    if (code == kKilled && !failpoints_.empty()) {
      ++killed_by_failpoints_;
    } else if (code == kUnreachable) {
      if (Clock::now() - spawned_at_ < kStartPause) return "";
      ++unreachable_;
      undisturbed_ = false;
      next = failpoints_;
    } else {
      return "teal ended with " + std::to_string(code);
    }
    died();
    spawn(next);
    return "";
  }
  const auto now = Clock::now();
  if (!died_at_ || now - log_read_ < kLogPause) return "";
  log_read_ = now;
  if (teal_->err().find("link streaming") == std::string::npos) return "";
  recoveries_.push_back({std::chrono::duration_cast<milliseconds>(now - *died_at_), undisturbed_});
  died_at_.reset();
  return "";
}

void TealSupervisor::send(int signal) {
  if (teal_->running()) ::kill(teal_->pid(), signal);
}

int TealSupervisor::terminate() { return teal_->terminate(std::chrono::seconds(60)); }

std::string TealSupervisor::logs() const { return last_log_ + "---- the last one:\n" + end_of(teal_->err()); }

}  // namespace teal::test
