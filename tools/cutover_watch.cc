#include "tools/cutover_watch.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "engine/config_values.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/cutover_hooks.h"
#include "tools/link_facts.h"
#include "tools/status_report.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLookEvery{2'000};
constexpr milliseconds kCommandTime{10'000};
constexpr int kTimesInTurn = 3;
constexpr double kTellsSomething = 20;  // transactions or statements between two looks

std::string shortened(double value, const char* unit) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, unit);
  return text.data();
}

std::optional<double> parse_percent(const std::string& text) {
  if (!text.ends_with('%')) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = end == text.c_str() + text.size() - 1 && end != text.c_str();
  return whole && value >= 0 && value <= 100 ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<WatchCondition> parse_watch_condition(const std::string& text) {
  using Kind = WatchCondition::Kind;
  constexpr std::string_view kCommandWord = "command:";
  if (text.starts_with(kCommandWord)) {
    WatchCondition condition{Kind::kCommand, 0, text.substr(kCommandWord.size()), text};
    return condition.command.empty() ? std::nullopt : std::optional(std::move(condition));
  }
  const std::size_t sign = text.find('>');
  if (sign == std::string::npos) return std::nullopt;
  const std::string name = text.substr(0, sign);
  const std::string limit = text.substr(sign + 1);
  if (name == "errors") {
    const std::optional<double> percent = parse_percent(limit);
    if (!percent) return std::nullopt;
    return WatchCondition{Kind::kErrors, *percent, "", text};
  }
  const std::optional<milliseconds> time = parse_duration(limit);
  if (!time || (name != "lag" && name != "latency")) return std::nullopt;
  return WatchCondition{name == "lag" ? Kind::kLag : Kind::kLatency, static_cast<double>(time->count()), "", text};
}

CutoverWatch::CutoverWatch(const Config& config, const std::vector<WatchCondition>& conditions, std::string to)
    : config_(config),
      conditions_(conditions),
      to_(std::move(to)),
      blue_(PgConnection::connect(connect_options(config, true, "cutover-watch"))),
      green_(PgConnection::connect(connect_options(config, false, "cutover-watch"))) {}

bool CutoverWatch::wants(WatchCondition::Kind kind) const {
  return std::any_of(conditions_.begin(), conditions_.end(), [&](const auto& one) { return one.kind == kind; });
}

std::vector<std::string> CutoverWatch::obstacles() {
  std::vector<std::string> found;
  if (wants(WatchCondition::Kind::kLatency)) {
    try {
      static_cast<void>(read_counts());
    } catch (const PgError& error) {
      found.push_back(std::string("--rollback-on latency needs pg_stat_statements on ") + to_ +
                      " (shared_preload_libraries, and CREATE EXTENSION): " + error.what());
    }
  }
  for (const WatchCondition& condition : conditions_) {
    if (condition.kind != WatchCondition::Kind::kCommand) continue;
    std::string problem = command_problem("--rollback-on " + condition.text, condition.command);
    if (!problem.empty()) found.push_back(std::move(problem));
  }
  return found;
}

CutoverWatch::Counts CutoverWatch::read_counts() {
  PgConnection& side = to_ == "green" ? green_ : blue_;
  Counts counts;
  const Rows transactions =
      side.exec("count " + to_ + "'s transactions",
                "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()");
  counts.committed = static_cast<double>(transactions.integer(0, 0));
  counts.rolled_back = static_cast<double>(transactions.integer(0, 1));
  if (!wants(WatchCondition::Kind::kLatency)) return counts;
  const Rows where = side.exec("look for pg_stat_statements on " + to_,
                               "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = "
                               "e.extnamespace WHERE e.extname = 'pg_stat_statements'");
  if (where.empty()) throw PgError("look for pg_stat_statements on " + to_, "it is not there", "42704");
  const Rows statements = side.exec(
      "read how long " + to_ + "'s statements take",
      "SELECT coalesce(sum(total_exec_time), 0)::float8, coalesce(sum(calls), 0)::float8 FROM " + where.str(0, 0) +
          ".pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND "
          "userid <> "
          "(SELECT oid FROM pg_roles WHERE rolname = current_user)");
  counts.statement_ms = std::stod(statements.str(0, 0));
  counts.statements = std::stod(statements.str(0, 1));
  return counts;
}

CutoverWatch::Look CutoverWatch::look(const WatchCondition& condition, const Counts& last, const Counts& now,
                                      const std::stop_token& stop) {
  switch (condition.kind) {
    case WatchCondition::Kind::kLag:
      for (const LinkStatus& link : read_links(config_, blue_, green_)) {
        if (link.source != to_) continue;
        if (link.phase != "streaming") return {.reason = "link " + link.link + " is " + link.phase};
        const double lag = link.lag_seconds() * 1000;
        if (lag > condition.limit) return {.reason = "link " + link.link + " lags by " + shortened(lag, "ms")};
      }
      return {};
    case WatchCondition::Kind::kErrors: {
      const double failed = now.rolled_back - last.rolled_back;
      const double all = failed + now.committed - last.committed;
      if (all < kTellsSomething) return {.known = false};
      if (failed * 100 <= condition.limit * all) return {};
      return {.reason =
                  shortened(failed * 100 / all, "%") + " of " + shortened(all, "transactions") + " were rolled back"};
    }
    case WatchCondition::Kind::kLatency: {
      const double calls = now.statements - last.statements;
      const double mean = calls > 0 ? (now.statement_ms - last.statement_ms) / calls : 0;
      if (calls < kTellsSomething) return {.known = false};
      if (mean <= condition.limit) return {};
      return {.reason = "statements take " + shortened(mean, "ms") + " in the mean"};
    }
    case WatchCondition::Kind::kCommand:
      return {.known = true,
              .reason = run_hook("the command", condition.command, {{"TEAL_TO", to_}}, kCommandTime, stop)};
  }
  return {};
}

// Servers count in bursts: what tells nothing yet is looked at together with what comes.
std::optional<std::string> CutoverWatch::watch(milliseconds time, const std::stop_token& stop) {
  const auto until = steady_clock::now() + time;
  std::vector<int> times(conditions_.size(), 0);
  std::vector<Counts> last(conditions_.size(), read_counts());
  while (steady_clock::now() < until && pause_for(std::min<milliseconds>(kLookEvery, time), stop)) {
    const Counts now = read_counts();
    for (std::size_t i = 0; i < conditions_.size(); ++i) {
      const Look seen = look(conditions_[i], last[i], now, stop);
      if (stop.stop_requested()) return std::nullopt;
      if (!seen.known) continue;
      last[i] = now;
      times[i] = seen.reason.empty() ? 0 : times[i] + 1;
      if (seen.reason.empty()) continue;
      log_event(LogLevel::kWarn, "something is wrong after the cutover",
                {{"condition", conditions_[i].text}, {"reason", seen.reason}, {"times", times[i]}});
      if (times[i] >= kTimesInTurn) return conditions_[i].text + ": " + seen.reason;
    }
  }
  return std::nullopt;
}

}  // namespace teal
