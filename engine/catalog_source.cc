#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/catalog.h"
#include "engine/catalog_columns.h"
#include "engine/nearest_name.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::size_t kColumnsWithoutKey = 800;  // old and new values of a row: PostgreSQL's limit is 1,664 entries

// One row of pg_class that a pattern could mean.
struct ClassRow {
  std::uint32_t oid = 0;
  TableName name;
  char kind = 'r';         // relkind
  char persistence = 'p';  // relpersistence
  bool partition = false;  // relispartition
  std::string detach;      // what ends a DETACH ... CONCURRENTLY that has begun
  SourceTable table;

  [[nodiscard]] const TableName& selected_by() const { return table.target; }
};

std::vector<ClassRow> read_relations(PgConnection& source) {
  const Rows rows = source.exec(
      "list the tables of " + source.label(),
      "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition, "
      "c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid), c.relreplident, "
      "row_security_active(c.oid), has_table_privilege(c.oid, 'SELECT'), has_schema_privilege(n.oid, 'USAGE'), "
      "pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), coalesce(rn.nspname, n.nspname), "
      "coalesce(r.relname, c.relname), CASE WHEN c.relispartition THEN " +
          partition_bounds_sql("c.oid") +
          " END, CASE WHEN l.oid IS NOT NULL THEN format('ALTER TABLE %s DETACH PARTITION %s FINALIZE;', "
          "l.oid::regclass, "
          "li.inhrelid::regclass) END "
          "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
          // Through jsonb, because 13 has no such column. What is leaving is a root already.
          "LEFT JOIN pg_inherits li ON c.relispartition AND li.inhrelid = pg_partition_root(c.oid) AND (to_jsonb(li) "
          "->> 'inhdetachpending')::boolean LEFT JOIN pg_class l ON l.oid = li.inhparent "
          "LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(coalesce(l.oid, c.oid)) "
          "LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace "
          "WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't' "
          "AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'teal') "
          "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid "
          "AND d.deptype = 'e') ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"");
  std::vector<ClassRow> relations;
  for (int i = 0; i < rows.size(); ++i) {
    ClassRow relation;
    relation.oid = static_cast<std::uint32_t>(rows.integer(i, 0));
    relation.name = {rows.str(i, 1), rows.str(i, 2)};
    relation.kind = rows.at(i, 3).front();
    relation.persistence = rows.at(i, 4).front();
    relation.partition = rows.boolean(i, 5);
    SourceTable& table = relation.table;
    table.name = relation.name;
    table.target = {rows.str(i, 13), rows.str(i, 14)};
    table.partitioned = relation.kind == 'p';
    table.bounds = rows.str(i, 15);
    table.has_children = rows.boolean(i, 6);
    table.oid = relation.oid;
    table.replica_identity = static_cast<ReplicaIdentity>(rows.at(i, 7).front());
    table.row_security = rows.boolean(i, 8);
    table.may_select = rows.boolean(i, 9);
    table.may_use_schema = rows.boolean(i, 10);
    table.owner = rows.str(i, 11);
    table.owned = rows.boolean(i, 12);
    relation.detach = rows.str(i, 16);
    table.leaving = !relation.detach.empty();
    relations.push_back(std::move(relation));
  }
  return relations;
}

// Why a relation holds nothing that could be replicated; "" when it does.
std::string skip_reason(const ClassRow& relation) {
  if (relation.kind == 'f') return "is a foreign table";
  if (relation.kind == 'm') return "is a materialized view";
  if (relation.persistence == 'u') return "is an unlogged table";
  return "";
}

void check_pattern(const TablePattern& pattern, bool include, const std::vector<ClassRow>& relations,
                   std::vector<std::string>& problems) {
  std::vector<std::string> names;
  for (const ClassRow& relation : relations) {
    if (!pattern.matches(relation.name)) {
      if (skip_reason(relation).empty()) names.push_back(to_string(relation.name));
      continue;
    }
    const std::string why = skip_reason(relation);
    if (!include || !pattern.literal() || why.empty()) return;
    problems.push_back(pattern.where() + ": " + pattern.text() + " " + why + ": it cannot be replicated; remove it");
    return;
  }
  problems.push_back(pattern.where() + ": \"" + pattern.text() + "\" matches no table" +
                     did_you_mean(nearest_names(pattern.text(), names, 3)));
}

// Partitions go with their table: one alone can neither be asked for nor left out.
void check_partitions(const TableSelection& selection, const std::vector<ClassRow>& relations,
                      std::vector<std::string>& problems) {
  for (const ClassRow& relation : relations) {
    if (!relation.partition) continue;
    const bool selected = selection.selects(relation.selected_by());
    const auto differs = [&](const TablePattern& pattern, bool include) {
      return pattern.matches(relation.name) && include != selected && (pattern.literal() || !include);
    };
    for (const TablePattern& pattern : selection.include) {
      if (!differs(pattern, true)) continue;
      problems.push_back(pattern.where() + ": " + pattern.text() + " is a partition of " +
                         to_string(relation.selected_by()) + ": select that table");
    }
    for (const TablePattern& pattern : selection.exclude) {
      if (!differs(pattern, false)) continue;
      problems.push_back(pattern.where() + ": " + pattern.text() + " matches " + to_string(relation.name) +
                         ", a partition of " + to_string(relation.selected_by()) +
                         ", which is selected: a partition cannot be left out alone");
      return;
    }
  }
}

void check_patterns(const TableSelection& selection, const std::vector<ClassRow>& relations) {
  std::vector<std::string> problems;
  for (const TablePattern& pattern : selection.include) check_pattern(pattern, true, relations, problems);
  for (const TablePattern& pattern : selection.exclude) check_pattern(pattern, false, relations, problems);
  check_partitions(selection, relations, problems);
  if (problems.empty()) return;
  std::string text;
  for (const std::string& line : problems) text += (text.empty() ? "" : "\n") + line;
  throw Stopped(StopCode::kUsage, text);
}

struct Mend {
  std::string sql;
  std::string keyless = {};  // in place of a key
};

void refuse(SourceTable& table, std::string why, Mend mend = {}) {
  if (!table.refusal.empty()) return;
  table.refusal = std::move(why);
  table.refusal_mend = std::move(mend.sql);
  table.keyless_mend = std::move(mend.keyless);
}

std::string alter(const SourceTable& table, const std::string& what) {
  return "ALTER TABLE " + quote_qualified(table.name.schema, table.name.name) + " " + what;
}

const UniqueIndex* find_index(const std::vector<UniqueIndex>& indexes, bool UniqueIndex::* flag) {
  const auto found = std::find_if(indexes.begin(), indexes.end(), [&](const UniqueIndex& x) { return x.*flag; });
  return found == indexes.end() ? nullptr : &*found;
}

// The way to a key for a table that has none: an index that could serve, or a new primary key.
Mend key_mend(const SourceTable& table, const std::vector<UniqueIndex>& indexes) {
  for (const UniqueIndex& index : indexes) {
    const auto not_null = [&](const std::string& name) {
      return std::any_of(table.columns.begin(), table.columns.end(),
                         [&](const CatalogColumn& c) { return c.name == name && c.not_null && !c.generated; });
    };
    if (index.valid && index.immediate && std::all_of(index.columns.begin(), index.columns.end(), not_null)) {
      return {alter(table, "REPLICA IDENTITY USING INDEX " + quote_identifier(index.name) + ";")};
    }
  }
  return {alter(table, "ADD PRIMARY KEY (...);"), alter(table, "REPLICA IDENTITY FULL;")};
}

std::string deferrable_mend(const SourceTable& table, const UniqueIndex& key) {
  std::string columns;
  for (const std::string& column : key.columns) columns += (columns.empty() ? "" : ", ") + quote_identifier(column);
  const std::string name = quote_identifier(key.name);
  return alter(table, "DROP CONSTRAINT " + name + ", ADD CONSTRAINT " + name + " PRIMARY KEY (" + columns + ");");
}

// Whether a key's columns are all sent and its index can be relied on.
bool finds_rows(const SourceTable& table, const UniqueIndex* key) {
  if (key == nullptr || !key->immediate || !key->valid) return false;
  return std::none_of(table.columns.begin(), table.columns.end(), [&](const CatalogColumn& column) {
    return column.generated && std::find(key->columns.begin(), key->columns.end(), column.name) != key->columns.end();
  });
}

void set_identity(SourceTable& table, const std::vector<UniqueIndex>& indexes) {
  const UniqueIndex* primary = find_index(indexes, &UniqueIndex::primary);
  const UniqueIndex* key = primary;
  switch (table.replica_identity) {
    case ReplicaIdentity::kNothing:
      return refuse(table, "has REPLICA IDENTITY NOTHING: its UPDATEs and DELETEs cannot be replicated",
                    primary != nullptr && primary->immediate ? Mend{alter(table, "REPLICA IDENTITY DEFAULT;")}
                                                             : key_mend(table, indexes));
    case ReplicaIdentity::kIndex:
      key = find_index(indexes, &UniqueIndex::replica_identity);
      if (key == nullptr) return refuse(table, "has lost its replica identity index", key_mend(table, indexes));
      break;
    case ReplicaIdentity::kFull:
      if (!finds_rows(table, key)) {
        table.whole_rows = true;
        if (table.columns.size() > kColumnsWithoutKey) {
          refuse(table,
                 "has no key and more than " + std::to_string(kColumnsWithoutKey) +
                     " columns, too many to find a row by all its values",
                 {alter(table, "ADD PRIMARY KEY (...);")});
        }
        return;
      }
      break;
    case ReplicaIdentity::kDefault:
      if (key == nullptr) return refuse(table, "has no primary key", key_mend(table, indexes));
      break;
  }
  if (!key->immediate) {
    return refuse(
        table,
        "has a deferrable primary key, by which rows cannot be found: once it is published, UPDATE and DELETE "
        "fail on it",
        {deferrable_mend(table, *key)});
  }
  if (!key->valid)
    return refuse(table, "has an invalid key index, " + key->name,
                  {"REINDEX INDEX " + quote_qualified(table.name.schema, key->name) + ";"});
  table.identity_columns = key->columns;
  for (const CatalogColumn& column : table.columns) {
    if (!column.generated) continue;
    if (std::find(key->columns.begin(), key->columns.end(), column.name) != key->columns.end()) {
      refuse(table, "has the generated column " + column.name + " in its key, which is not sent by the source");
    }
  }
}

// A partition is found on the other side by its table's key.
void check_part(SourceTable& part, const std::vector<SourceTable>& tables) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const auto& t) { return t.name == part.target; });
  if (found == tables.end() || !found->refusal.empty() || !part.refusal.empty()) return;
  if (part.whole_rows == found->whole_rows &&
      std::is_permutation(part.identity_columns.begin(), part.identity_columns.end(), found->identity_columns.begin(),
                          found->identity_columns.end())) {
    return;
  }
  refuse(part, "has another replica identity than " + to_string(part.target) + ", whose partition it is",
         {alter(part, found->whole_rows ? "REPLICA IDENTITY FULL;" : "REPLICA IDENTITY DEFAULT;")});
}

