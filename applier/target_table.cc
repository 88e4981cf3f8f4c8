#include "applier/target_table.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <utility>

#include "decoder/transaction.h"
#include "engine/binary_types.h"
#include "engine/catalog_columns.h"
#include "engine/pg_error.h"
#include "engine/publication.h"

namespace teal {
namespace {

bool sends(const Relation& relation, const std::string& name) {
  return std::any_of(relation.columns.begin(), relation.columns.end(),
                     [&](const Column& column) { return column.name == name; });
}

// The index on exactly the source's identity columns. With REPLICA IDENTITY FULL the source names every column, and
// the target's primary key stands in.
const UniqueIndex* find_identity_index(const std::vector<UniqueIndex>& indexes, const Relation& relation) {
  const bool full = relation.replica_identity == ReplicaIdentity::kFull;
  std::vector<std::string> identity;
  for (const Column& column : relation.columns) {
    if (column.identity) identity.push_back(column.name);
  }
  const auto found = std::find_if(indexes.begin(), indexes.end(), [&](const UniqueIndex& index) {
    if (!index.finds_one_row()) return false;
    if (!full) return index.covers_exactly(identity);
    return index.primary && std::all_of(index.columns.begin(), index.columns.end(),
                                        [&](const std::string& name) { return sends(relation, name); });
  });
  return found == indexes.end() ? nullptr : &*found;
}

[[noreturn]] void stop(const TargetTable& table, const std::string& what, const std::string& mend) {
  throw Stopped(StopCode::kData, "table " + table.display_name + ": " + what + "; " + mend);
}

// The choice is made before the table is known: for one that came, or was altered, since then it may be wrong.
void set_binary(const TargetTable& table, MappedColumn& column, const Column& source, const CatalogColumn& target,
                int source_major, int target_major) {
  if (source.type.value != target.type_oid || !is_binary_safe(target.type_oid, source_major, target_major)) {
    throw TextNeeded("table " + table.display_name + ": column " + column.name + " (" + target.type +
                     ") cannot be taken in binary form; the stream is read again as text");
  }
  column.binary = true;
  column.element = target.type_oid;
}

// Sets how values are cast. A value that would be refused, cut or rounded must not get that far.
void set_type(const TargetTable& table, MappedColumn& column, const Column& source, const CatalogColumn& target,
              ColumnFit& types) {
  const ValueFit fit = types.fit(source, target);
  if (fit == ValueFit::kNo || (fit == ValueFit::kCast && target.text_cast)) {
    stop(table,
         "column \"" + source.name + "\" has another type on the source now, " + types.source_in_words(source) +
             ", whose values may not fit " + types.target_in_words(target) + " on the target",
         "alter it on the target too (where one transaction wrote rows before and after the change: one that takes "
         "both, such as text), then start again: nothing is lost while the slot exists");
  }
  const std::string through = fit == ValueFit::kCast ? types.cast_through(source) : "";
  column.type = through + target.cast_type;
  column.full_type = through + target.type;
  column.text_cast = target.text_cast;
}

void map_columns(TargetTable& table, const Relation& relation, const std::vector<CatalogColumn>& catalog,
                 const UniqueIndex* identity, const BinaryForm& binary, ColumnFit& types, int target_major) {
  std::size_t mapped = 0;
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const std::string& name = relation.columns[i].name;
    const auto found =
        std::find_if(catalog.begin(), catalog.end(), [&](const CatalogColumn& column) { return column.name == name; });
    if (found == catalog.end()) {
      stop(
          table, "the source has column \"" + name + "\", the target does not",
          "add it on the target, without a default that it has got in a statement of its own (that comes once the link "
          "has caught up), then start again: nothing is lost while the slot exists");
    }
    ++mapped;
    if (found->generated) {
      stop(table, "the source sends column \"" + name + "\", which is generated on the target",
           "ALTER COLUMN ... DROP EXPRESSION there, then start again; rows that its transaction inserted before the "
           "change arrive with NULL in it, and those that it updated keep what they have: once they are there, give "
           "them what the source has");
    }
    const Column& source = relation.columns[i];
    MappedColumn column;
    column.name = quote_identifier(name);
    set_type(table, column, source, *found, types);
    if (binary.on) set_binary(table, column, source, *found, binary.source_major, target_major);
    column.written = !found->generated;
    column.settable = column.written && found->identity != 'a';
    if (identity == nullptr) {
      table.key.push_back(static_cast<std::uint16_t>(i));
    } else if (const auto key = std::find(identity->columns.begin(), identity->columns.end(), name);
               key != identity->columns.end()) {
      column.key = true;
      column.equality = identity->equality[static_cast<std::size_t>(key - identity->columns.begin())];
      table.key.push_back(static_cast<std::uint16_t>(i));
    } else if (!column.settable) {
      table.keeps_more_than_source = true;
    }
    table.columns.push_back(std::move(column));
  }
  if (catalog.size() > mapped) table.keeps_more_than_source = true;
}

// A table's own name and number; the rest is for its kind.
TargetTable name_table(const Relation& relation) { return new_target_table(relation.schema + "." + relation.name); }

// Of a RowKey's columns, which stand in the order of `table.key`.
KeyShape row_key_of(const TargetTable& table, const Relation& relation) {
  Relation key;
  key.schema = table.target.schema;
  key.name = table.target.name;
  std::vector<std::string> names;
  for (const std::uint16_t ordinal : table.key) {
    key.columns.push_back(relation.columns[ordinal]);
    names.push_back(relation.columns[ordinal].name);
  }
  return make_key_shape(key, table.target.schema, table.target.name, names);
}

// Two tables that swap their names, and back, are seen nowhere else.
void check_same_table(const TargetTable& table, const Relation& relation, const TableState& state) {
  const std::string copied = entry_table(state.entry);
  if (copied.empty() || copied == std::to_string(relation.id.value)) return;
  stop(table, "on the source another table has this name now than the one that was copied",
       "rename it back; if it is meant to stay, empty the target's, delete its row from teal.table_state and start "
       "again");
}

// The target's partition of the same name, if it takes the same rows.
std::shared_ptr<TargetTable> find_part(PgConnection& target, const Relation& relation, const TableState& state) {
  if (!has_same_partition(target, state.name, state.target, state.bounds)) return nullptr;
  auto part = std::make_shared<TargetTable>(name_table(relation));
  part->sql_name = quote_qualified(state.name.schema, state.name.name);
  part->partitioned = true;  // without ONLY: it may be partitioned further
  return part;
}

}  // namespace

