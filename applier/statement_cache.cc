#include "applier/statement_cache.h"

#include <algorithm>

#include "applier/array_param.h"

namespace teal {

const std::string& StatementCache::use(PgPipeline& pipeline, const TargetTable& table, const StatementShape& shape) {
  std::vector<Entry>& entries = entries_[table.id];
  for (const Entry& entry : entries) {
    if (entry.shape == shape) return entry.name;
  }
  entries.push_back(Entry{shape, "teal_" + std::to_string(++next_id_)});
  ++count_;
  const bool by_key = shape.kind != StatementKind::kInsert;
  const std::size_t count = shape.columns.size() + shape.guards.size() + (by_key ? table.key.size() : 0);
  const std::vector<Oid> types(std::max<std::size_t>(count, 1), kTextArrayOid);
  pipeline.prepare("prepare a statement", entries.back().name, build_statement(table, shape), types);
  return entries.back().name;
}

void StatementCache::forget_all(PgConnection& connection) {
  connection.exec("drop the prepared statements", "DEALLOCATE ALL");
  entries_.clear();
  count_ = 0;
}

}  // namespace teal
