#include "tools/sides_watch.h"

#include <string>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLook{5};
constexpr seconds kPrune{60};
constexpr seconds kAnswerWithin{3};
constexpr seconds kConnectWithin{3};  // both: the end of the process may have to wait for that
constexpr seconds kApart{1};
constexpr milliseconds kTogether{500};
constexpr int kStepRows = 1000;
constexpr int kSteps = 20;
constexpr int kTellFailure = 2;  // in a row: a session that was ended is made again at once

}  // namespace

SkewAlarm::News SkewAlarm::note(const ClockSkew& skew) {
  const auto apart = std::chrono::abs(skew.ahead);
  if (!apart_ && apart - skew.error > kApart) {
    apart_ = true;
    return News::kApart;
  }
  if (apart_ && apart + skew.error < kTogether) {
    apart_ = false;
    return News::kTogether;
  }
  return News::kNone;
}

// Ids grow with time, and counting rows would mean to read them all.
bool prune_conflict_log(PgConnection& side, const std::string& migration, milliseconds keep) {
  static const std::string kDelete = "DELETE FROM teal.conflict_log WHERE id IN (SELECT id FROM teal.conflict_log ";
  static const std::string kOld = kDelete +
                                  "WHERE migration = $1 AND at < now() - $2::float8 * interval '1 millisecond' "
                                  "ORDER BY at LIMIT " +
                                  std::to_string(kStepRows) + ")";
  static const std::string kMany = kDelete +
                                   "WHERE migration = $1 AND id <= (SELECT max(id) FROM teal.conflict_log WHERE "
                                   "migration = $1) - $2::bigint ORDER BY id LIMIT " +
                                   std::to_string(kStepRows) + ")";
  for (const auto& [sql, bound] : {std::pair(kOld, keep.count()), std::pair(kMany, kConflictLogRowsMax)}) {
    for (int step = 0;; ++step) {
      if (step == kSteps) return true;
      const Rows deleted =
          side.exec_often("delete old conflicts on " + side.label(), sql, {migration, std::to_string(bound)});
      if (deleted.affected() < kStepRows) break;
    }
  }
  return false;
}

SidesWatch::SidesWatch(const Config& config)
    : config_(config), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void SidesWatch::run(const std::stop_token& stop) {
  int failures = 0;
  do {
    try {
      look(stop);
      if (std::exchange(failures, 0) >= kTellFailure) log_event(LogLevel::kInfo, "sides are watched again");
    } catch (const std::exception& error) {  // the links go on without it; the next look tries again
      if (stop.stop_requested()) return;
      blue_.reset();
      green_.reset();
      if (++failures != kTellFailure) continue;
      log_event(LogLevel::kWarn, "sides are not watched, trying again", {{"reason", error.what()}});
    }
  } while (pause_for(kLook, stop));
}

void SidesWatch::connect(const std::stop_token& stop) {
  const auto open = [&](bool blue) {
    ConnectOptions options = connect_options(config_, blue, "sides");
    options.connect_timeout = kConnectWithin;
    options.answer_within = kAnswerWithin;
    PgConnection connection = PgConnection::connect(options);
    connection.set_stop_token(stop);
    return connection;
  };
  if (!blue_) blue_ = open(true);
  if (!green_) green_ = open(false);
}

void SidesWatch::look(const std::stop_token& stop) {
  connect(stop);
  tell(measure_clock_skew(*blue_, *green_));
  if (Clock::now() < prune_at_) return;
  bool more = false;
  for (PgConnection* side : {&*blue_, &*green_}) {
    if (has_control_table(*side, "conflict_log")) {
      more = prune_conflict_log(*side, config_.name, config_.conflicts.keep) || more;
    }
  }
  prune_at_ = Clock::now() + (more ? seconds(0) : kPrune);
}

void SidesWatch::tell(const ClockSkew& skew) {
  switch (alarm_.note(skew)) {
    case SkewAlarm::News::kApart:
      log_event(LogLevel::kWarn,
                "clocks differ: the side that is ahead wins more conflicts; synchronize the servers' clocks",
                {{"green_ahead_seconds", skew.seconds()}});
      break;
    case SkewAlarm::News::kTogether:
      log_event(LogLevel::kInfo, "clocks agree again", {{"green_ahead_seconds", skew.seconds()}});
      break;
    case SkewAlarm::News::kNone:
      break;
  }
}

}  // namespace teal
