#include "applier/conflict_filter.h"

#include <algorithm>
#include <optional>

#include "decoder/value_text.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

bool is_whole(TupleView values) {
  return std::none_of(values.begin(), values.end(),
                      [](const ColumnValue& value) { return value.kind == ColumnKind::kUnchangedToast; });
}

bool takes_away(NetOp op) { return op == NetOp::kDelete || op == NetOp::kNone || op == NetOp::kRemove; }

ConflictType type_of(NetOp op, bool standing_removed) {
  if (takes_away(op)) return standing_removed ? ConflictType::kDeleteMissing : ConflictType::kDeleteOriginDiffers;
  if (standing_removed) return ConflictType::kUpdateDeleted;
  return op == NetOp::kInsert ? ConflictType::kInsertExists : ConflictType::kUpdateOriginDiffers;
}

[[noreturn]] void stop_for_policy(const TargetTable& table, const RowKey& key, const NetRow& row) {
  throw Stopped(StopCode::kData, "table " + table.display_name + ": the row " + key_text(table, key) +
                                     " was changed on both sides, and the table's conflict policy is error: choose " +
                                     "another one that says which version stays (conflicts.tables) (transaction " +
                                     std::to_string(row.place.facts->xid.value) + ", commit " +
                                     to_string(row.place.facts->final_lsn) + "); nothing of it was applied");
}

}  // namespace

std::string key_text(const TargetTable& table, const RowKey& key) {
  std::string names;
  std::string values;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    const MappedColumn& column = table.columns[table.key[i]];
    names += (i == 0 ? "" : ", ") + column.name;
    values += (i == 0 ? "" : ", ") + value_text(TypeId{column.element}, key.columns[i]);
  }
  return "(" + names + ")=(" + values + ")";
}

// Rows of one batch are looked at under both locks, so nothing changes between two of them.
struct ConflictFilter::Both {
  const LocalChanges& source;
  const LocalChanges& target;

  // With the key's partition, if either side has told it; both have the same ones where one is emptied for itself.
  [[nodiscard]] TableHash table_of(const KeyHash& key, const TableHash& table) const {
    const auto known = source.table_of(key);
    return known ? *known : target.table_of(key).value_or(table);
  }
};

Verdict ConflictFilter::look(const TargetTable& table, const RowKey& key, const NetRow& row, Both both,
                             std::optional<UnseenVersions>* standing) const {
  const KeyShape& shape = table.row_key;
  const TransactionFacts& facts = *row.place.facts;
  const KeyHash hash = key_hash(shape, key.columns);
  const IncomingChange change{
      hash, both.table_of(hash, shape.table), {facts.final_lsn, facts.effective_time, facts.seen}, row.first_seen};
  const Verdict verdict =
      teal::decide(options_.policy(table.target), options_.source_side, change, both.source, both.target);
  if (verdict == Verdict::kStops) {
    stop_for_policy(table, key, row);
  }
  if (verdict == Verdict::kWins || verdict == Verdict::kLoses) {
    *standing = both.target.unseen(change.key, change.table, facts.seen);
  }
  return verdict;
}

void ConflictFilter::record(const TargetTable& table, const RowKey& key, const NetRow& row, NetOp op,
                            const UnseenVersions& standing, bool applied) {
  const TransactionFacts& facts = *row.place.facts;
  records_.push_back({type_of(op, standing.removed), &table, key, takes_away(op) ? TupleView{} : row.values,
                      facts.final_lsn, facts.effective_time, standing.last.lsn, standing.last.time, applied});
}

void ConflictFilter::lose(NetRow& row) {
  if (row.op != NetOp::kNone && row.counted) {
    ++lost_rows_;
    if (!row.moved_away) ++lost_changes_;
  }
  row.op = NetOp::kNone;
}

// What is taken away because it lost is gone, and so may be what came after it was decided: whoever changed the key
// since may have found it free.
Lsn ConflictFilter::newest_there(const TargetTable& table, const RowKey& key, Both both) {
  const KeyShape& shape = table.row_key;
  const KeyHash hash = key_hash(shape, key.columns);
  const auto known = both.target.unseen(hash, both.table_of(hash, shape.table), Lsn{});
  return known ? known->last.lsn : Lsn{};
}

void ConflictFilter::decide_row(const TargetTable& table, NetRow& row, Both both) {
  std::optional<UnseenVersions> standing;
  row.verdict = look(table, row.key, row, both, &standing);
  if (const LostClaim* claim = lost_claim(table, row); claim != nullptr && row.verdict != Verdict::kLoses) {
    leave_out(table, row, *claim, both);
    return;
  }
  if (row.verdict == Verdict::kApplies) {
    write_over_fetched(table, row, both);
    return;
  }
  if (standing) record(table, row.key, row, row.op, *standing, row.verdict == Verdict::kWins);
  if (row.verdict == Verdict::kLoses) {
    if (!fetched_.empty()) fetched_.forget(key_hash(table.row_key, row.key.columns));
    lose(row);
  } else if (takes_away(row.op)) {
    if (row.op == NetOp::kNone) row.counted = false;
    remove(table, row, both);
  } else {
    put_whole(table, row, both);
  }
}

