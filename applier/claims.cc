#include "applier/claims.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "applier/lost_claims.h"
#include "applier/row_deletion.h"
#include "applier/source_visibility.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr const char* kUniqueViolation = "23505";
constexpr int kTriesMax = 5;
constexpr std::size_t kRowsMax = 1'000;  // of a transaction that is refused at its end, so that its row is not known

bool claims(const NetRow& row) {
  return row.op == NetOp::kInsert || row.op == NetOp::kUpdate || row.op == NetOp::kReplace || row.op == NetOp::kPut;
}

template <typename Look>
void each_row(std::span<const Epoch> epochs, Look look) {
  for (const Epoch& epoch : epochs) {
    for (const std::vector<Segment>& segments : epoch.tables) {
      for (const Segment& segment : segments) {
        for (const NetRow& row : segment.rows) look(segment, row);
      }
    }
  }
}

bool is_same_version(const HoldingRow& one, const HoldingRow& other) {
  return one.relation == other.relation && one.place == other.place && one.xmin == other.xmin;
}

}  // namespace

// A row of the target that is met, and what was decided between the two.
struct Claims::Met {
  HoldingRow row;
  Verdict verdict = Verdict::kApplies;
  UnseenVersions standing = {};
};

// A row of the batch that claims a value which those rows of the target have.
struct Claims::Claiming {
  const TargetTable* table = nullptr;
  const NetRow* row = nullptr;
  KeyHash hash;
  std::vector<Met> met = {};

  [[nodiscard]] IncomingChange change() const {
    const TransactionFacts& facts = *row->place.facts;
    return {hash, table->row_key.table, {facts.final_lsn, facts.effective_time, facts.seen}, row->first_seen};
  }
  [[nodiscard]] const Met* first(Verdict verdict) const {
    const auto found = std::find_if(met.begin(), met.end(), [&](const Met& one) { return one.verdict == verdict; });
    return found == met.end() ? nullptr : &*found;
  }
};

std::vector<TupleView> Claims::values_of(std::span<const Claiming> rows) {
  std::vector<TupleView> values;
  values.reserve(rows.size());
  for (const Claiming& one : rows) values.push_back(one.row->values);
  return values;
}

// Those that the server may have meant.
std::vector<Claims::Claiming> Claims::claiming(const RefusedChange& refused, std::span<const Epoch> epochs) {
  std::vector<Claiming> rows;
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    if (!claims(row) || segment.table->whole_rows || rows.size() >= kRowsMax) return;
    if (refused.position != 0 && (row.place.lsn != refused.lsn || row.place.position != refused.position)) return;
    if (!refused.table.empty() && segment.table->display_name != refused.table) return;
    rows.push_back({segment.table, &row, key_hash(segment.table->row_key, row.key.columns)});
  });
  return rows;
}

// Each with the rows that it meets there, without those that meet none. All are rows of one table.
void Claims::find_met(PgConnection& target, std::vector<Claiming>& rows) {
  if (rows.empty()) return;
  std::vector<std::vector<HoldingRow>> held = find_holding_rows(target, *rows.front().table, values_of(rows));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (HoldingRow& row : held[i]) {
      if (row.hash != rows[i].hash) rows[i].met.push_back({std::move(row)});
    }
  }
  drop_free(rows);
}

void Claims::drop_free(std::vector<Claiming>& rows) {
  std::erase_if(rows, [](const Claiming& one) { return one.met.empty(); });
}

// What the batch itself has written or taken away before the change is not there as it is committed.
void Claims::drop_written(Claiming& claiming, std::span<const Epoch> epochs) {
  std::vector<KeyHash> written;
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    if (&row == claiming.row || segment.table->row_key.table != claiming.table->row_key.table ||
        row.verdict == Verdict::kLoses || row.place.position >= claiming.row->place.position)
      return;
    written.push_back(key_hash(segment.table->row_key, row.key.columns));
    if (segment.move_from) written.push_back(key_hash(segment.table->row_key, segment.move_from->columns));
  });
  std::erase_if(claiming.met, [&](const Met& met) {
    return std::find(written.begin(), written.end(), met.row.hash) != written.end();
  });
}

bool Claims::settle(PgConnection& target, const RefusedChange& refused, std::span<const Epoch> epochs,
                    const CatchUp& catch_up) {
  reason_.clear();
  if (refused.sqlstate != kUniqueViolation) return false;
  try {
    for (const Claiming& one : claiming(refused, epochs)) {
      std::vector<Claiming> row{one};
      find_met(target, row);
      if (!row.empty()) drop_written(row.front(), epochs);
      drop_free(row);
      const Outcome outcome = settle_rows(target, row, catch_up);
      if (outcome != Outcome::kNothing) return outcome == Outcome::kAgain;
    }
    // The row that was in the way may have gone meanwhile: the other link settles the same.
    const std::string what = to_string(refused);
    tries_ = what == tried_ ? tries_ + 1 : 1;
    tried_ = what;
    return tries_ <= kTriesMax;
  } catch (const PgError& error) {
    if (source_ && !source_->usable()) source_.reset();
    if (!error.needs_somebody()) throw;
    reason_ = error.what();
    log_event(LogLevel::kWarn, "a unique value that two rows claim could not be settled",
              {{"link", names_.link}, {"table", refused.table}, {"reason", reason_}});
  }
  return false;
}