// Its rows belong to nobody: they are no part of its table any more, and it is none of its own yet.
void check_leaving(SourceTable& part, const std::string& detach) {
  if (!part.leaving) return;
  refuse(part, "is being detached from " + to_string(part.target) + " (DETACH PARTITION ... CONCURRENTLY)", {detach});
}

// To measure a table takes a lock on it: of one that somebody alters at this moment it is the last VACUUM's size.
void read_sizes(PgConnection& source, const std::vector<std::uint32_t>& oids,
                std::map<std::uint32_t, SourceTable*>& tables) {
  const Rows sizes = source.exec("read the sizes of the tables on " + source.label(),
                                 "SELECT c.oid, coalesce(CASE WHEN l.relation IS NULL THEN pg_table_size(c.oid) ELSE "
                                 "c.relpages * current_setting('block_size')::bigint END, 0) FROM pg_class c LEFT JOIN "
                                 "(SELECT DISTINCT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND "
                                 "database = (SELECT oid FROM pg_database WHERE datname = current_database())) l ON "
                                 "l.relation = c.oid WHERE c.oid = ANY ($1::oid[])",
                                 {oid_array(oids)});
  for (int i = 0; i < sizes.size(); ++i) {
    tables.at(static_cast<std::uint32_t>(sizes.integer(i, 0)))->bytes = static_cast<std::uint64_t>(sizes.integer(i, 1));
  }
}

