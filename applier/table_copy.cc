#include "applier/table_copy.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/catalog_columns.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

// A row per table: `first`, and what the table is like.
std::string shape_query(std::string_view first, std::string_view where) {
  std::string sql = "SELECT ";
  sql += first;
  sql +=
      ", c.oid || '/' || pg_relation_filenode(c.oid) || '/' || (SELECT coalesce(string_agg(concat_ws(' ', attnum, "
      "attname, atttypid, atttypmod, attgenerated), ', ' ORDER BY attnum), '') FROM pg_attribute WHERE attrelid = "
      "c.oid AND attnum > 0 AND NOT attisdropped) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ";
  sql += where;
  return sql;
}

std::string column_list(const CopyTable& table) {
  std::string list;
  for (const std::string& column : table.columns) list += (list.empty() ? "" : ", ") + quote_identifier(column);
  return list;
}

// A table without columns has rows as well, and no list to name.
std::string copy_command(const TableName& name, const CopyTable& table, const std::string& where) {
  return "COPY " + quote_qualified(name.schema, name.name) +
         (table.columns.empty() ? " " : " (" + column_list(table) + ") ") + where +
         (table.binary ? " (FORMAT binary)" : "");
}

// Up to 16 and since 17: the file that exported it is gone, because its session was lost.
constexpr std::array<std::string_view, 2> kNoSuchSnapshot = {"22023", "42704"};

// Rows of another snapshot would not fit the watermark: the tables that are left begin anew, as after a lost
// connection.
void take_snapshot(PgConnection& source, const std::string& name) {
  try {
    source.exec("take the snapshot", "SET TRANSACTION SNAPSHOT " + quote_literal(name));
  } catch (const PgError& error) {
    if (std::find(kNoSuchSnapshot.begin(), kNoSuchSnapshot.end(), error.sqlstate()) == kNoSuchSnapshot.end()) throw;
    throw PgError("take the snapshot", "the session that held it was lost: " + error.text(), "08006");
  }
}

// The other rows of its table are there already; its own can be told apart where the target has the same partition.
void check_part_empty(PgConnection& target, const CopyTable& table) {
  if (!has_same_partition(target, table.name, table.target, table.bounds)) return;
  const Rows filled =
      target.exec("look whether the partition is empty",
                  "SELECT EXISTS (SELECT FROM " + quote_qualified(table.name.schema, table.name.name) + ")");
  if (!filled.boolean(0, 0)) return;
  throw Stopped(StopCode::kRefused, "the target's partition of this name has rows already: empty it there");
}

}  // namespace

TableShapes read_table_shapes(PgConnection& source) {
  const Rows rows =
      source.exec("look what the tables are like", shape_query("n.nspname, c.relname", "c.relkind = 'r'"));
  TableShapes shapes;
  for (int i = 0; i < rows.size(); ++i) shapes[{rows.str(i, 0), rows.str(i, 1)}] = rows.str(i, 2);
  return shapes;
}

