#include "applier/claims.h"

#include <algorithm>
#include <string>
#include <utility>

#include "applier/lost_claims.h"
#include "applier/source_visibility.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr const char* kUniqueViolation = "23505";
constexpr int kTriesMax = 5;
constexpr std::size_t kRowsMax = 1'000;  // of a transaction that is refused at its end, so that its row is not known
constexpr const char* kDelete = "delete a row that lost a unique value";

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

// Deletes that version of each row, in a transaction of its own that also does what `before` does; false: one of them
// is there no more, and nothing was done.
template <typename Before>
bool delete_versions(PgConnection& session, const TargetTable& table, std::span<const HoldingRow* const> rows,
                     Before before) {
  session.exec(kDelete, "BEGIN");
  try {
    before();
    session.exec(kDelete, "SET LOCAL lock_timeout = '200ms'");
    // Triggers find tables as they do for applications; "$user" would be teal's own schema.
    session.exec(kDelete,
                 "SELECT set_config('search_path', ltrim(regexp_replace(reset_val, '(^|,) *\"?[$]user\"?', '', 'g'), "
                 "', '), true) FROM pg_settings WHERE name = 'search_path'");
    bool all = true;
    for (const HoldingRow* row : rows)
      all = all && session.exec(kDelete, delete_holding_row_sql(table, *row)).affected() == 1;
    session.exec(kDelete, all ? "COMMIT" : "ROLLBACK");
    return all;
  } catch (const PgError&) {
    if (session.usable()) session.exec(kDelete, "ROLLBACK");
    throw;
  }
}

}  // namespace

// A row of the batch that may be what was refused.
struct Claims::Claiming {
  const TargetTable* table = nullptr;
  const NetRow* row = nullptr;
  KeyHash hash;

  [[nodiscard]] IncomingChange change() const {
    const TransactionFacts& facts = *row->place.facts;
    return {hash, table->row_key.table, {facts.final_lsn, facts.effective_time, facts.seen}, row->first_seen};
  }
};

// A row of the target that it meets.
struct Claims::Met {
  const HoldingRow* row = nullptr;
  Verdict verdict = Verdict::kApplies;
  UnseenVersions standing;
};

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

bool Claims::settle(PgConnection& target, const RefusedChange& refused, std::span<const Epoch> epochs,
                    const CatchUp& catch_up) {
  if (refused.sqlstate != kUniqueViolation) return false;
  try {
    for (const Claiming& row : claiming(refused, epochs)) {
      const Outcome outcome = settle_row(target, row, epochs, catch_up);
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
    log_event(LogLevel::kWarn, "a unique value that two rows claim could not be settled",
              {{"link", names_.link}, {"table", refused.table}, {"reason", error.what()}});
  }
  return false;
}

// What the batch itself has written or taken away before this change is not there as it is committed.
Claims::Outcome Claims::settle_row(PgConnection& target, const Claiming& claiming, std::span<const Epoch> epochs,
                                   const CatchUp& catch_up) {
  std::vector<HoldingRow> held = find_holding_rows(target, *claiming.table, claiming.row->values);
  const KeyShape& shape = claiming.table->row_key;
  std::vector<KeyHash> written = {claiming.hash};
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    if (&row == claiming.row || segment.table->row_key.table != shape.table || row.verdict == Verdict::kLoses ||
        row.place.position >= claiming.row->place.position)
      return;
    written.push_back(key_hash(segment.table->row_key, row.key.columns));
    if (segment.move_from) written.push_back(key_hash(segment.table->row_key, segment.move_from->columns));
  });
  std::erase_if(held, [&](const HoldingRow& row) {
    return std::find(written.begin(), written.end(), row.hash) != written.end();
  });
  if (held.empty()) return Outcome::kNothing;
  catch_up();
  const std::vector<Met> met = decide(claiming, held);
  const auto loses = [](const Met& one) { return one.verdict == Verdict::kLoses; };
  const auto winner = std::find_if(met.begin(), met.end(), loses);
  // What was compared has to be what was found, and not its end. What wins may have become something else meanwhile,
  // again and again: as long as it holds the value, the change gives way to it.
  if (!still_hold(target, claiming, held, winner != met.end())) return Outcome::kAgain;
  const auto stops = [](const Met& one) { return one.verdict == Verdict::kStops; };
  if (met.empty()) return Outcome::kNothing;
  if (std::any_of(met.begin(), met.end(), stops)) return Outcome::kStops;
  if (winner != met.end()) return lose(claiming, *winner, met.size() > 1);
  if (delete_there(target, claiming, met)) return Outcome::kAgain;
  if (!still_hold(target, claiming, held, false)) return Outcome::kAgain;
  return tell_kept(claiming, target);
}

