#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/catalog.h"
#include "engine/control_schema.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/time_text.h"
#include "tools/commands.h"
#include "tools/confirm.h"
#include "tools/cutover.h"
#include "tools/cutover_checks.h"
#include "tools/cutover_guard.h"
#include "tools/cutover_watch.h"
#include "tools/exit_code.h"
#include "tools/link_facts.h"
#include "tools/report_file.h"
#include "tools/signals.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLockPatience{5'000};
constexpr milliseconds kRecoverPause{200};
constexpr std::chrono::minutes kGuardTries{10};
const PauseListener kNobodyListens{[] {}, [] {}, [](pid_t) {}};

CutoverPlan make_plan(const Config& config, const CutoverOptions& options) {
  CutoverPlan plan{.config = config, .limits = config.cutover, .to = options.to};
  plan.limits.max_lag = options.max_lag.value_or(plan.limits.max_lag);
  plan.limits.pause_budget = options.pause_budget.value_or(plan.limits.pause_budget);
  plan.limits.timeout = options.timeout.value_or(plan.limits.timeout);
  plan.limits.tries = options.tries.value_or(plan.limits.tries);
  plan.fence = config.writers == Writers::kOne || options.fence;
  plan.way_back = !options.no_way_back;
  PgConnection blue = PgConnection::connect(connect_options(config, true, "cutover"));
  const SourceCatalog catalog = read_source_catalog(blue, config.tables);
  for (const SourceTable& table : catalog.tables) {
    plan.blue_tables.push_back(table.name);
    plan.green_tables.push_back(table.target);
    plan.draw_from_sequences.insert(table.name);
  }
  for (const SourceTable& part : catalog.parts) plan.draw_from_sequences.insert(part.name);
  return plan;
}

// An older teal made the schema.
void complete_schema(CutoverSides& sides) {
  for (PgConnection* side : {&sides.left(), &sides.target()}) {
    if (!has_control_table(*side, "progress")) {
      throw Stopped(StopCode::kRefused, "nothing is set up on " + side->label() + ": start teal run first");
    }
    if (!has_control_table(*side, "cutover_journal")) install_control_schema(*side);
  }
}

bool free_left(Cutover& cutover) {
  try {
    return cutover.free_left_alone();
  } catch (const std::exception& error) {
    log_event(LogLevel::kDebug, "the side that is left cannot be asked either", {{"reason", error.what()}});
    return false;
  }
}

/// One run of the command.
class Run {
 public:
  Run(const Config& config, const CutoverOptions& options, const ConfigFlags& flags, CutoverReport& report,
      std::stop_token stop)
      : config_(config), options_(options), flags_(flags), report_(report), stop_(std::move(stop)) {}

  void run();
  /// What may take a while, and that nobody waits for.
  void settle() {
    if (cutover_) cutover_->settle();
  }

 private:
  [[nodiscard]] std::unique_ptr<CutoverSides> connect(const CutoverPlan& plan) const {
    return std::make_unique<CutoverSides>(plan, kCutoverAnswers, kLockPatience, stop_);
  }
  void recover(const CutoverEntry& entry);
  void recover_patiently(const CutoverPlan& plan, Cutover& cutover, const std::string& reason);
  [[nodiscard]] bool cannot_watch();
  [[nodiscard]] bool refused(const CutoverPlan& plan, CutoverSides& sides, const CutoverHistory& history);
  void move(const CutoverPlan& plan, std::unique_ptr<CutoverSides> sides, std::int64_t number);

  const Config& config_;
  const CutoverOptions& options_;
  const ConfigFlags& flags_;
  CutoverReport& report_;
  const std::stop_token stop_;
  std::unique_ptr<CutoverPlan> plan_;  ///< of cutover_
  std::unique_ptr<Cutover> cutover_;
  std::unique_ptr<CutoverGuard> guard_;
};

void Run::recover(const CutoverEntry& entry) {
  CutoverOptions then = options_;
  then.to = entry.to;
  plan_ = std::make_unique<CutoverPlan>(make_plan(config_, then));
  plan_->fence = entry.details.value("fence", true);
  plan_->way_back = entry.details.value("way_back", true);
  report_.from = plan_->from();
  report_.to = plan_->to;
  if (cutover_) cutover_->settle();
  cutover_ = std::make_unique<Cutover>(*plan_, report_, kNobodyListens, stop_);
  const std::unique_ptr<CutoverSides> sides = connect(*plan_);
  // Who has ended meanwhile, or was ended by its guard, has changed it.
  const CutoverHistory history = read_cutovers(sides->blue(), sides->green(), config_.name);
  if (!history.last || history.last->ended()) return;
  const bool decided = history.last->state == CutoverState::kMoved;
  report_.notes.push_back("cutover " + std::to_string(history.last->number) + " to " + plan_->to +
                          " had not ended: it was " + (decided ? "gone on with" : "taken back"));
  cutover_->recover(*sides, *history.last);
  cutover_->tell_result();
}