TargetTable new_target_table(std::string display_name) {
  static std::atomic<std::uint64_t> last_id{0};
  TargetTable table;
  table.id = ++last_id;
  table.display_name = std::move(display_name);
  return table;
}

void lock_pending(PgConnection& target, const LinkNames& names, bool hand_over) {
  target.exec("lock the pending tables",
              std::string("SELECT pg_advisory_xact_lock") + (hand_over ? "" : "_shared") + "(hashtextextended($1, 0))",
              {"teal.pending." + names.base()});
}

TableState read_table_state(PgConnection& target, const LinkNames& names, const Relation& relation) {
  const std::string columns =
      "SELECT state, watermark, publication_entry, target_schema, target_table, bounds, schema_name, table_name FROM "
      "teal.table_state WHERE migration = $1 AND link = $2 AND ";
  const auto state_in = [](const Rows& rows) -> TableState {
    return {{rows.str(0, 6), rows.str(0, 7)}, rows.str(0, 0), parse_lsn(rows.at(0, 1)).value_or(Lsn{}), rows.str(0, 2),
            {rows.str(0, 3), rows.str(0, 4)}, rows.str(0, 5)};
  };
  const Rows named = target.exec_often("read the table's watermark", columns + "schema_name = $3 AND table_name = $4",
                                       {names.migration, names.link, relation.schema, relation.name});
  if (!named.empty() && (named.at(0, 0) == "copied" || named.at(0, 0) == "detached")) return state_in(named);
  const Rows numbered =
      target.exec("look whether the table was copied under another name",
                  columns + "state IN ('copied', 'detached') AND split_part(publication_entry, '/', 2) = $3 LIMIT 1",
                  {names.migration, names.link, std::to_string(relation.id.value)});
  if (!numbered.empty()) return state_in(numbered);
  if (!named.empty()) return state_in(named);
  const TableName name{relation.schema, relation.name};
  return {name, "", {}, "", name};
}

