// How a cutover ends: what was decided is gone on with, what was not is taken back, by this process or by another one.
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/cutover.h"
#include "tools/cutover_hooks.h"
#include "tools/link_facts.h"
#include "tools/marker_round.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGoneWithin{1000};
constexpr milliseconds kGonePoll{10};
constexpr std::string_view kAway = "08006";

}  // namespace

// The fence's time may have been over before it was sealed: whoever wrote then has to end, and what they wrote to come.
void Cutover::make_sure(CutoverSides& sides) {
  if (plan_.fence) {
    clock_.step("wait for open transactions again", [&] {
      const std::vector<OpenWriter> left =
          sides.left_fence().wait_for_writers(std::max(time_left(), plan_.limits.timeout), {});
      if (left.empty()) return;
      throw Stopped(StopCode::kRefused,
                    to_string(left.front()) + " keeps " + plan_.from() +
                        " from being left, although the writes are decided to be moved; end it, and "
                        "repeat the command");
    });
  }
  clock_.step("drain again", [&] {
    MarkerRound round(sides.left(), sides.target(), plan_.forward());
    if (const auto passed = round.pass(plan_.limits.timeout, {})) {
      report_.left_at = passed->source_lsn;
      return round.forget();
    }
    throw Stopped(StopCode::kRefused, "link " + plan_.forward().link + " does not bring what was written on " +
                                          plan_.from() +
                                          ", although the writes are decided to be moved: see that teal run "
                                          "runs, and repeat the command");
  });
  clock_.step("move sequences again", [&] { move_sequences(sides); });
}

