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
std::string copy_command(const TableName& name, const CopyTable& table, const std::string& direction) {
  return "COPY " + quote_qualified(name.schema, name.name) +
         (table.columns.empty() ? " " : " (" + column_list(table) + ") ") + direction;
}

std::string copy_out_command(const CopyTable& table, const std::string& where) {
  const std::string form = std::string("TO STDOUT (FORMAT ") + (table.binary ? "binary)" : "text)");
  if (where.empty()) return copy_command(table.name, table, form);
  return "COPY (SELECT " + column_list(table) + " FROM ONLY " + quote_qualified(table.name.schema, table.name.name) +
         " WHERE " + where + ") " + form;
}

std::string copy_in_command(const CopyTable& table, bool frozen) {
  return copy_command(
      table.target, table,
      std::string("FROM STDIN (FORMAT ") + (table.binary ? "binary" : "text") + (frozen ? ", FREEZE)" : ")"));
}

constexpr std::string_view kLockNotAvailable = "55P03";
constexpr int kReadsRanges = 14;

// Of its pages: a plan that reads all of the table for each of them would be the end.
constexpr const char* kReadRanges = "SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off";

// For a table whose rows are nobody's but teal's.
void empty_table(PgConnection& target, const CopyTable& table) {
  const std::string name = quote_qualified(table.target.schema, table.target.name);
  const Rows facts = target.exec("look at the table that is emptied",
                                 "SELECT relkind = 'p', EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid "
                                 "AND k.conrelid <> c.oid AND k.contype = 'f') FROM pg_class c WHERE oid = "
                                 "$1::regclass",
                                 {name});
  const std::string only = facts.boolean(0, 0) ? "" : "ONLY ";
  // A table that others refer to cannot be truncated alone, also when they are empty.
  target.exec("empty the table for another attempt",
              (facts.boolean(0, 1) ? "DELETE FROM " : "TRUNCATE ") + only + name);
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

// In the open transaction. False: somebody is at the table, and holds nobody up by that.
bool lock_at_once(PgConnection& target, const std::string& table) {
  target.exec("remember the state before the lock", "SAVEPOINT teal_lock");
  try {
    target.exec("lock the table", "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE NOWAIT");
  } catch (const PgError& error) {
    if (error.sqlstate() != kLockNotAvailable) throw;
    target.exec("go back to the state before the lock", "ROLLBACK TO SAVEPOINT teal_lock");
    return false;
  }
  target.exec("keep the lock", "RELEASE SAVEPOINT teal_lock");
  return true;
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
                     CopyCounters& counters, const CopyExtent& extent) {
  // A transaction per table: its lock on the source goes with it.
  source.exec("begin reading", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  take_snapshot(source, snapshot.name());
  if (!extent.where.empty()) source.exec("have ranges of pages read", kReadRanges);
  const CopiedRows copied = relay_copy(source, copy_out_command(table, extent.where), target,
                                       copy_in_command(table, extent.frozen), counters);
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

std::int64_t begin_attempt(PgConnection& target, const LinkNames& names, const CopyTable& table) {
  const Rows noted =
      target.exec("note that the copy of a table begins",
                  "UPDATE teal.table_state SET copy_attempt = copy_attempt + 1, updated_at = clock_timestamp() WHERE "
                  "migration = $1 "
                  "AND link = $2 AND schema_name = $3 AND table_name = $4 AND state = 'pending' RETURNING copy_attempt",
                  {names.migration, names.link, table.name.schema, table.name.name});
  if (noted.size() != 1) throw Stopped(StopCode::kRefused, "its row in teal.table_state is not 'pending' any more");
  const long long attempt = noted.integer(0, 0);
  if (attempt == 1 || table.is_part()) {  // parts are never copied in pieces
    check_target_empty(target, table);
  } else {
    empty_table(target, table);
  }
  return attempt;
}

void check_attempt(PgConnection& target, const LinkNames& names, const CopyTable& table, std::int64_t attempt) {
  const Rows rows =
      target.exec("look whether the copy of a table goes on",
                  "SELECT FROM teal.table_state WHERE migration = $1 AND link = $2 AND schema_name = $3 "
                  "AND table_name = $4 AND state = 'pending' AND copy_attempt = $5::bigint FOR SHARE",
                  {names.migration, names.link, table.name.schema, table.name.name, std::to_string(attempt)});
  if (rows.size() != 1) throw Stopped(StopCode::kRefused, "another copy of it has begun meanwhile");
}

bool begin_frozen(PgConnection& target, const CopyTable& table) {
  if (table.is_part()) return false;
  const std::string name = quote_qualified(table.target.schema, table.target.name);
  const Rows allowed = target.exec("look whether rows can be written frozen",
                                   "SELECT relkind = 'r' AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid "
                                   "= c.oid AND k.conrelid <> c.oid AND k.contype = 'f') FROM pg_class c WHERE oid = "
                                   "$1::regclass",
                                   {name});
  if (!allowed.boolean(0, 0)) return false;
  if (!lock_at_once(target, "ONLY " + name)) return false;
  check_target_empty(target, table);
  target.exec("have the empty table begin anew", "TRUNCATE ONLY " + name);
  return true;
}

std::vector<std::string> split_rows(PgConnection& source, const CopyTable& table, std::uint64_t piece_bytes) {
  std::vector<std::string> ranges;
  if (source.server_major() < kReadsRanges || table.columns.empty() || piece_bytes == 0) return ranges;
  const Rows size = source.exec("read how many pages a table has",
                                "SELECT pg_relation_size($1::regclass, 'main') / current_setting('block_size')::int",
                                {quote_qualified(table.name.schema, table.name.name)});
  const auto pages = static_cast<std::uint64_t>(size.integer(0, 0));
  const std::uint64_t count = std::min(pages, (table.bytes + piece_bytes - 1) / piece_bytes);
  if (count < 2) return ranges;
  // The last one has no end: the table may have grown since.
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string range;
    if (i > 0) range = "ctid >= '(" + std::to_string(pages * i / count) + ",0)'";
    if (i > 0 && i + 1 < count) range += " AND ";
    if (i + 1 < count) range += "ctid < '(" + std::to_string(pages * (i + 1) / count) + ",0)'";
    ranges.push_back(std::move(range));
  }
  return ranges;
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
                 LogPosition watermark, std::optional<std::int64_t> attempt) {
  const Rows noted = target.exec(
      "note the copy",
      "UPDATE teal.table_state SET state = 'copied', watermark = $1::pg_lsn, copied_rows = $2::bigint, copied_bytes "
      "= $7::bigint, publication_entry = $8, problem = '', target_schema = $9, target_table = $10, bounds = $11, "
      "copied_as = $12, takes = $13, toast = $14, source_timeline = $15::bigint, "
      "updated_at = clock_timestamp() WHERE migration = $3 AND link = $4 AND schema_name = $5 AND table_name = $6 AND "
      "state = "
      "'pending' AND copy_attempt = coalesce($16::bigint, copy_attempt)",
      {to_string(watermark.lsn), std::to_string(copied.rows), names.migration, names.link, table.name.schema,
       table.name.name, std::to_string(copied.bytes), table.publication_entry, table.target.schema, table.target.name,
       table.bounds, table.binary ? "binary" : "text", table.takes, table.toast, std::to_string(watermark.timeline),
       attempt ? Param(std::to_string(*attempt)) : Param()});
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
