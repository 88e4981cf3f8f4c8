#include "applier/statement_cache.h"

namespace teal {

const std::string& StatementCache::use(PgPipeline& pipeline, const TargetTable& table, const StatementShape& shape) {
  if (const auto known = by_table_.find(table.id); known != by_table_.end()) {
    for (const auto& entry : known->second) {
      if (entry->shape != shape) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->name;
    }
  }
  if (entries_.size() >= kStatementsMax) make_room(pipeline);
  entries_.push_front(Entry{table.id, shape, "teal_" + std::to_string(++next_id_)});
  by_table_[table.id].push_back(entries_.begin());
  pipeline.prepare("prepare a statement", entries_.front().name, build_statement(table, shape),
                   parameter_types(table, shape));
  return entries_.front().name;
}

void StatementCache::make_room(PgPipeline& pipeline) {
  const auto oldest = std::prev(entries_.end());
  pipeline.query("drop a prepared statement", "DEALLOCATE " + oldest->name);
  const auto of_table = by_table_.find(oldest->table);
  std::erase(of_table->second, oldest);
  if (of_table->second.empty()) by_table_.erase(of_table);
  entries_.erase(oldest);
}

void StatementCache::forget_all(PgConnection& connection) {
  connection.forget_prepared("drop the prepared statements");
  entries_.clear();
  by_table_.clear();
}

}  // namespace teal
