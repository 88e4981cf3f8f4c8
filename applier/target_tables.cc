#include "applier/target_tables.h"

#include <utility>

namespace teal {
namespace {

// A table that is still to be copied may have been, a moment later; one that is not selected any more may come back.
bool is_unsettled(const TargetTable& table) { return table.pending || table.left; }

}  // namespace

const TargetTable& TargetTables::of(const std::shared_ptr<const Relation>& relation) {
  const auto found = known_.find(relation.get());
  if (found != known_.end()) return *found->second.table;
  if (known_.size() >= forget_at_) forget_unused();
  Known& latest = latest_[relation->id.value];
  std::shared_ptr<const TargetTable> table = latest.table;
  if (!latest.relation || *latest.relation != *relation) {
    auto loaded = std::make_shared<TargetTable>(load_(*relation));
    if (loaded->is_part) share_rows(*loaded);
    table = std::move(loaded);
    any_unsettled_ = any_unsettled_ || is_unsettled(*table);
  }
  latest = Known{relation, table};
  return *known_.emplace(relation.get(), Known{relation, std::move(table)}).first->second.table;
}

// Rows that move between partitions are one table's rows on the target: merged, and written in one order.
void TargetTables::share_rows(TargetTable& table) {
  std::erase_if(shared_, [](const auto& shared) { return shared.expired(); });
  for (const auto& candidate : shared_) {
    std::shared_ptr<const TargetTable> rows = candidate.lock();
    if (rows && rows->sql_name == table.sql_name && rows->columns == table.columns && rows->key == table.key &&
        rows->whole_rows == table.whole_rows && rows->keeps_more_than_source == table.keeps_more_than_source) {
      table.rows = std::move(rows);
      return;
    }
  }
  auto rows = std::make_shared<TargetTable>(table);
  rows->display_name = to_string(table.target);  // for messages: which partition it was is not known there
  table.rows = std::move(rows);
  shared_.push_back(table.rows);
}

// A relation that only this object holds cannot be asked for again.
void TargetTables::forget_unused() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.relation.use_count() == 1; });
  forget_at_ = 2 * known_.size() + 64;
}

void TargetTables::forget_unsettled() {
  if (!std::exchange(any_unsettled_, false)) return;
  const auto unsettled = [](const auto& entry) { return entry.second.table && is_unsettled(*entry.second.table); };
  std::erase_if(known_, unsettled);
  std::erase_if(latest_, unsettled);
}

}  // namespace teal
