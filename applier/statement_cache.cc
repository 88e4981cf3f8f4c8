#include "applier/statement_cache.h"

namespace teal {

const std::string& StatementCache::use(PgPipeline& pipeline, const TargetTable& table, const StatementShape& shape) {
  std::vector<Entry>& entries = entries_[table.id];
  for (const Entry& entry : entries) {
    if (entry.shape == shape) return entry.name;
  }
  entries.push_back(Entry{shape, "teal_" + std::to_string(++next_id_)});
  ++count_;
  pipeline.prepare("prepare a statement", entries.back().name, build_statement(table, shape),
                   parameter_types(table, shape));
  return entries.back().name;
}

void StatementCache::forget_all(PgConnection& connection) {
  connection.exec("drop the prepared statements", "DEALLOCATE ALL");
  entries_.clear();
  count_ = 0;
}

}  // namespace teal
