// What Claims does once it is decided: one of the rows goes, on its own side.
#include <algorithm>
#include <string>
#include <utility>

#include "applier/claiming.h"
#include "applier/claims.h"
#include "applier/lost_claims.h"
#include "applier/row_deletion.h"
#include "applier/source_visibility.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {

Claims::Outcome Claims::kept(const Claiming& claiming, const PgConnection& side) {
  reason_ =
      "the row that lost the value stays on " + side.label() + ": a trigger, a rule or a policy keeps DELETE from it";
  log_event(LogLevel::kWarn, "a row that lost a unique value stays: a trigger, a rule or a policy keeps DELETE from it",
            {{"link", names_.link}, {"table", claiming.table->display_name}, {"side", side.label()}});
  return Outcome::kStops;
}

ConflictRecord Claims::record(const Claiming& claiming, const Met& met) {
  const TransactionFacts& facts = *claiming.row->place.facts;
  ConflictRecord record;
  record.type = claiming.met.size() > 1              ? ConflictType::kMultipleUniqueConflicts
                : claiming.row->op == NetOp::kInsert ? ConflictType::kInsertExists
                                                     : ConflictType::kUpdateExists;
  record.table = claiming.table;
  record.key = claiming.row->key;
  record.values = claiming.row->values;
  record.lsn = facts.final_lsn;
  record.time = facts.effective_time;
  record.standing_lsn = met.standing.last.lsn;
  record.standing_time = met.standing.last.time;
  record.standing_key = RowKey{met.row.key};
  return record;
}

// What has changed since it was looked at is decided anew.
Claims::Outcome Claims::delete_there(PgConnection& target, std::vector<Claiming>& rows) {
  std::vector<RowDeletion> deletions;
  for (const Claiming& one : rows) {
    RowDeletion& deletion = deletions.emplace_back();
    for (const Met& met : one.met) {
      deletion.rows.push_back(&met.row);
      deletion.records.push_back(record(one, met));
      deletion.records.back().applied = true;
    }
  }
  if (rows.empty()) return Outcome::kNothing;
  const std::vector<bool> done = delete_each(target, *rows.front().table, deletions, log_);
  const auto count = static_cast<std::size_t>(std::count(done.begin(), done.end(), true));
  if (count > 0) tell(rows.front(), count, "incoming");
  if (count > 0 || rows.size() > 1) return count > 0 ? Outcome::kAgain : Outcome::kNothing;
  return drop_changed(target, rows) ? Outcome::kAgain : kept(rows.front(), target);
}

// Afterwards its source has a later version of each row. One that is not as the change made it has been changed since,
// also where the stream has not brought that yet: it is not waited for, because its queue is emptied by who would wait.
Claims::Outcome Claims::lose(std::span<const Claiming> rows) {
  if (rows.empty()) return Outcome::kNothing;
  const TargetTable& table = *rows.front().table;
  const std::vector<TupleView> values = values_of(rows);
  std::vector<Xid> written_by;
  written_by.reserve(rows.size());
  for (const Claiming& one : rows) written_by.push_back(one.row->place.facts->xid);
  wait_until_visible(source(), written_by);
  const std::vector<std::optional<HoldingRow>> there = find_rows(source(), table, values);
  const std::vector<bool> later = have_later_versions(rows);
  std::vector<RowDeletion> deletions;
  std::vector<std::size_t> deleted;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!there[i] || !there[i]->same || later[i]) continue;
    deletions.push_back({{&*there[i]}, {}});
    deleted.push_back(i);
  }
  const std::vector<bool> done = delete_each(source(), table, deletions, log_);
  std::vector<bool> settled(rows.size(), true);
  for (std::size_t i = 0; i < deleted.size(); ++i) settled[deleted[i]] = done[i];
  if (rows.size() == 1 && !settled.front()) {
    const std::optional<HoldingRow> now = find_rows(source(), table, values).front();
    return now && is_same_version(*now, *there.front()) ? kept(rows.front(), source()) : Outcome::kAgain;
  }
  const Lsn as_of = mark_source();
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!settled[i]) continue;
    const Met& met = *rows[i].first(Verdict::kLoses);
    const ConflictRecord decided = record(rows[i], met);
    sides_.lost->add(rows[i].hash, decided.lsn, rows[i].row->place.position,
                     {met.row, decided.type, decided.standing_lsn, decided.standing_time, as_of});
    ++count;
  }
  if (count == 0) return Outcome::kNothing;
  tell(rows.front(), count, "standing");
  return Outcome::kAgain;
}

std::vector<bool> Claims::have_later_versions(std::span<const Claiming> rows) const {
  std::vector<bool> later;
  SideChanges::read(*sides_.source, *sides_.target, [&](const LocalChanges& source, const LocalChanges&) {
    for (const Claiming& one : rows) {
      const IncomingChange change = one.change();
      later.push_back(source.unseen(change.key, change.table, Lsn{change.commit.lsn.value + 1}).has_value());
    }
  });
  return later;
}

// Where its log is by now. The message is committed, and so flushed, after what was found there.
Lsn Claims::mark_source() {
  const Rows rows = source().exec("mark the moment in the source's log", "SELECT pg_logical_emit_message(true, $1, '')",
                                  {names_.base()});
  const std::optional<Lsn> lsn = parse_lsn(rows.at(0, 0));
  if (!lsn) throw Stopped(StopCode::kBug, "the source's WAL position could not be read");
  return *lsn;
}

PgConnection& Claims::source() {
  if (source_ && source_->usable()) return *source_;
  source_.emplace(open_source_());
  const Rows set = source_->exec("set synchronous_commit", "SELECT set_config('synchronous_commit', 'local', false)");
  if (set.at(0, 0) != "local") throw Stopped(StopCode::kRefused, "synchronous_commit could not be set to local");
  return *source_;
}

void Claims::tell(const Claiming& first, std::size_t rows, const char* stays) const {
  log_event(LogLevel::kInfo, "unique values were claimed on both sides, rows give way",
            {{"link", names_.link},
             {"table", first.table->display_name},
             {"commit", to_string(first.row->place.facts->final_lsn)},
             {"rows", rows},
             {"stays", stays}});
}

}  // namespace teal
