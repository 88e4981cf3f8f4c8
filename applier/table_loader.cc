#include "applier/table_loader.h"

#include <algorithm>
#include <string>

namespace teal {

// A table that is still to be copied, or has left and may be copied again, has its changes skipped: a copy will have
// them, because its snapshot is made later. That must not become untrue before the skipping is committed, hence the
// lock. A table that nobody has announced yet gets a row in teal.table_state, where whoever copies tables finds it
// (join_table).
TargetTable TableLoader::load(const Relation& relation) {
  const TableName name{relation.schema, relation.name};
  TableState state{name, "", {}, "", name};
  if (relation.schema != kControlSchema) {
    state = read_table_state(connection_, names_, relation);
    if (state.state.empty() || state.state == "pending" || state.state == "left") {
      writer_.begin();
      lock_pending(connection_, names_, false);
      connection_.exec("note a table to copy",
                       "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, "
                       "target_table, state) VALUES ($1, $2, $3, $4, $3, $4, 'pending') ON CONFLICT DO NOTHING",
                       {names_.migration, names_.link, name.schema, name.name});
      state = read_table_state(connection_, names_, relation);
    }
  }
  TargetTable table = load_target_table(connection_, relation, state, binary_, types_);
  find_row_type(table);
  return table;
}

// Inside a transaction it is not made: a rollback would take it away again.
void TableLoader::find_row_type(TargetTable& table) {
  if (table.control || table.pending || table.left || table.whole_rows || table.columns.size() < kRowTypeColumns)
    return;
  std::vector<std::uint32_t> types;
  types.reserve(table.columns.size());
  for (const MappedColumn& column : table.columns) types.push_back(column.binary ? column.element : kTextOid);
  table.row_type = row_types_.of(types, !writer_.open());
}

// A partition that is not named has rows that stay; one that was copied later came with rows that an earlier TRUNCATE
// must not take. One that is still to be copied has none yet, and while the lock is held none come.
bool TableLoader::truncates_whole(const TableName& table, const Change& change, Lsn final_lsn) {
  // What a partition that is joining at this moment brings has to be seen first.
  writer_.begin();
  connection_.exec("lock the partitioned table",
                   "LOCK TABLE " + quote_qualified(table.schema, table.name) + " IN ACCESS EXCLUSIVE MODE");
  const Rows parts = connection_.exec(
      "look for partitions that keep rows",
      "SELECT schema_name, table_name, watermark > $5::pg_lsn, split_part(publication_entry, '/', 2) FROM "
      "teal.table_state "
      "WHERE migration = $1 AND link = $2 AND target_schema = $3 AND target_table = $4 "
      "AND state IN ('copied', 'detached')",
      {names_.migration, names_.link, table.schema, table.name, to_string(final_lsn)});
  for (int i = 0; i < parts.size(); ++i) {
    const bool named = std::any_of(change.truncated.begin(), change.truncated.end(), [&](const Relation* relation) {
      return (relation->schema == parts.at(i, 0) && relation->name == parts.at(i, 1)) ||
             std::to_string(relation->id.value) == parts.at(i, 3);
    });
    if (!named || parts.boolean(i, 2)) return false;
  }
  return true;
}

}  // namespace teal