// Whatever has gone wrong, it is ended one way or the other, as soon as both sides can be asked; as long as only the
// one that is left can be, its applications at least are let go.
void Run::recover_patiently(const CutoverPlan& plan, Cutover& cutover, const std::string& reason) {
  report_.obstacles.push_back(reason);
  cutover.be_patient();
  const auto until = steady_clock::now() + plan.limits.timeout;
  std::string problem;
  bool freed = false;
  do {
    try {
      const auto sides = std::make_unique<CutoverSides>(plan, kCutoverAnswers, kLockPatience, std::stop_token());
      const CutoverHistory history = read_cutovers(sides->blue(), sides->green(), config_.name);
      if (history.last && !history.last->ended()) return cutover.recover(*sides, *history.last);
      report_.result = CutoverResult::kUndone;
      return;
    } catch (const PgError& error) {
      problem = error.what();
    } catch (const Stopped& stopped) {
      problem = stopped.what();
    }
    log_event(LogLevel::kWarn, "the cutover cannot be ended yet", {{"reason", problem}});
    if (!freed) freed = free_left(cutover);
  } while (steady_clock::now() < until && pause_for(kRecoverPause, {}));
  report_.result = CutoverResult::kBroken;
  report_.obstacles.push_back(problem);
  report_.obstacles.push_back(cutover.standing());
}

bool Run::refused(const CutoverPlan& plan, CutoverSides& sides, const CutoverHistory& history) {
  if (plan.fence && history.writes_on == plan.to) {
    report_.obstacles.push_back("applications write on " + plan.to + " already, by all that was decided before" +
                                std::string(history.last ? "" : " (a migration begins with blue)"));
    return true;
  }
  CutoverFindings findings = check_cutover(plan, sides, options_.unverified, stop_);
  report_.obstacles = std::move(findings.obstacles);
  report_.notes.insert(report_.notes.end(), findings.notes.begin(), findings.notes.end());
  if (!report_.obstacles.empty()) return true;
  report_.predicted_ms = findings.pause_ms;
  return false;
}

bool Run::cannot_watch() {
  if (!options_.watch) return false;
  for (std::string& obstacle : CutoverWatch(config_, options_.rollback_on, options_.to).obstacles()) {
    report_.obstacles.push_back(std::move(obstacle));
  }
  return !report_.obstacles.empty();
}

void Run::move(const CutoverPlan& plan, std::unique_ptr<CutoverSides> sides, std::int64_t number) {
  plan_ = std::make_unique<CutoverPlan>(plan);
  guard_ = std::make_unique<CutoverGuard>(flags_, plan.to, plan.limits.pause_budget);
  const PauseListener listener{[this] { guard_->pause_begins(); }, [this] { guard_->pause_ends(); },
                               [this](pid_t group) { guard_->hook_runs(group); }};
  if (cutover_) cutover_->settle();
  cutover_ = std::make_unique<Cutover>(*plan_, report_, listener, stop_);
  if (const std::string problem = cutover_->tell_before(); !problem.empty()) {
    report_.obstacles.push_back(problem);
    return cutover_->tell_result();
  }
  try {
    cutover_->prepare(*sides, number);
    if (!cutover_->move(*sides)) cutover_->take_back(*sides);
  } catch (const std::exception& error) {
    sides.reset();  // its locks go with it
    recover_patiently(*plan_, *cutover_, error.what());
  }
  cutover_->tell_result();
}

