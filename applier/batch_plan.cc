#include "applier/batch_plan.h"

#include <algorithm>
#include <map>
#include <vector>

#include "decoder/value_text.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

// The copy of a table that is still to come is made from a snapshot of a later time.
bool is_in_copy(const TransactionSlice& slice, const TargetTable& table) {
  return table.pending || slice.facts.final_lsn < table.watermark;
}

bool is_control(const Change& change) { return change.relation->schema == kControlSchema; }

}  // namespace

void BatchPlan::clear() {
  coalescer_.clear();
  control_.markers.clear();
  counted_ = {};
  skipped_.clear();
  row_changes_ = 0;
  truncated_ = 0;
  lost_rows_ = 0;
  last_relation_ = nullptr;
  last_table_ = nullptr;
}

// `received` is what the decoder counted before the queue; everything else is counted here, from the changes that came
// out of it.
void BatchPlan::add(const TransactionSlice& slice, const SliceFacts& facts) {
  counted_.received += slice.counts.received;
  if (facts.applied) {
    counted_.already_applied += slice.counts.own;
    for (const Change& change : slice.changes)
      counted_.already_applied += is_control(change) ? 0 : change.ledger_count();
    return;
  }
  if (slice.last) counted_.transactions += 1;
  counted_.own += slice.counts.own;
  std::uint64_t position = facts.changes_before;
  for (const Change& change : slice.changes)
    add_change(slice, change, {change.lsn, ++position, &slice.facts}, facts.skips);
}

const TargetTable& BatchPlan::table_of(const TransactionSlice& slice, const Relation* relation) {
  if (relation == last_relation_) return *last_table_;
  for (const std::shared_ptr<const Relation>& known : slice.relations) {
    if (known.get() != relation) continue;
    last_table_ = &tables_.of(known);
    last_relation_ = relation;
    return *last_table_;
  }
  throw Stopped(StopCode::kBug, "a slice does not hold the relation of one of its changes");
}

bool BatchPlan::passes_over(const SkippedChanges* skips, ChangePlace place) {
  const std::int64_t id = skips == nullptr ? 0 : skips->id_of(place.lsn, place.position);
  if (id == 0) return false;
  if (std::find(skipped_.begin(), skipped_.end(), id) == skipped_.end()) skipped_.push_back(id);
  return true;
}

void BatchPlan::add_change(const TransactionSlice& slice, const Change& change, ChangePlace place,
                           const SkippedChanges* skips) {
  if (change.op == ChangeOp::kTruncate) {
    add_truncate(slice, change, place, skips);
    return;
  }
  const TargetTable& table = table_of(slice, change.relation);
  if (table.control) {
    add_control(change);
  } else if (table.left) {
    counted_.filtered += 1;
  } else if (is_in_copy(slice, table)) {
    counted_.below_watermark += 1;
  } else if (passes_over(skips, place)) {
    counted_.quarantined += 1;
  } else {
    row_changes_ += 1;
    coalescer_.add(table.rows ? *table.rows : table, change, place);
  }
}

// Control rows are recognised by their table: markers are acknowledged, progress rows of the other link are read by it.
void BatchPlan::add_control(const Change& change) {
  if (change.op != ChangeOp::kInsert || change.relation->name != "marker") return;
  for (std::size_t i = 0; i < change.relation->columns.size(); ++i) {
    if (change.relation->columns[i].name == "id")
      control_.markers.push_back(value_text(change.relation->columns[i].type, change.new_tuple[i]));
  }
}

// The source lists every table with rows that its TRUNCATE reached: of a partitioned table, all its partitions.
void BatchPlan::add_truncate(const TransactionSlice& slice, const Change& change, ChangePlace place,
                             const SkippedChanges* skips) {
  std::vector<const TargetTable*> tables;
  std::vector<const TargetTable*> parts;
  bool in_part = false;
  for (const Relation* relation : change.truncated) {
    const TargetTable& table = table_of(slice, relation);
    if (table.control) continue;
    if (table.left) {
      counted_.filtered += 1;
      in_part = true;
    } else if (is_in_copy(slice, table)) {
      counted_.below_watermark += 1;
      in_part = true;
    } else if (passes_over(skips, place)) {
      counted_.quarantined += 1;
    } else {
      truncated_ += 1;
      (table.is_part ? parts : tables).push_back(&table);
    }
  }
  // Partitions: their whole table, when it was whole on the source; else one by one, where the target has the same
  // ones.
  std::map<TableName, bool> whole;
  for (const TargetTable* part : parts) {
    const auto [known, added] = whole.try_emplace(part->target, false);
    if (added) known->second = whole_table_(part->target, change, slice.facts.final_lsn);
    if (known->second) {
      if (added) tables.push_back(part);
    } else if (part->part) {
      tables.push_back(part->part.get());
    } else {
      throw Stopped(StopCode::kData, "table " + part->display_name + ": was truncated on the source at LSN " +
                                         to_string(change.lsn) + ", and " + to_string(part->target) +
                                         " on the target has no partition of this name and the same bounds to do it "
                                         "with: make one there, then start again");
    }
  }
  if (tables.empty()) return;
  coalescer_.truncate(std::move(tables), in_part, place);
}

Ledger BatchPlan::expected() const {
  Ledger ledger = counted_;
  ledger.applied += row_changes_ + truncated_ - counted_.conflict_lost;
  return ledger;
}

Ledger BatchPlan::settle(std::uint64_t rows_touched) const {
  const CoalesceCounts& counts = coalescer_.counts();
  if (rows_touched + counts.merged + lost_rows_ != row_changes_ + counts.split) {
    throw Stopped(StopCode::kBug, "the ledger does not close: statements touched " + std::to_string(rows_touched) +
                                      " rows, " + std::to_string(lost_rows_) + " lost a conflict and " +
                                      std::to_string(counts.merged) + " changes were merged, of " +
                                      std::to_string(row_changes_) + " changes and " + std::to_string(counts.split) +
                                      " split ones; nothing was committed");
  }
  Ledger ledger = counted_;
  // A row that lost is one that was settled; how many changes it was is counted for itself.
  ledger.applied += rows_touched + counts.merged + lost_rows_ - counts.split - counted_.conflict_lost + truncated_;
  return ledger;
}

}  // namespace teal