SourceCatalog select_from(PgConnection& source, const TableSelection& selection, std::vector<ClassRow> relations) {
  SourceCatalog catalog;
  std::vector<std::uint32_t> oids;
  for (ClassRow& relation : relations) {
    if (!selection.selects(relation.selected_by())) continue;
    if (std::string why = skip_reason(relation); !why.empty()) {
      catalog.skipped.push_back({relation.name, std::move(why)});
      continue;
    }
    if (relation.partition && relation.kind == 'p') continue;  // its own partitions have the rows
    oids.push_back(relation.oid);
    check_leaving(relation.table, relation.detach);
    (relation.partition ? catalog.parts : catalog.tables).push_back(std::move(relation.table));
  }
  auto columns = read_columns(source, oids);
  auto indexes = read_unique_indexes(source, oids);
  std::map<std::uint32_t, SourceTable*> by_oid;
  for (std::vector<SourceTable>* tables : {&catalog.tables, &catalog.parts}) {
    for (SourceTable& table : *tables) {
      by_oid[table.oid] = &table;
      table.columns = std::move(columns[table.oid]);
      set_identity(table, indexes[table.oid]);
    }
  }
  for (SourceTable& part : catalog.parts) check_part(part, catalog.tables);
  read_sizes(source, oids, by_oid);
  return catalog;
}

}  // namespace

