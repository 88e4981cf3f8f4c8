#include "applier/target_table.h"

#include <algorithm>
#include <unordered_map>

#include "decoder/transaction.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

struct CatalogColumn {
  std::string type;
  bool generated = false;
  bool identity_always = false;
  bool own_cast = false;  // a user's cast from text would stand in for the type's input function
};

using CatalogColumns = std::unordered_map<std::string, CatalogColumn>;

CatalogColumns read_columns(PgConnection& target, const std::string& oid) {
  // format_type with -1 spells types so that a cast neither truncates nor pads (bpchar, "bit").
  const Rows rows = target.exec("read the target's columns",
                                "SELECT attname, format_type(atttypid, -1), attgenerated <> '', attidentity = 'a', "
                                "EXISTS (SELECT FROM pg_cast c WHERE c.castsource = 'text'::regtype AND c.casttarget = "
                                "a.atttypid AND c.castmethod = 'f' AND c.oid >= 16384) "
                                "FROM pg_attribute a WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped",
                                {oid});
  CatalogColumns columns;
  for (int i = 0; i < rows.size(); ++i) {
    columns.emplace(rows.str(i, 0),
                    CatalogColumn{rows.str(i, 1), rows.boolean(i, 2), rows.boolean(i, 3), rows.boolean(i, 4)});
  }
  return columns;
}

struct UniqueIndex {
  std::vector<std::string> columns;
  std::vector<std::string> equality;
  bool primary = false;
};

// Only indexes that reject a second row at once: what UPDATE and DELETE by key rely on to touch one row at most.
std::vector<UniqueIndex> read_unique_indexes(PgConnection& target, const std::string& oid) {
  const Rows rows = target.exec(
      "read the target's unique indexes",
      "SELECT i.indexrelid, i.indisprimary, a.attname, quote_ident(n.nspname), o.oprname "
      "FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) "
      "WITH ORDINALITY AS k(attnum, opclass, indexcollation, position) "
      // An index under another collation than its column's keeps other rows apart than the column's = does.
      "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND a.attcollation = k.indexcollation "
      "JOIN pg_opclass c ON c.oid = k.opclass "
      "JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3 "
      "AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype "
      "JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace "
      "WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL "
      "AND i.indexprs IS NULL AND k.position <= i.indnkeyatts ORDER BY i.indisprimary DESC, i.indexrelid, k.position",
      {oid});
  std::vector<UniqueIndex> indexes;
  std::string current;
  for (int i = 0; i < rows.size(); ++i) {
    if (current != rows.at(i, 0)) {
      current = rows.str(i, 0);
      indexes.emplace_back();
      indexes.back().primary = rows.boolean(i, 1);
    }
    indexes.back().columns.push_back(rows.str(i, 2));
    indexes.back().equality.push_back("OPERATOR(" + rows.str(i, 3) + "." + rows.str(i, 4) + ")");
  }
  return indexes;
}

// The index on exactly the source's identity columns. With REPLICA IDENTITY FULL the source names every column, and
// the target's primary key stands in.
const UniqueIndex* find_identity_index(const std::vector<UniqueIndex>& indexes, const Relation& relation) {
  if (relation.replica_identity == ReplicaIdentity::kFull) {
    for (const UniqueIndex& index : indexes) {
      if (index.primary) return &index;
    }
    return nullptr;
  }
  std::vector<std::string> identity;
  for (const Column& column : relation.columns) {
    if (column.identity) identity.push_back(column.name);
  }
  std::sort(identity.begin(), identity.end());
  for (const UniqueIndex& index : indexes) {
    std::vector<std::string> names = index.columns;
    std::sort(names.begin(), names.end());
    if (names == identity) return &index;
  }
  return nullptr;
}

[[noreturn]] void stop(const TargetTable& table, const std::string& what, const std::string& mend) {
  throw Stopped(StopCode::kData, "table " + table.display_name + ": " + what + "; " + mend);
}

void map_columns(TargetTable& table, const Relation& relation, const CatalogColumns& catalog,
                 const UniqueIndex& identity) {
  std::size_t mapped = 0;
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const std::string& name = relation.columns[i].name;
    const auto found = catalog.find(name);
    if (found == catalog.end()) {
      stop(table, "the source has column \"" + name + "\", the target does not",
           "add it on the target, then start again: nothing is lost while the slot exists");
    }
    ++mapped;
    if (found->second.own_cast) {
      stop(table, "the type of column \"" + name + "\" (" + found->second.type + ") has a user-defined cast from text",
           "such types are not supported yet: drop the cast on the target, or leave the table out");
    }
    MappedColumn column;
    column.name = quote_identifier(name);
    column.type = found->second.type;
    column.written = !found->second.generated;
    column.settable = column.written && !found->second.identity_always;
    const auto key = std::find(identity.columns.begin(), identity.columns.end(), name);
    if (key != identity.columns.end()) {
      column.key = true;
      column.equality = identity.equality[static_cast<std::size_t>(key - identity.columns.begin())];
      table.key.push_back(static_cast<std::uint16_t>(i));
    } else if (!column.settable) {
      table.keeps_more_than_source = true;
    }
    table.columns.push_back(std::move(column));
  }
  if (catalog.size() > mapped) table.keeps_more_than_source = true;
}

}  // namespace

TargetTable load_target_table(PgConnection& target, const Relation& relation, std::string_view migration,
                              std::string_view link) {
  TargetTable table;
  table.display_name = relation.schema + "." + relation.name;
  table.sql_name = quote_qualified(relation.schema, relation.name);
  if (relation.schema == kControlSchema) {
    table.control = true;
    return table;
  }
  const Rows found = target.exec("find the target table",
                                 "SELECT c.oid, c.relkind = 'p' FROM pg_class c JOIN pg_namespace n ON n.oid = "
                                 "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
                                 {relation.schema, relation.name});
  if (found.empty()) {
    stop(table, "does not exist on the target",
         "create it there, then start again: nothing is lost while the slot exists");
  }
  table.partitioned = found.boolean(0, 1);
  const std::vector<UniqueIndex> indexes = read_unique_indexes(target, found.str(0, 0));
  const UniqueIndex* identity = find_identity_index(indexes, relation);
  if (identity == nullptr) {
    stop(table, "the target has no unique index on exactly the columns of the source's replica identity",
         "create one on the target (not deferrable, not partial), then start again");
  }
  map_columns(table, relation, read_columns(target, found.str(0, 0)), *identity);
  if (table.key.size() != identity->columns.size()) {
    stop(table, "the target's key has a column that the source does not send", "give both sides the same key");
  }
  const Rows state = target.exec("read the table's watermark",
                                 "SELECT state, watermark FROM teal.table_state WHERE migration = $1 AND link = $2 AND "
                                 "schema_name = $3 AND table_name = $4",
                                 {std::string(migration), std::string(link), relation.schema, relation.name});
  if (state.empty() || state.at(0, 0) != "copied") {
    stop(table, "is in the publication but was not copied",
         "start teal again, and it is copied (if tables.include covers it), or take it out of the publication");
  }
  table.watermark = parse_lsn(state.at(0, 1)).value_or(Lsn{});
  return table;
}

}  // namespace teal