const LostClaim* ConflictFilter::lost_claim(const TargetTable& table, const NetRow& row) const {
  if (options_.lost->empty() || takes_away(row.op)) return nullptr;
  return options_.lost->find(key_hash(table.row_key, row.key.columns), row.place.facts->final_lsn, row.place.position);
}

// A later version of the row is still to come. What it was before may be in somebody's way, as the source has it no
// more.
void ConflictFilter::leave_out(const TargetTable& table, NetRow& row, const LostClaim& claim, Both both) {
  const TransactionFacts& facts = *row.place.facts;
  records_.push_back({claim.type, &table, row.key, row.values, facts.final_lsn, facts.effective_time,
                      claim.standing_lsn, claim.standing_time, false, RowKey{claim.standing.key}});
  lose(row);
  row.counted = false;
  remove(table, row, both);
  fetched_.note(key_hash(table.row_key, row.key.columns), {true, claim.as_of, table.display_name});
}

void ConflictFilter::remove(const TargetTable& table, NetRow& row, Both both) {
  if (!fetched_.empty()) fetched_.forget(key_hash(table.row_key, row.key.columns));
  row.op = NetOp::kRemove;
  row.standing = newest_there(table, row.key, both);
}

// What was not sent is taken from the source as it is by now. A row that is gone there goes here, too: the change that
// took it, or gave it another key, is still to come.
void ConflictFilter::put_whole(const TargetTable& table, NetRow& row, Both both) {
  row.op = NetOp::kPut;
  if (is_whole(row.values)) {
    if (!fetched_.empty()) fetched_.forget(key_hash(table.row_key, row.key.columns));
    return;
  }
  const KeyHash hash = key_hash(table.row_key, row.key.columns);
  const SourceRows::Row* source = source_rows_.find(hash);
  if (source != nullptr && !source->there) {
    remove(table, row, both);
    fetched_.note(hash, {true, source_rows_.as_of(), table.display_name});
  } else if (source != nullptr && complete(table, row, *source)) {
    fetched_.note(hash, {false, source_rows_.as_of(), table.display_name});
  } else {
    wanted_.push_back({&table, row.key, hash, row.place.facts->xid, row.values});
  }
}

// False: what it lacks was not read.
bool ConflictFilter::complete(const TargetTable& table, NetRow& row, const SourceRows::Row& source) {
  std::vector<ColumnValue> values(row.values.begin(), row.values.end());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind == ColumnKind::kUnchangedToast) values[i] = source.columns[i];
  }
  for (std::size_t i = 0; i < table.key.size(); ++i) values[table.key[i]] = row.key.columns[i];
  if (!is_whole(values)) return false;
  row.values = completed_.emplace_back(std::move(values));
  return true;
}

// The row's key was read from the source at a later moment than this change is of: see FetchedKeys.
void ConflictFilter::write_over_fetched(const TargetTable& table, NetRow& row, Both both) {
  if (fetched_.empty() || row.op == NetOp::kNone) return;
  const KeyHash hash = key_hash(table.row_key, row.key.columns);
  const FetchedKey* known = fetched_.find(hash);
  if (known == nullptr) return;
  if (!known->left_out) {
    if (row.op != NetOp::kUpdate) fetched_.forget(hash);
  } else if (takes_away(row.op)) {
    remove(table, row, both);
  } else {
    put_whole(table, row, both);
  }
}

// A key change that had to stay an UPDATE: with a conflict on either key it is a row that goes and one that comes. So
// it is where what was read from the source is under its old key: what it does not send would be that one's.
void ConflictFilter::decide_move(Segment& segment, Both both) {
  NetRow& to = segment.rows.front();
  NetRow from = to;
  from.key = *segment.move_from;
  from.values = {};
  from.op = NetOp::kDelete;
  from.moved_away = true;
  from.counted = false;
  std::optional<UnseenVersions> standing;
  const KeyHash old_key = key_hash(segment.table->row_key, from.key.columns);
  if (lost_claim(*segment.table, to) == nullptr && fetched_.find(old_key) == nullptr &&
      look(*segment.table, from.key, from, both, &standing) == Verdict::kApplies &&
      look(*segment.table, to.key, to, both, &standing) == Verdict::kApplies) {
    return;
  }
  segment.move_from.reset();
  decide_row(*segment.table, to, both);
  decide_row(*segment.table, from, both);
  if (from.op == NetOp::kDelete) remove(*segment.table, from, both);
  if (to.op == NetOp::kUpdate) put_whole(*segment.table, to, both);
  segment.rows.push_back(from);
}