SourceCatalog read_source_catalog(PgConnection& source, const TableSelection& selection) {
  std::vector<ClassRow> relations = read_relations(source);
  check_patterns(selection, relations);
  return select_from(source, selection, std::move(relations));
}

SourceCatalog read_selected(PgConnection& source, const TableSelection& selection) {
  return select_from(source, selection, read_relations(source));
}

void read_rows_taken(PgConnection& source, std::vector<SourceTable>& tables) {
  std::map<std::uint32_t, SourceTable*> parts;
  std::vector<std::uint32_t> oids;
  for (SourceTable& table : tables) {
    if (table.name == table.target) continue;
    parts[table.oid] = &table;
    oids.push_back(table.oid);
  }
  if (oids.empty()) return;
  const Rows rows = source.exec(
      "read which rows the partitions take",
      "SELECT p.oid, coalesce((SELECT takes FROM pg_partition_ancestors(p.oid) WITH ORDINALITY AS a (relid, level), "
      "pg_get_partition_constraintdef(a.relid) AS takes WHERE takes !~ 'satisfies_hash_partition' ORDER BY level LIMIT "
      "1), '') FROM unnest($1::oid[]) AS p (oid)",
      {oid_array(oids)});
  for (int i = 0; i < rows.size(); ++i) {
    parts.at(static_cast<std::uint32_t>(rows.integer(i, 0)))->takes = rows.str(i, 1);
  }
}

std::vector<SourceTable> tables_with_rows(const SourceCatalog& catalog) {
  std::vector<SourceTable> tables;
  std::copy_if(catalog.parts.begin(), catalog.parts.end(), std::back_inserter(tables),
               [](const SourceTable& part) { return !part.leaving; });
  std::copy_if(catalog.tables.begin(), catalog.tables.end(), std::back_inserter(tables),
               [](const SourceTable& table) { return !table.partitioned; });
  std::sort(tables.begin(), tables.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return tables;
}

std::vector<ForeignKey> read_foreign_keys(PgConnection& source) {
  const Rows rows = source.exec("read the foreign keys",
                                "SELECT c.conname, n.nspname, r.relname, fn.nspname, fr.relname FROM pg_constraint c "
                                "JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace "
                                "JOIN pg_class fr ON fr.oid = c.confrelid "
                                "JOIN pg_namespace fn ON fn.oid = fr.relnamespace WHERE c.contype = 'f' "
                                "AND c.conparentid = 0");  // partitions have copies of their table's
  std::vector<ForeignKey> keys;
  keys.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    keys.push_back({rows.str(i, 0), {rows.str(i, 1), rows.str(i, 2)}, {rows.str(i, 3), rows.str(i, 4)}});
  }
  return keys;
}

}  // namespace teal