void Cutover::finish(CutoverSides& sides) {
  for (PgConnection* side : {&sides.left(), &sides.target()}) side->set_answer_within(kCutoverAnswers);
  clock_.step("open " + plan_.to, [&] {
    // Also one of an earlier move, when writers were one.
    if (sides.target_fence().state() != Fence::State::kAbsent) sides.target_fence().open();
    report_.opened_at =
        sides.target().exec("ask where " + plan_.to + " is", "SELECT pg_current_wal_insert_lsn()").str(0, 0);
    clock_.detail(report_.opened_at);
  });
  std::string problems;
  for (std::size_t i = 0; i < poolers_.size(); ++i) {
    try {
      clock_.step("lead " + poolers_[i]->label() + " to " + plan_.to, [&] { lead_pooler(i); });
    } catch (const std::exception& error) {
      problems += (problems.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  if (!problems.empty()) throw PgError("lead the poolers to " + plan_.to, problems, std::string(kAway));
  pause_ends();
  if (plan_.limits.end_connections && plan_.fence) {
    clock_.step("end connections with " + plan_.from(), [&] { end_connections(sides); });
  }
  report_.result = CutoverResult::kMoved;
  entry_.details["report"] = report_.summary();
  note(sides, CutoverState::kDone);
  log_event(LogLevel::kInfo, "writes moved", {{"to", plan_.to}, {"pause_ms", report_.pause_ms.value_or(0)}});
}

void Cutover::lead_pooler(std::size_t number) {
  Pooler& pooler = *poolers_[number];
  const PoolerTarget target = pooler_target(plan_.config, plan_.limits.pgbouncer[number], plan_.to == "green");
  const PoolerState now = pooler.state();
  if (!now.paused && now.target == target) return pooler.expect_borrowed();
  if (!now.paused) {
    pooler.begin_pause(plan_.limits.timeout, {});
    if (!pooler.paused_within(plan_.limits.timeout, {})) {
      pooler.resume();
      throw Stopped(StopCode::kRefused,
                    pooler.label() + " cannot be paused, a transaction does not end; repeat the command");
    }
  }
  pooler.resume_at(target);
}

void Cutover::end_connections(CutoverSides& sides) {
  const std::string who =
      "FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid WHERE a.datname = current_database() AND "
      "a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND NOT starts_with(a.application_name, "
      "'teal/') "
      "AND (NOT r.rolsuper OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))";
  try {
    const Rows ended = sides.left().exec("end the connections with " + plan_.from(),
                                         "SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) " + who);
    clock_.detail(ended.str(0, 0));
    const auto until = Clock::now() + kGoneWithin;
    for (;;) {
      const Rows left = sides.left().exec("look for connections with " + plan_.from(), "SELECT count(*) " + who);
      if (left.integer(0, 0) == 0) return;
      if (Clock::now() > until) break;
      pause_for(kGonePoll, {});
    }
    report_.notes.push_back("some clients are still, or again, connected with " + plan_.from() +
                            "; they cannot write there");
  } catch (const PgError& error) {
    if (!sides.left().usable()) throw;
    report_.notes.push_back("clients are still connected with " + plan_.from() +
                            ", where they cannot write: " + error.what());
  }
}

void Cutover::resume_poolers() {
  std::string problems;
  for (const auto& pooler : poolers_) {
    try {
      pooler->resume();
    } catch (const std::exception& error) {
      problems += (problems.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  if (!problems.empty()) {
    throw PgError("let the poolers go on",
                  problems + "; if one is paused still, RESUME at its console, or repeat the command",
                  std::string(kAway));
  }
}

// Hook first told, then forgotten: it may run twice, and never not at all.
void Cutover::lead_back() {
  if (!entry_.details.value("repointed", false)) return;
  run_repoint(plan_.from(), kCutoverHookTime);
  entry_.details["repointed"] = false;
}

// Each thing for itself: what one of them cannot do keeps the others from nothing.
void Cutover::let_go(CutoverSides& sides) {
  for (PgConnection* side : {&sides.left(), &sides.target()}) side->set_answer_within(kCutoverAnswers);
  if (plan_.fence && sides.left_fence().state() != Fence::State::kAbsent) {
    clock_.step("open " + plan_.from() + " again", [&] { sides.left_fence().open(); });
  }
  std::exception_ptr problem;
  try {
    if (!poolers_.empty()) clock_.step("let the poolers go on", [&] { resume_poolers(); });
  } catch (const PgError&) {
    problem = std::current_exception();
  }
  pause_ends();
  lead_back();
  if (problem) std::rethrow_exception(problem);
}

// One of the sides is gone: what is possible without it.
void Cutover::let_go_at_any_price(Fence& left, bool reachable) noexcept {
  const auto attempt_to = [](auto work) {
    try {
      work();
    } catch (const std::exception& error) {
      log_event(LogLevel::kWarn, "something could not be taken back yet", {{"reason", error.what()}});
    }
  };
  attempt_to([&] {
    if (reachable && left.state() != Fence::State::kAbsent) left.open();
  });
  attempt_to([&] { resume_poolers(); });
  pause_ends();
  attempt_to([&] { lead_back(); });
}

// The side that is left decides, so its word is enough to let its applications go on.
bool Cutover::free_left_alone() {
  PgConnection left = PgConnection::connect(connect_options(plan_.config, plan_.to == "green", "cutover"));
  left.set_answer_within(kCutoverAnswers);
  const Rows locked =
      left.exec("lock out other cutovers on " + left.label(),
                "SELECT pg_try_advisory_lock(hashtextextended('teal.cutover.' || $1, 0))", {plan_.config.name});
  if (!locked.boolean(0, 0)) return false;
  const std::optional<CutoverEntry> last = read_last_cutover(left, plan_.config.name);
  if (!last || last->to != plan_.to || last->ended() || last->state == CutoverState::kMoved) return false;
  entry_ = *last;
  Fence fence(left, plan_.config.name, {});
  let_go_at_any_price(fence, last->details.value("fence", true));
  log_event(LogLevel::kWarn, "applications go on where they were; what was prepared on the other side is left",
            {{"side", plan_.from()}});
  return true;
}

std::string Cutover::standing() const {
  if (decided_ && !report_.opened_at.empty()) {
    return "the writes have been moved to " + plan_.to +
           ", and not everybody is led there yet: repeat the command once what "
           "is named here is mended";
  }
  if (decided_) {
    return "the writes are decided to be moved to " + plan_.to +
           ", and it is not open yet: writes have no home; repeat the command once what is named here is mended";
  }
  if (deciding_) {
    return "it is not known whether the writes are decided to be moved: " + plan_.from() +
           " has not said; poolers may be paused; repeat the command once it answers";
  }
  return "applications write on " + plan_.from() +
         ", but not everything that was prepared could be taken back: repeat the command once what is named here is "
         "mended";
}

void Cutover::take_back(CutoverSides& sides) {
  const bool was_sealed = entry_.details.value("target_was_sealed", false);
  if (plan_.fence && !was_sealed && sides.target_fence().state() != Fence::State::kAbsent) sides.target_fence().open();
  report_.result = CutoverResult::kUndone;
  entry_.details["report"] = report_.summary();
  note(sides, CutoverState::kUndone);
}

void Cutover::recover(CutoverSides& sides, CutoverEntry entry) {
  entry_ = std::move(entry);
  decided_ = entry_.state == CutoverState::kMoved;
  deciding_ = false;
  if (decided_) {
    log_event(LogLevel::kInfo, "going on with a cutover that was decided",
              {{"to", plan_.to}, {"number", entry_.number}});
    make_sure(sides);
    return finish(sides);
  }
  log_event(LogLevel::kInfo, "taking back a cutover that was not decided",
            {{"to", plan_.to}, {"number", entry_.number}});
  let_go(sides);
  take_back(sides);
}

void Cutover::settle() {
  for (const auto& pooler : poolers_) {
    try {
      pooler->restore(stop_);
    } catch (const std::exception& error) {
      log_event(LogLevel::kWarn, "a setting of the pooler could not be given back", {{"reason", error.what()}});
    }
  }
}

}  // namespace teal