// The TRUNCATE is one version of every key of the table, so each key that the target has changed is decided for itself.
void ConflictFilter::add_later(const Epoch& epoch, const TargetTable& table, Both both, LaterKeys& later,
                               bool* stops) const {
  const TransactionFacts& facts = *epoch.truncate_place.facts;
  const LocalCommit commit{facts.final_lsn, facts.effective_time, facts.seen};
  const ConflictPolicy policy = options_.policy(table.target);
  for (const ChangedKey& changed : both.target.changed_keys(table.row_key.table, facts.seen)) {
    const Verdict verdict = teal::decide(policy, options_.source_side, {changed.key, changed.table, commit, facts.seen},
                                         both.source, both.target);
    if (verdict != Verdict::kLoses && verdict != Verdict::kStops) continue;
    const auto standing = both.target.unseen(changed.key, changed.table, facts.seen);
    if (standing) later.emplace(changed.key, *standing);
    if (verdict == Verdict::kStops) *stops = true;
  }
}

// What is gone there needs nothing to be spared.
bool ConflictFilter::spares(const Epoch& epoch, Both both) const {
  LaterKeys later;
  bool stops = false;
  for (const TargetTable* table : epoch.truncated) add_later(epoch, *table, both, later, &stops);
  return std::any_of(later.begin(), later.end(), [](const auto& one) { return !one.second.removed; });
}

ConflictFilter::Later ConflictFilter::later_than(const Epoch& epoch, const TargetTable& table) const {
  Later later;
  SideChanges::read(*options_.source, *options_.target, [&](const LocalChanges& source, const LocalChanges& target) {
    add_later(epoch, table, Both{source, target}, later.keys, &later.stops);
  });
  return later;
}

void ConflictFilter::spare(const Epoch& epoch, const TargetTable& table, const SparedRows::Row& row, bool stops) {
  const NetRow taken{.key = row.key, .op = NetOp::kDelete, .place = epoch.truncate_place};
  if (stops) stop_for_policy(table, row.key, taken);
  record(table, row.key, taken, taken.op, row.standing, false);
}

// Whether each row would be decided as it was. What was written as it is may have won meanwhile: it holds its row's
// lock, and brought all of it.
bool ConflictFilter::holds_row(const TargetTable& table, const RowKey& key, const NetRow& row, Both both) {
  if (row.op == NetOp::kRemove && newest_there(table, key, both) != row.standing) return false;
  if (row.verdict == Verdict::kLoses) return true;  // later versions of the target lose to nothing that lost to them
  std::optional<UnseenVersions> standing;
  const Verdict verdict = look(table, key, row, both, &standing);
  if (verdict == row.verdict) return true;
  if (verdict == Verdict::kLoses || row.op == NetOp::kNone) return false;
  if (!takes_away(row.op) && !is_whole(row.values)) return false;
  if (standing) record(table, key, row, row.op, *standing, true);
  return true;
}

// The table of the first row that is not `as_decided`, or of the first TRUNCATE that would not be.
const TargetTable* ConflictFilter::find(std::span<const Epoch> epochs, const AsDecided& as_decided) const {
  return SideChanges::read(
      *options_.source, *options_.target,
      [&](const LocalChanges& source, const LocalChanges& target) -> const TargetTable* {
        const Both both{source, target};
        for (const Epoch& epoch : epochs) {
          if (spares(epoch, both) != epoch.spares) return epoch.truncated.front();
          for (const std::vector<Segment>& segments : epoch.tables) {
            for (const Segment& segment : segments) {
              for (const NetRow& row : segment.rows) {
                if (!as_decided(*segment.table, row.key, row, both)) return segment.table;
                if (segment.move_from && !as_decided(*segment.table, *segment.move_from, row, both))
                  return segment.table;
              }
            }
          }
        }
        return nullptr;
      });
}

const TargetTable* ConflictFilter::first_that_differs(std::span<const Epoch> epochs) {
  const std::size_t known = records_.size();
  const TargetTable* table = find(epochs, [this](const TargetTable& of, const RowKey& key, const NetRow& row,
                                                 Both both) { return holds_row(of, key, row, both); });
  if (table != nullptr) records_.resize(known);
  return table;
}

bool ConflictFilter::decides_otherwise(std::span<const Epoch> epochs) const {
  return find(epochs, [this](const TargetTable& of, const RowKey& key, const NetRow& row, Both both) {
           std::optional<UnseenVersions> standing;
           return look(of, key, row, both, &standing) == row.verdict;
         }) != nullptr;
}

void ConflictFilter::clear() {
  wanted_.clear();
  completed_.clear();
  records_.clear();
  lost_rows_ = lost_changes_ = 0;
}

void ConflictFilter::decide(std::span<Epoch> epochs) {
  clear();
  SideChanges::read(*options_.source, *options_.target, [&](const LocalChanges& source, const LocalChanges& target) {
    const Both both{source, target};
    for (Epoch& epoch : epochs) {
      epoch.spares = spares(epoch, both);
      for (std::vector<Segment>& segments : epoch.tables) {
        for (Segment& segment : segments) {
          if (segment.move_from) {
            decide_move(segment, both);
          } else {
            for (NetRow& row : segment.rows) decide_row(*segment.table, row, both);
          }
        }
      }
    }
  });
}

}  // namespace teal