void Run::run() {
  const CutoverPlan plan = make_plan(config_, options_);
  std::unique_ptr<CutoverSides> sides = connect(plan);
  complete_schema(*sides);
  CutoverHistory history = read_cutovers(sides->blue(), sides->green(), config_.name);
  report_.writes_on = history.writes_on;
  if (history.last && !history.last->ended()) {
    if (options_.dry_run) {
      report_.obstacles.push_back(
          "cutover " + std::to_string(history.last->number) + " to " + history.last->to +
          " has not ended: repeat it without --dry-run, which takes it back or goes on with it");
      return;
    }
    const bool same = history.last->to == options_.to;
    const bool decided = history.last->state == CutoverState::kMoved;
    sides.reset();
    recover(*history.last);
    if (options_.recover || (same && decided)) return;
    report_.from = plan.from();
    report_.to = plan.to;
    report_.result = CutoverResult::kRefused;
    sides = connect(plan);
    history = read_cutovers(sides->blue(), sides->green(), config_.name);
    report_.writes_on = history.writes_on;
  }
  if (options_.recover) report_.notes.emplace_back("there is no cutover that has not ended");
  if (options_.recover || refused(plan, *sides, history) || cannot_watch()) return;
  if (options_.dry_run) {
    report_.result = CutoverResult::kReady;
    return;
  }
  const std::string question =
      "Move the writes of \"" + config_.name + "\" from " + plan.from() + " to " + plan.to + "?";
  if (!options_.yes && !confirm(question, "this moves the applications' writes")) {
    report_.obstacles.emplace_back("nobody said yes");
    return;
  }
  report_.predicted_ms.reset();
  move(plan, std::move(sides), history.last ? history.last->number + 1 : 1);
}

void print(const CutoverReport& report, const OutputOptions& output, ReportFile& file) {
  constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
  if (file.wanted()) file.write(file.is_page() ? report.html() : report.json().dump(2, ' ', false, kReplace));
  std::cout << (output.json ? report.json().dump(2, ' ', false, kReplace) + "\n" : report.text()) << std::flush;
}

// Returns the exit code: 1 when the writes are back where they were.
int look_after(const Config& config, const OutputOptions& output, const CutoverOptions& options,
               const ConfigFlags& flags, const std::stop_token& stop) {
  log_event(LogLevel::kInfo, "looking after the side that has the writes", {{"ms", options.watch->count()}});
  const std::optional<std::string> reason =
      CutoverWatch(config, options.rollback_on, options.to).watch(*options.watch, stop);
  if (!reason) return 0;
  CutoverOptions back = options;
  back.to = options.to == "green" ? "blue" : "green";
  back.unverified = true;  // what was equal before is what is gone back to
  back.watch.reset();
  back.rollback_on.clear();
  CutoverReport report{.name = config.name, .from = options.to, .to = back.to};
  report.started_at = to_string(now_timestamp());
  report.notes.push_back("moved back by itself: " + *reason);
  ReportFile none("");
  Run run(config, back, flags, report, stop);
  run.run();
  print(report, output, none);
  run.settle();
  return static_cast<int>(StopCode::kRefused);
}

// Until it is done: nobody else knows of it.
int guard(const Config& config, const CutoverOptions& options, const ConfigFlags& flags) {
  if (!guard_parent(*options.guarding)) return 0;
  const auto until = steady_clock::now() + kGuardTries;
  CutoverPlan left{.config = config, .limits = config.cutover, .to = options.to};
  for (bool freed = false;;) {
    CutoverReport report{.name = config.name, .from = left.from(), .to = options.to};
    std::string problem;
    try {
      Run run(config, options, flags, report, {});
      run.run();
      run.settle();
      return 0;
    } catch (const PgError& error) {
      problem = error.what();
    } catch (const Stopped& stopped) {
      problem = stopped.what();
    }
    log_event(LogLevel::kWarn, "the cutover cannot be ended yet", {{"reason", problem}});
    Cutover cutover(left, report, kNobodyListens, {});
    if (!freed) freed = free_left(cutover);
    if (steady_clock::now() > until) {
      log_event(LogLevel::kError, "giving up on a cutover that has not ended: repeat teal cutover",
                {{"reason", problem}});
      return static_cast<int>(StopCode::kRefused);
    }
    pause_for(kRecoverPause, {});
  }
}

}  // namespace

int cutover_command(const Config& config, const OutputOptions& output, const CutoverOptions& options,
                    const ConfigFlags& flags) {
  std::signal(SIGPIPE, SIG_IGN);  // whoever reads what is logged must not end this
  if (options.guarding) return guard(config, options, flags);
  const SignalStop signals;
  CutoverReport report{.name = config.name, .from = options.to == "green" ? "blue" : "green", .to = options.to};
  report.started_at = to_string(now_timestamp());
  ReportFile file(options.report);
  Run run(config, options, flags, report, signals.token());
  run.run();
  print(report, output, file);
  run.settle();
  if (options.watch && report.result == CutoverResult::kMoved) {
    return look_after(config, output, options, flags, signals.token());
  }
  const bool good = report.result == CutoverResult::kMoved || report.result == CutoverResult::kReady;
  return good || (options.recover && report.result != CutoverResult::kBroken) ? 0
                                                                              : static_cast<int>(StopCode::kRefused);
}

}  // namespace teal
