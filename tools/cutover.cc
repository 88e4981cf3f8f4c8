#include "tools/cutover.h"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/cutover_hooks.h"
#include "tools/marker_round.h"
#include "tools/sequence_sync.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFenceLock{200};  // whoever writes to a table waits so long at most while it is fenced
constexpr milliseconds kAnswerSlack{250};
constexpr milliseconds kFirstDistance{1000};  // between two tries, twice as long each time

// It may go better the next time.
struct NotNow : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void over_budget(const std::string& what, const CutoverConfig& limits) {
  throw NotNow(what + " did not end within the pause_budget of " + std::to_string(limits.pause_budget.count()) + " ms");
}

}  // namespace

Cutover::Cutover(const CutoverPlan& plan, CutoverReport& report, PauseListener listener, std::stop_token stop)
    : plan_(plan),
      report_(report),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      clock_(report),
      poolers_(open_poolers(plan)) {}

milliseconds Cutover::budget_left() const {
  if (!paused_at_) return plan_.limits.pause_budget;
  const auto used = Clock::now() - *paused_at_;
  return std::max(milliseconds(0), std::chrono::floor<milliseconds>(plan_.limits.pause_budget - used));
}

milliseconds Cutover::time_left() const {
  return std::max(milliseconds(0), std::chrono::floor<milliseconds>(plan_.limits.timeout - (Clock::now() - begin_)));
}

void Cutover::pause_begins() {
  if (paused_at_) return;
  paused_at_ = Clock::now();
  listener_.begins();
}

void Cutover::pause_ends() {
  if (!paused_at_) return;
  const double took = std::chrono::duration<double, std::milli>(Clock::now() - *paused_at_).count();
  report_.pause_ms = std::max(report_.pause_ms.value_or(0), took);
  paused_at_.reset();
  listener_.ends();
}

// The side that is left first: its word counts.
void Cutover::note(CutoverSides& sides, CutoverState state) {
  entry_.state = state;
  note_cutover(sides.left(), plan_.config.name, entry_);
  note_cutover(sides.target(), plan_.config.name, entry_);
}

std::map<std::string, std::string> Cutover::hook_environment(const std::string& to) const {
  std::map<std::string, std::string> environment{{"TEAL_NAME", plan_.config.name},
                                                 {"TEAL_FROM", to == "green" ? "blue" : "green"},
                                                 {"TEAL_TO", to},
                                                 {"TEAL_CUTOVER", std::to_string(entry_.number)}};
  for (const bool green : {false, true}) {
    try {
      const PoolerTarget target = pooler_target(plan_.config, {}, green);
      const std::string prefix = green ? "TEAL_GREEN_" : "TEAL_BLUE_";
      environment[prefix + "HOST"] = target.host;
      environment[prefix + "PORT"] = target.port;
      environment[prefix + "DBNAME"] = target.dbname;
    } catch (const Stopped&) {  // a service file, or libpq's defaults, name it
    }
  }
  return environment;
}

std::string Cutover::tell_before() {
  return run_hook("cutover.hooks.before", plan_.limits.hooks.before, hook_environment(plan_.to), kCutoverHookTime,
                  stop_);
}

void Cutover::tell_result() {
  const bool moved = report_.result == CutoverResult::kMoved;
  std::map<std::string, std::string> environment = hook_environment(plan_.to);
  environment["TEAL_RESULT"] = to_string(report_.result);
  const std::string problem =
      run_hook(moved ? "cutover.hooks.after" : "cutover.hooks.failed",
               moved ? plan_.limits.hooks.after : plan_.limits.hooks.failed, environment, kCutoverHookTime, {});
  if (!problem.empty()) report_.notes.push_back(problem);
}

void Cutover::prepare(CutoverSides& sides, std::int64_t number) {
  const bool was_sealed = plan_.fence && sides.target_fence().state() == Fence::State::kSealed;
  entry_ = {
      number,
      plan_.to,
      CutoverState::kPreparing,
      {{"fence", plan_.fence}, {"way_back", plan_.way_back}, {"target_was_sealed", was_sealed}, {"repointed", false}}};
  note(sides, CutoverState::kPreparing);
  if (plan_.fence) {
    clock_.step("fence " + plan_.to, [&] {
      sides.target_fence().install(time_left() / 2, kFenceLock, stop_);
      if (!was_sealed) sides.target_fence().seal();
    });
    clock_.step("put the fence on " + plan_.from(), [&] { install_fence(sides.left_fence()); });
  }
  clock_.step("move sequences beforehand", [&] { move_sequences(sides); });
}

