#include "applier/conflict_guard.h"

#include <algorithm>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstTold{2'000};
constexpr milliseconds kLook{1'000};
constexpr int kLatePart = 60;
constexpr int kLateMost = 16;

}  // namespace

ConflictGuard::ConflictGuard(ConflictGuardOptions options)
    : options_(std::move(options)),
      source_rows_(options_.open_source, options_.names),
      fetched_(options_.names),
      filter_(options_.sides, source_rows_, fetched_),
      log_(options_.names, options_.logs_rows),
      claims_(options_.sides, options_.names, options_.open_source, log_) {}

// What was read for an earlier plan may be older than a change of this one.
void ConflictGuard::begin(bool open) {
  open_ = open;
  source_rows_.clear();
  spared_.clear();
  fetched_.begin(open);
}

bool ConflictGuard::decide(std::span<Epoch> epochs) {
  fetched_.begin(open_);
  filter_.decide(epochs);
  if (filter_.wanted().empty()) return true;
  source_rows_.read(filter_.wanted());
  return false;
}

// A commit of its own, flushed at once: an application's commit with synchronous_commit = off is seen by others some
// 180 ms before it can be decoded (measured on 15).
void ConflictGuard::put_fence() {
  if (!session_) session_.emplace(options_.open_target());
  const Rows rows = session_->exec_often("mark the moment in the target's log",
                                         "SELECT pg_logical_emit_message(true, $1, '')", {options_.names.base()});
  const auto lsn = parse_lsn(rows.at(0, 0));
  if (!lsn) throw Stopped(StopCode::kBug, "the target's WAL position could not be read");
  fence_ = *lsn;
}

milliseconds ConflictGuard::wait_locked(Clock::time_point now) const {
  if (!late_) return options_.wait_locked;
  const auto part = std::chrono::duration_cast<milliseconds>((now - late_since_) / kLatePart);
  return std::clamp(part, options_.wait_locked, kLateMost * options_.wait_locked);
}

// Whether the target's stream comes to this moment while the rows may stay locked.
bool ConflictGuard::passes_fence() {
  put_fence();
  const auto now = Clock::now();
  if (!options_.sides.target->wait_passed(fence_, wait_locked(now), session_->stop_token())) {
    if (!std::exchange(late_, true)) late_since_ = now;
    refusal_ = "the link that reads the target is not at " + to_string(fence_) + " of its log yet";
    return false;
  }
  late_ = false;
  return true;
}

// What is later is known only when nobody can make another row.
bool ConflictGuard::truncate(PgConnection& target, const Epoch& epoch) {
  std::string names;
  for (const TargetTable* table : epoch.truncated) names += (names.empty() ? "" : ", ") + table->sql_name;
  target.exec("lock the tables of a TRUNCATE", "LOCK TABLE " + names + " IN SHARE ROW EXCLUSIVE MODE");
  if (!passes_fence()) return false;
  for (const TargetTable* table : epoch.truncated) {
    const ConflictFilter::Later later = filter_.later_than(epoch, *table);
    const std::vector<SparedRows::Row> spared = spared_.delete_others(target, *table, later.keys, epoch.truncate_place);
    for (const SparedRows::Row& row : spared) filter_.spare(epoch, *table, row, later.stops);
    log_event(LogLevel::kInfo, "a TRUNCATE left rows that are later",
              {{"link", options_.names.link}, {"table", table->display_name}, {"rows", spared.size()}});
  }
  return true;
}

bool ConflictGuard::confirm(std::span<const Epoch> epochs) {
  if (epochs.empty()) return true;
  if (!passes_fence()) return false;
  if (const TargetTable* table = filter_.first_that_differs(epochs); table != nullptr) {
    refusal_ = "a row of " + table->display_name + " was changed on the target meanwhile";
    return false;
  }
  return true;
}

void ConflictGuard::catch_up() {
  put_fence();
  const auto begin = Clock::now();
  auto told = begin;
  while (!options_.sides.target->wait_passed(fence_, kLook, session_->stop_token())) {
    if (session_->stop_requested()) throw PgError("wait for the other link's stream", "it is time to stop", "57014");
    // Two links whose streams were lost together would wait for each other: whoever waits here does not read its own.
    if (!options_.sides.source->reading()) {
      throw PgError("wait for the other link's stream", "this link's own stream has ended", "08006");
    }
    const auto now = Clock::now();
    if (now - begin < kFirstTold || (told != begin && now - told < 10 * kLook)) continue;
    log_event(LogLevel::kWarn, "waiting for the other link to read",
              {{"link", options_.names.link},
               {"ms", std::chrono::duration_cast<milliseconds>(now - begin).count()},
               {"lsn", to_string(fence_)}});
    told = now;
  }
}

// What decides a row itself comes first: one that loses claims nothing.
Claims::CatchUp ConflictGuard::catching_up(std::span<const Epoch> epochs) {
  return [this, epochs] {
    catch_up();
    return !filter_.decides_otherwise(epochs);
  };
}

bool ConflictGuard::settle_claims(const RefusedChange& refused, std::span<const Epoch> epochs) {
  if (!session_) session_.emplace(options_.open_target());
  if (!claims_.settle(*session_, refused, epochs, catching_up(epochs))) return false;
  (void)settle_claims_ahead(epochs, [&](const TargetTable& table) { return table.display_name == refused.table; });
  return true;
}

bool ConflictGuard::settle_claims_ahead(std::span<const Epoch> epochs,
                                        const std::function<bool(const TargetTable&)>& concerns) {
  if (!session_) session_.emplace(options_.open_target());
  return claims_.settle_ahead(*session_, epochs, concerns, catching_up(epochs));
}

void ConflictGuard::log(PgConnection& target, Lsn applied) {
  if (!filter_.records().empty()) log_.write(target, *session_, filter_.records());
  fetched_.write(target, applied);
}

void ConflictGuard::hold_back(ProgressRow& next, const ProgressRow& now) const {
  // In this order: what it passes meanwhile is known, too.
  const bool complete = options_.sides.source->has_passed(next.applied);
  std::optional<LocalCommit> oldest = options_.sides.source->oldest();
  if (!oldest && !complete) oldest = LocalCommit{now.held, now.held_time, now.held_seen};
  if (!oldest || oldest->lsn >= next.applied) return;
  if (oldest->lsn < now.held) {
    throw Stopped(StopCode::kBug, "link " + options_.names.link + ": its slot would have to go back from " +
                                      to_string(now.held) + " to " + to_string(oldest->lsn));
  }
  next.held = oldest->lsn;
  next.held_time = oldest->time;
  next.held_seen = oldest->seen;
}

void ConflictGuard::committed(const ProgressRow& row) {
  filter_.clear();
  fetched_.committed();
  claims_.forget_passed();
  options_.sides.source->forget(options_.sides.target->needs_from(row.seen));
  options_.sides.lost->forget(row.applied);
}

}  // namespace teal
