#include "applier/target_tables.h"

#include <utility>

namespace teal {

const TargetTable& TargetTables::of(const std::shared_ptr<const Relation>& relation) {
  const auto found = known_.find(relation.get());
  if (found != known_.end()) return *found->second.table;
  if (known_.size() >= forget_at_) forget_unused();
  Known& latest = latest_[relation->id.value];
  std::shared_ptr<const TargetTable> table = latest.table;
  if (!latest.relation || *latest.relation != *relation) {
    table = std::make_shared<TargetTable>(load_(*relation));
    any_pending_ = any_pending_ || table->pending;
  }
  latest = Known{relation, table};
  return *known_.emplace(relation.get(), Known{relation, std::move(table)}).first->second.table;
}

// A relation that only this object holds cannot be asked for again.
void TargetTables::forget_unused() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.relation.use_count() == 1; });
  forget_at_ = 2 * known_.size() + 64;
}

void TargetTables::forget_pending() {
  if (!std::exchange(any_pending_, false)) return;
  const auto pending = [](const auto& entry) { return entry.second.table && entry.second.table->pending; };
  std::erase_if(known_, pending);
  std::erase_if(latest_, pending);
}

}  // namespace teal