// Who holds a table keeps the fence's trigger from it, in the first cutover.
void Cutover::install_fence(Fence& fence) {
  const milliseconds patience = time_left() / 2;
  if (!plan_.limits.end_writers) return fence.install(patience, kFenceLock, stop_);
  const milliseconds first = std::min(patience, plan_.limits.pause_budget);
  try {
    fence.install(first, kFenceLock, stop_);
  } catch (const Stopped&) {
    const std::vector<OpenWriter> writers = fence.open_writers();
    for (const OpenWriter& writer : writers) report_.notes.push_back("ended: " + to_string(writer));
    static_cast<void>(fence.end_writers(writers));
    fence.install(patience, kFenceLock, stop_);
  }
}

bool Cutover::move(CutoverSides& sides) {
  milliseconds distance = kFirstDistance;
  for (int i = 1;; ++i, distance *= 2) {
    report_.tries = i;
    std::string reason;
    bool again = false;
    try {
      attempt(sides);
      break;
    } catch (const NotNow& error) {
      reason = error.what();
      again = true;
    } catch (const std::exception& error) {
      if (deciding_ || decided_) throw;
      if (!sides.usable()) {
        let_go_at_any_price(sides.left_fence(), plan_.fence && sides.left().usable());
        throw;
      }
      reason = error.what();
    }
    let_go(sides);
    note(sides, CutoverState::kPreparing);
    log_event(LogLevel::kWarn, "writes were not moved", {{"try", i}, {"reason", reason}});
    if (stop_.stop_requested()) reason = "interrupted; " + reason;
    if (again && i < plan_.limits.tries && distance < time_left() && pause_for(distance, stop_)) continue;
    report_.obstacles.push_back(reason);
    return false;
  }
  finish(sides);
  return true;
}

// No longer than the budget lasts: who has not answered by then is not waited for.
void Cutover::expect_answers(CutoverSides& sides) {
  for (PgConnection* side : {&sides.left(), &sides.target()}) side->set_answer_within(budget_left() + kAnswerSlack);
}

void Cutover::attempt(CutoverSides& sides) {
  clock_.step("see that the link is near", [&] {
    MarkerRound round(sides.left(), sides.target(), plan_.forward());
    const auto passed = round.pass(plan_.limits.max_lag, stop_);
    round.forget();
    if (!passed) {
      throw NotNow("link " + plan_.forward().link + " lags by more than max_lag (" +
                   std::to_string(plan_.limits.max_lag.count()) + " ms)");
    }
  });
  note(sides, CutoverState::kPausing);
  expect_answers(sides);
  pause_poolers(sides);
  expect_answers(sides);
  if (plan_.fence) fence_off(sides);
  expect_answers(sides);
  drain(sides);
  expect_answers(sides);
  if (!plan_.limits.hooks.repoint.empty()) {
    entry_.details["repointed"] = true;
    note(sides, CutoverState::kPausing);
    run_repoint(plan_.to, budget_left());
  }
  // A partition that was made meanwhile has none, and may have been written.
  if (plan_.fence) sides.left_fence().check_complete();
  if (budget_left().count() == 0) over_budget("the cutover", plan_.limits);
  clock_.step("decide", [&] { decide(sides); });
}

// What came through a pooler is under the server's own names.
std::string Cutover::open_transactions(CutoverSides& sides) {
  const Rows rows = sides.left().exec(
      "look for open transactions on " + plan_.from(),
      "SELECT pid, coalesce(usename, ''), coalesce(state, ''), extract(epoch FROM clock_timestamp() - "
      "xact_start)::float8 "
      "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS "
      "NOT "
      "NULL AND pid <> pg_backend_pid() AND NOT starts_with(application_name, 'teal/') ORDER BY xact_start LIMIT 3");
  std::string who;
  for (int i = 0; i < rows.size(); ++i) {
    who += (who.empty() ? " (session " : ", session ") + rows.str(i, 0) + " of " + rows.str(i, 1) + ", " +
           rows.str(i, 2) + ", " + rows.str(i, 3) + " s old";
  }
  return who.empty() ? "" : who + ")";
}

void Cutover::pause_poolers(CutoverSides& sides) {
  for (const auto& pooler : poolers_) {
    clock_.step("pause " + pooler->label(), [&] {
      // Until it is sent, nothing waits for the first of them.
      pooler->begin_pause(paused_at_ ? budget_left() : time_left(), stop_);
      pause_begins();
    });
  }
  for (const auto& pooler : poolers_) {
    clock_.step("wait until it has paused", [&] {
      if (!pooler->paused_within(budget_left(), stop_)) {
        over_budget("a transaction that came through " + pooler->label() + open_transactions(sides), plan_.limits);
      }
    });
  }
}