TargetTable left_table(const Relation& relation) {
  TargetTable table = name_table(relation);
  table.left = true;
  return table;
}

TargetTable load_target_table(PgConnection& target, const Relation& relation, const TableState& state,
                              const BinaryForm& binary, ColumnFit& types) {
  TargetTable table = name_table(relation);
  table.target = state.target;
  table.target_id = std::hash<std::string>()(to_string(state.target));
  table.sql_name = quote_qualified(state.target.schema, state.target.name);
  table.control = relation.schema == kControlSchema;
  table.pending = !table.control && (state.state.empty() || state.state == "pending");
  if (table.control || table.pending) return table;
  if (state.state == "left") return left_table(relation);
  const Rows found = target.exec(
      "find the target table",
      "SELECT c.oid, c.relkind = 'p', CASE WHEN c.relpersistence <> 'p' THEN false WHEN c.relkind = 'p' THEN NOT "
      "EXISTS "
      "(SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid WHERE p.relpersistence <> 'p') ELSE "
      "true END, CASE WHEN c.relispartition THEN (SELECT "
      "min(format('%I.%I', s.target_schema, s.target_table)) FROM teal.table_state s WHERE s.state <> 'left' AND "
      "to_regclass(format('%I.%I', s.target_schema, s.target_table)) = pg_partition_root(c.oid)) END, c.relhasrules "
      "FROM "
      "pg_class c "
      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', "
      "'p')",
      {state.target.schema, state.target.name});
  if (found.empty()) {
    stop(table, "does not exist on the target",
         "create it there, then start again: nothing is lost while the slot exists");
  }
  table.partitioned = found.boolean(0, 1);
  table.has_rules = found.boolean(0, 4);
  if (!found.boolean(0, 2)) {
    stop(table, "is unlogged on the target, or has a partition that is: a crash there would empty it",
         "ALTER TABLE ... SET LOGGED there");
  }
  if (!found.is_null(0, 3)) {
    stop(table, "is a partition of " + found.str(0, 3) + " on the target, which has rows of other tables of the source",
         "detach it there, then start again");
  }
  const auto oid = static_cast<std::uint32_t>(found.integer(0, 0));
  const std::vector<UniqueIndex> indexes = read_unique_indexes(target, {oid})[oid];
  const UniqueIndex* identity = find_identity_index(indexes, relation);
  table.whole_rows = identity == nullptr && relation.replica_identity == ReplicaIdentity::kFull;
  if (identity == nullptr && !table.whole_rows) {
    stop(table, "the target has no unique index on exactly the columns of the source's replica identity",
         "create one on the target (not deferrable, not partial), then start again");
  }
  map_columns(table, relation, read_columns(target, {oid})[oid], identity, binary, types, target.server_major());
  if (identity != nullptr && table.key.size() != identity->columns.size()) {
    stop(table, "the target's key has a column that the source does not send", "give both sides the same key");
  }
  check_same_table(table, relation, state);
  table.row_key = row_key_of(table, relation);
  table.watermark = state.watermark;
  table.is_part = state.target != state.name;
  if (!table.is_part) return table;
  if (const auto part = find_part(target, relation, state)) {
    part->columns = table.columns;
    part->key = table.key;
    part->row_key = table.row_key;
    part->row_key.table.part = table_hash(state.name.schema, state.name.name);
    part->target = table.target;
    part->single_part = true;
    table.part = part;
  }
  return table;
}

}  // namespace teal