bool Claims::settle_ahead(PgConnection& target, std::span<const Epoch> epochs, Lsn applied,
                          const std::function<bool(const TargetTable&)>& concerns, const CatchUp& catch_up) {
  std::map<const TargetTable*, std::vector<Claiming>> tables;
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    if (!claims(row) || segment.table->whole_rows || row.verdict == Verdict::kLoses || !concerns(*segment.table))
      return;
    const KeyHash hash = key_hash(segment.table->row_key, row.key.columns);
    if (sides_.lost->find(hash, row.place.facts->final_lsn, row.place.position) != nullptr) return;
    tables[segment.table].push_back({segment.table, &row, hash});
  });
  bool settled = false;
  try {
    for (auto& [table, rows] : tables) {
      find_met(target, rows);
      drop_concerned(rows, applied);
      settled = settle_rows(target, rows, catch_up) == Outcome::kAgain || settled;
    }
  } catch (const PgError&) {
    // It comes up again by itself, and is told then.
    if (source_ && !source_->usable()) source_.reset();
    if (!target.usable()) throw;
  }
  return settled;
}

// Where the source has changed a row that is met, the target may have written that already, unseen by others.
void Claims::drop_concerned(std::vector<Claiming>& rows, Lsn applied) const {
  SideChanges::read(*sides_.source, *sides_.target, [&](const LocalChanges& source, const LocalChanges&) {
    std::erase_if(rows, [&](const Claiming& one) {
      return std::any_of(one.met.begin(), one.met.end(), [&](const Met& met) {
        return source.unseen(met.row.hash, one.table->row_key.table, applied).has_value();
      });
    });
  });
}

Claims::Outcome Claims::settle_rows(PgConnection& target, std::vector<Claiming>& rows, const CatchUp& catch_up) {
  if (rows.empty() || !catch_up()) return Outcome::kNothing;
  decide(rows);
  Outcome outcome = drop_changed(target, rows) ? Outcome::kAgain : Outcome::kNothing;
  std::vector<Claiming> losing;
  std::vector<Claiming> winning;
  for (Claiming& one : rows) {
    std::erase_if(one.met, [](const Met& met) { return met.verdict == Verdict::kApplies; });
    if (one.first(Verdict::kStops) != nullptr) {
      reason_ = "two rows claim the value, and the policy leaves that to the operator";
      if (outcome == Outcome::kNothing) outcome = Outcome::kStops;
    } else if (!one.met.empty()) {
      (one.first(Verdict::kLoses) != nullptr ? losing : winning).push_back(std::move(one));
    }
  }
  for (const Outcome one : {lose(losing), delete_there(target, winning)}) {
    if (outcome != Outcome::kAgain && one != Outcome::kNothing) outcome = one;
  }
  return outcome;
}

// Only what the two sides disagree about: of what the change's maker had seen, the source has a change that is in this
// batch or was before it.
void Claims::decide(std::vector<Claiming>& rows) const {
  SideChanges::read(*sides_.source, *sides_.target, [&](const LocalChanges& source, const LocalChanges& target) {
    for (Claiming& one : rows) {
      const IncomingChange change = one.change();
      for (Met& met : one.met) {
        met.verdict =
            decide_claim(sides_.policy(one.table->target), sides_.source_side, change, met.row.hash, source, target);
        if (met.verdict != Verdict::kApplies)
          met.standing = target.unseen(met.row.hash, change.table, change.commit.seen).value();
      }
    }
  });
}

// What was compared has to be what was found, and not its end. What wins may have become something else meanwhile,
// again and again: as long as it holds the value, the change gives way to it. True: some are not as they were.
bool Claims::drop_changed(PgConnection& target, std::vector<Claiming>& rows) {
  const std::vector<std::vector<HoldingRow>> now = find_holding_rows(target, *rows.front().table, values_of(rows));
  std::vector<Claiming> same;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool in_any_version = rows[i].first(Verdict::kLoses) != nullptr;
    const bool holds = std::all_of(rows[i].met.begin(), rows[i].met.end(), [&](const Met& met) {
      return std::any_of(now[i].begin(), now[i].end(), [&](const HoldingRow& one) {
        return in_any_version ? one.hash == met.row.hash : is_same_version(one, met.row);
      });
    });
    if (holds) same.push_back(std::move(rows[i]));
  }
  const bool changed = same.size() < rows.size();
  rows = std::move(same);
  return changed;
}

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