void Cutover::fence_off(CutoverSides& sides) {
  pause_begins();
  clock_.step("close the fence on " + plan_.from(), [&] { sides.left_fence().close(budget_left()); });
  clock_.step("wait for open transactions", [&] { wait_for_writers(sides, budget_left()); });
  clock_.step("try to write", [&] {
    if (sides.left_fence().probe().empty()) {
      throw NotNow("a write that should have been refused on " + plan_.from() +
                   " was let through: the fence's time was over");
    }
  });
}

// Those that are to be ended get half of the time to do so by themselves.
void Cutover::wait_for_writers(CutoverSides& sides, milliseconds time) {
  const milliseconds first = plan_.limits.end_writers ? time / 2 : time;
  std::vector<OpenWriter> left = sides.left_fence().wait_for_writers(first, stop_);
  if (!left.empty() && plan_.limits.end_writers && !stop_.stop_requested()) {
    for (const OpenWriter& writer : left) report_.notes.push_back("ended: " + to_string(writer));
    left = sides.left_fence().end_writers(left);
    if (left.empty()) left = sides.left_fence().wait_for_writers(time - first, stop_);
  }
  if (left.empty()) return;
  std::string who;
  for (const OpenWriter& writer : left) who += (who.empty() ? "" : "; ") + to_string(writer);
  over_budget(who, plan_.limits);
}

void Cutover::drain(CutoverSides& sides) {
  MarkerRound round(sides.left(), sides.target(), plan_.forward());
  pause_begins();
  const auto pass = [&](const char* what) {
    return clock_.step(what, [&] {
      const auto passed = round.pass(budget_left(), stop_);
      if (!passed) over_budget("what was written before", plan_.limits);
      clock_.detail(passed->source_lsn);
      return *passed;
    });
  };
  const MarkerPassed first = pass("drain");
  clock_.step("move sequences", [&] { move_sequences(sides); });
  const MarkerPassed second = pass("prove silence");
  report_.left_at = second.source_lsn;
  const std::int64_t between = second.from_outside - first.from_outside;
  if (plan_.fence && between > 0) {
    throw NotNow(
        std::to_string(between) + " changes were written on " + plan_.from() +
        " past the fence: by sessions with session_replication_role = replica, or to which its triggers do not "
        "apply");
  }
}

void Cutover::move_sequences(CutoverSides& sides) {
  for (const SequenceMove& one : sync_sequences(sides.left(), sides.target(), plan_.draw_from_sequences,
                                                plan_.config.name, {.margin = plan_.limits.sequence_margin})) {
    const std::string name = to_string(one.name.name.empty() ? one.from : one.name);
    if (one.outcome == SequenceMove::Outcome::kProblem) {
      throw Stopped(StopCode::kRefused, "sequence " + name + ": " + one.problem);
    }
    if (one.outcome != SequenceMove::Outcome::kMoved) continue;
    const auto number = [](const std::optional<std::int64_t>& value) {
      return value ? std::to_string(*value) : "its end";
    };
    report_.sequences.push_back(name + ": " + number(one.before) + " -> " + number(one.next));
  }
}

// The journal says so before: whoever takes it back has to lead them back.
void Cutover::run_repoint(const std::string& to, milliseconds time) {
  const std::string problem = clock_.step("run the hook repoint for " + to, [&] {
    return run_hook("cutover.hooks.repoint", plan_.limits.hooks.repoint, hook_environment(to), time,
                    to == plan_.to ? stop_ : std::stop_token(), listener_.hook_runs);
  });
  listener_.hook_runs(0);
  if (!problem.empty()) throw Stopped(StopCode::kRefused, problem);
}

void Cutover::decide(CutoverSides& sides) {
  PgConnection& left = sides.left();
  // A side that is gone must not be what the writes are moved to.
  sides.target().exec("ask whether " + plan_.to + " is there", "SELECT 1");
  left.exec("begin", "BEGIN");
  try {
    entry_.state = CutoverState::kMoved;
    note_cutover(left, plan_.config.name, entry_);
    if (plan_.fence) sides.left_fence().seal();
    deciding_ = true;
    left.exec("decide", "COMMIT");
  } catch (...) {
    if (left.usable()) {
      left.exec("roll back", "ROLLBACK");
      deciding_ = false;
    }
    throw;
  }
  decided_ = true;
  deciding_ = false;
  if (plan_.fence && !sides.left_fence().held()) make_sure(sides);
}

}  // namespace teal
