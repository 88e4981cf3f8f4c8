#include "verifier/side_look.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/catalog_columns.h"
#include "engine/pg_error.h"

namespace teal {

const char* const kWantedSql = R"sql(
WITH wanted AS (
  SELECT w.i, c.oid FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (schema, name, i)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
), parts AS (
  SELECT i, oid FROM wanted
  UNION SELECT w.i, t.relid::oid FROM wanted w CROSS JOIN LATERAL pg_partition_tree(w.oid) t
)
)sql";

SideLook::SideLook(PgConnection& connection, ComparedOn side, const std::vector<ComparedTable>& tables)
    : connection_(connection) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const ComparedTable& table : tables) {
    const TableName& name = (side == ComparedOn::kBlue ? table.blue : table.green).name;
    if (!table.readable) {
      left_out_.push_back(name);
      continue;
    }
    tables_.push_back(&table);
    schemas.push_back(name.schema);
    names.push_back(name.name);
  }
  std::sort(left_out_.begin(), left_out_.end());
  schemas_ = text_array(schemas);
  names_ = text_array(names);
}

Rows SideLook::catalog(const std::string& operation, const std::string& sql) {
  return connection_.exec(operation + " on " + label(), kWantedSql + sql, {schemas_, names_});
}

Rows SideLook::read_only(const std::string& operation, const std::string& settings, const std::string& sql) {
  const std::string said = operation + " on " + label();
  connection_.exec(said, "BEGIN READ ONLY;" + settings);
  try {
    Rows rows = connection_.exec(said, sql);
    connection_.exec(said, "ROLLBACK");
    return rows;
  } catch (const PgError&) {
    if (connection_.usable()) connection_.exec(said, "ROLLBACK");
    throw;
  }
}

bool SideLook::left_out(const TableName& name) const {
  return std::binary_search(left_out_.begin(), left_out_.end(), name);
}

BrokenKeys settled_keys(const SettleOptions& options, const std::function<BrokenKeys()>& read, bool& late) {
  BrokenKeys first = read();
  if (first.keys.empty()) return first;
  late = options.pass_markers && !options.pass_markers(std::chrono::steady_clock::now() + options.patience);
  BrokenKeys again = read();
  if (again.more || first.more) return again;  // there are too many to tell which of them are the same
  const std::set<std::string> before(first.keys.begin(), first.keys.end());
  std::erase_if(again.keys, [&](const std::string& key) { return !before.contains(key); });
  return again;
}

}  // namespace teal