CopiedRows copy_rows(PgConnection& source, const TableSnapshot& snapshot, const CopyTable& table, PgConnection& target,
                     CopyCounters& counters) {
  // A transaction per table: its lock on the source goes with it.
  source.exec("begin reading", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  take_snapshot(source, snapshot.name());
  const CopiedRows copied = relay_copy(source, copy_command(table.name, table, "TO STDOUT"), target,
                                       copy_command(table.target, table, "FROM STDIN"), counters);
  source.exec("end reading", "COMMIT");
  return copied;
}

// Asked after the snapshot's transaction, which sees the catalogs of its own time.
bool read_as_expected(PgConnection& source, const CopyTable& table, const TableShapes& before) {
  const std::string columns =
      "(SELECT string_agg('\"' || replace(attname, '\"', '\"\"') || '\"', ', ' ORDER BY attnum) FROM pg_attribute "
      "WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')";
  const Rows now =
      source.exec("look at the table that was read", shape_query(columns, "n.nspname = $1 AND c.relname = $2"),
                  {table.name.schema, table.name.name});
  const auto found = before.find(table.name);
  return found != before.end() && now.size() == 1 && found->second == now.at(0, 1) &&
         now.at(0, 0) == column_list(table);
}

void check_target_empty(PgConnection& target, const CopyTable& table) {
  if (table.is_part()) {
    check_part_empty(target, table);
    return;
  }
  const std::string name = quote_qualified(table.target.schema, table.target.name);
  const Rows kind =
      target.exec("look at the table", "SELECT relkind = 'p' FROM pg_class WHERE oid = $1::regclass", {name});
  // Tables that inherit from it are copied for themselves.
  const std::string only = !kind.empty() && kind.boolean(0, 0) ? "" : "ONLY ";
  const Rows filled = target.exec("look whether the table is empty", "SELECT EXISTS (SELECT FROM " + only + name + ")");
  if (!filled.boolean(0, 0)) return;
  throw Stopped(StopCode::kRefused,
                "it is not empty on the target and was not copied by teal: empty it, or run with "
                "--no-copy if it holds the source's rows already");
}

void check_range_empty(PgConnection& target, const CopyTable& table) {
  if (table.takes.empty() || table.bounds.find("HASH") != std::string::npos) return;
  const Rows filled =
      target.exec("look whether the target has rows in the partition's range",
                  "SELECT EXISTS (SELECT FROM " + quote_qualified(table.target.schema, table.target.name) + " WHERE " +
                      table.takes + ")");
  if (!filled.boolean(0, 0)) return;
  throw Stopped(StopCode::kRefused, to_string(table.target) +
                                        " on the target has rows in its range already: delete them there, those with " +
                                        table.takes);
}

void note_copied(PgConnection& target, const LinkNames& names, const CopyTable& table, const CopiedRows& copied,
                 LogPosition watermark) {
  const Rows noted = target.exec(
      "note the copy",
      "UPDATE teal.table_state SET state = 'copied', watermark = $1::pg_lsn, copied_rows = $2::bigint, copied_bytes "
      "= $7::bigint, publication_entry = $8, problem = '', target_schema = $9, target_table = $10, bounds = $11, "
      "copied_as = $12, takes = $13, toast = $14, source_timeline = $15::bigint, "
      "updated_at = clock_timestamp() WHERE migration = $3 AND link = $4 AND schema_name = $5 AND table_name = $6 AND "
      "state = "
      "'pending'",
      {to_string(watermark.lsn), std::to_string(copied.rows), names.migration, names.link, table.name.schema,
       table.name.name, std::to_string(copied.bytes), table.publication_entry, table.target.schema, table.target.name,
       table.bounds, table.binary ? "binary" : "text", table.takes, table.toast, std::to_string(watermark.timeline)});
  if (noted.affected() != 1) throw Stopped(StopCode::kRefused, "its row in teal.table_state is not 'pending' any more");
}

void note_range_taken(PgConnection& target, const LinkNames& names, const CopyTable& table) {
  if (table.takes.empty() || table.bounds.find("DEFAULT") != std::string::npos) return;
  target.exec("note what default partitions take from now on",
              "UPDATE teal.table_state SET takes = '(' || takes || ') AND NOT (' || $5 || ')' WHERE migration = $1 AND "
              "link = $2 AND target_schema = $3 AND target_table = $4 AND bounds LIKE '%DEFAULT%' AND takes <> ''",
              {names.migration, names.link, table.target.schema, table.target.name, table.takes});
}

// Without an owner's rights the server warns, and teal's own plans do not depend on statistics.
void analyze_copied(PgConnection& target, const LinkNames& names, const CopyTable& table) {
  const Rows owner = target.exec("look up the owner",
                                 "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c JOIN pg_namespace n ON n.oid "
                                 "= c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                                 {table.target.schema, table.target.name});
  if (!owner.empty() && owner.boolean(0, 0)) {
    target.exec("analyze the copied table", "ANALYZE " + quote_qualified(table.target.schema, table.target.name));
  } else {
    log_event(LogLevel::kInfo, "table not analyzed, it has another owner",
              {{"link", names.link}, {"table", table.display_name()}});
  }
}

}  // namespace teal
