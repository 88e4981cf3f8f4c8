#include "tests/support/chaos/migration_teal.h"

#include <csignal>
#include <utility>

#include "engine/failpoint.h"
#include "engine/pause.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{120};  // faults come all the while, and each may cost a retry's pause
constexpr milliseconds kStartPause{200};
constexpr int kKilled = 128 + SIGKILL;
constexpr int kUnreachable = 4;

std::string text_of(const MigrationKill& kill) {
  return std::string(kFailpoints[kill.failpoint].name) + ":" + std::to_string(kill.pass);
}

std::string variable_of(const MigrationKill& kill) { return "TEAL_FAILPOINT=" + text_of(kill); }

}  // namespace

MigrationTally& MigrationTally::operator+=(const MigrationTally& other) {
  finished += other.finished;
  killed_at_failpoints += other.killed_at_failpoints;
  missed_failpoints += other.missed_failpoints;
  killed_between += other.killed_between;
  unreachable += other.unreachable;
  tables_joined += other.tables_joined;
  transactions += other.transactions;
  return *this;
}

MigrationTeal::MigrationTeal(FaultProxy& green, std::filesystem::path counts, std::stop_token stop)
    : green_(green), counts_(std::move(counts)), stop_(std::move(stop)) {}

std::vector<std::string> MigrationTeal::arguments(const std::vector<std::string>& words) const {
  std::vector<std::string> all{"--config", config_};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

void MigrationTeal::abandon_if_told() const {
  if (stop_.stop_requested()) throw MigrationAbandoned();
}

void MigrationTeal::cut_as_drawn(const MigrationKill& kill) {
  green_.clear();
  if (kill.cut) green_.cut_at_commit(kill.cut->number, kill.cut->when);
}

void MigrationTeal::command(const std::vector<std::string>& words, const MigrationKill* kill) {
  TealOptions options;
  options.environment = {"TEAL_FAILPOINT_COUNTS=" + counts_.string()};
  if (kill != nullptr) {
    options.environment.push_back(variable_of(*kill));
    cut_as_drawn(*kill);
  }
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    TealProcess teal(arguments(words), options);
    const bool ends = holds_within(kPatience, [&] {
      abandon_if_told();
      return !teal.running();
    });
    if (!ends) throw std::runtime_error("teal " + words.front() + " does not end: " + teal.err());
    const int code = teal.wait_exit(milliseconds(0));
    if (code == 0) {
      if (kill != nullptr) ++tally_.missed_failpoints;
      return;
    }
    if (code == kKilled && kill != nullptr) {
      ++tally_.killed_at_failpoints;
      return;
    }
    if (code != kUnreachable || std::chrono::steady_clock::now() > end) {
      throw std::runtime_error("teal " + words.front() + " ended with " + std::to_string(code) + ": " + teal.out() +
                               teal.err());
    }
    ++tally_.unreachable;
    pause_for(kStartPause, stop_);
  }
}

void MigrationTeal::command_killed_after(const std::vector<std::string>& words, milliseconds lives) {
  TealProcess teal(arguments(words));
  if (holds_within(lives, [&teal] { return !teal.running(); })) return;
  teal.kill9();
  ++tally_.killed_between;
}

void MigrationTeal::start() {
  run_ = std::make_unique<TealSupervisor>(arguments({"run"}), counts_);
  run_->start();
}

void MigrationTeal::kill_at(const MigrationKill& kill, const std::function<bool()>& passed) {
  cut_as_drawn(kill);
  const int before = run_->killed_by_failpoints();
  run_->kill_and_start(variable_of(kill));
  bool missed = false;
  wait_for("teal dies at " + text_of(kill), [&] {
    if (run_->killed_by_failpoints() > before) return true;
    missed = passed();
    return missed;
  });
  ++(missed ? tally_.missed_failpoints : tally_.killed_at_failpoints);
  if (kill.next_lives.count() == 0) return;
  pass_time(kill.next_lives);
  run_->kill_and_start();
  ++tally_.killed_between;
}

void MigrationTeal::look() {
  abandon_if_told();
  const std::string ended = run_->look();
  if (!ended.empty()) throw std::runtime_error(ended + "\n" + run_->logs());
}

void MigrationTeal::pass_time(milliseconds time) {
  static_cast<void>(holds_within(time, [this] {
    look();
    return false;
  }));
}

void MigrationTeal::wait_for(const std::string& what, const std::function<bool()>& so) {
  try {
    wait_until(what, kPatience, [&] {
      look();
      return so();
    });
  } catch (const WaitTimeout& timeout) {
    throw std::runtime_error(std::string(timeout.what()) + "\n" + run_->logs());
  }
}

void MigrationTeal::end(bool kill) {
  look();
  const int code = kill ? 0 : run_->terminate();
  if (code != 0 && code != kUnreachable) {
    throw std::runtime_error("teal ended with " + std::to_string(code) + " when told to\n" + run_->logs());
  }
  tally_.unreachable += run_->unreachable();
  run_.reset();
}

}  // namespace teal::test