// `in_any_version`: or only in the one that was found.
bool Claims::still_hold(PgConnection& target, const Claiming& claiming, std::span<const HoldingRow> held,
                        bool in_any_version) {
  const std::vector<HoldingRow> now = find_holding_rows(target, *claiming.table, claiming.row->values);
  return std::all_of(held.begin(), held.end(), [&](const HoldingRow& before) {
    return std::any_of(now.begin(), now.end(), [&](const HoldingRow& one) {
      return in_any_version ? one.hash == before.hash : is_same_version(one, before);
    });
  });
}

Claims::Outcome Claims::tell_kept(const Claiming& claiming, const PgConnection& side) const {
  log_event(LogLevel::kWarn, "a row that lost a unique value stays: a trigger, a rule or a policy keeps DELETE from it",
            {{"link", names_.link}, {"table", claiming.table->display_name}, {"side", side.label()}});
  return Outcome::kStops;
}

// Only what the two sides disagree about: of what the change's maker had seen, the source has a change that is in this
// batch or was before it.
std::vector<Claims::Met> Claims::decide(const Claiming& claiming, std::span<const HoldingRow> held) const {
  std::vector<Met> met;
  const IncomingChange change = claiming.change();
  SideChanges::read(*sides_.source, *sides_.target, [&](const LocalChanges& source, const LocalChanges& target) {
    for (const HoldingRow& row : held) {
      const Verdict verdict =
          decide_claim(sides_.policy(claiming.table->target), sides_.source_side, change, row.hash, source, target);
      if (verdict == Verdict::kApplies) continue;
      met.push_back({&row, verdict, target.unseen(row.hash, change.table, change.commit.seen).value()});
    }
  });
  return met;
}

ConflictRecord Claims::record(const Claiming& claiming, const Met& met, bool several) const {
  const TransactionFacts& facts = *claiming.row->place.facts;
  ConflictRecord record;
  record.type = several                              ? ConflictType::kMultipleUniqueConflicts
                : claiming.row->op == NetOp::kInsert ? ConflictType::kInsertExists
                                                     : ConflictType::kUpdateExists;
  record.table = claiming.table;
  record.key = claiming.row->key;
  record.values = claiming.row->values;
  record.lsn = facts.final_lsn;
  record.time = facts.effective_time;
  record.standing_lsn = met.standing.last.lsn;
  record.standing_time = met.standing.last.time;
  record.standing_key = RowKey{met.row->key};
  return record;
}

// What has changed since it was looked at is decided anew.
bool Claims::delete_there(PgConnection& target, const Claiming& claiming, std::span<const Met> met) const {
  std::vector<ConflictRecord> records;
  std::vector<const HoldingRow*> rows;
  for (const Met& one : met) {
    records.push_back(record(claiming, one, met.size() > 1));
    records.back().applied = true;
    rows.push_back(one.row);
  }
  if (!delete_versions(target, *claiming.table, rows, [&] { log_.write(target, target, records); })) return false;
  tell(claiming, rows.size(), "incoming");
  return true;
}

// Afterwards its source has a later version of the row. One that is not as the change made it has been changed since,
// also where the stream has not brought that yet: it is not waited for, because its queue is emptied by who would wait.
Claims::Outcome Claims::lose(const Claiming& claiming, const Met& met, bool several) {
  const IncomingChange change = claiming.change();
  const Xid written_by[] = {claiming.row->place.facts->xid};
  wait_until_visible(source(), written_by);
  const std::optional<HoldingRow> row = find_row(source(), *claiming.table, claiming.row->values);
  const bool later =
      SideChanges::read(*sides_.source, *sides_.target, [&](const LocalChanges& source, const LocalChanges&) {
        return source.unseen(change.key, change.table, Lsn{change.commit.lsn.value + 1}).has_value();
      });
  if (row && row->same && !later) {
    const HoldingRow* const versions[] = {&*row};
    if (!delete_versions(source(), *claiming.table, versions, [] {})) {
      const std::optional<HoldingRow> now = find_row(source(), *claiming.table, claiming.row->values);
      return now && is_same_version(*now, *row) ? tell_kept(claiming, source()) : Outcome::kAgain;
    }
  }
  const ConflictRecord decided = record(claiming, met, several);
  sides_.lost->add(claiming.hash, change.commit.lsn, claiming.row->place.position,
                   {*met.row, decided.type, decided.standing_lsn, decided.standing_time, mark_source()});
  tell(claiming, 1, "standing");
  return Outcome::kAgain;
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

void Claims::tell(const Claiming& claiming, std::size_t rows, const char* stays) const {
  log_event(LogLevel::kInfo, "a unique value was claimed on both sides, one row gives way",
            {{"link", names_.link},
             {"table", claiming.table->display_name},
             {"commit", to_string(claiming.row->place.facts->final_lsn)},
             {"rows", rows},
             {"stays", stays}});
}

}  // namespace teal
