#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "engine/catalog.h"
#include "engine/catalog_columns.h"

namespace teal {
namespace {

constexpr std::array<const char*, 5> kRights{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"};

// `{"a","b"}` with what needs it escaped: a parameter of type text[].
std::string text_array(const std::vector<SourceTable>& tables, std::string TableName::* part) {
  std::string out = "{";
  for (const SourceTable& table : tables) {
    out += out.size() == 1 ? "\"" : ",\"";
    for (const char c : table.target.*part) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  return out + "}";
}

}  // namespace

std::vector<TargetRelation> find_target_relations(PgConnection& target, const std::vector<SourceTable>& tables) {
  const Rows rows = target.exec(
      "look up the tables on " + target.label(),
      "SELECT n.oid IS NOT NULL, c.oid, c.relkind, coalesce(has_schema_privilege(n.oid, 'USAGE'), false), "
      "coalesce(has_schema_privilege(n.oid, 'CREATE'), false), coalesce(row_security_active(c.oid), false), "
      "has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'), "
      "has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'), "
      "has_table_privilege(c.oid, 'TRUNCATE'), c.relpersistence = 'p', rn.nspname, r.relname, "
      "CASE WHEN c.relispartition THEN (SELECT format('ALTER TABLE %s DETACH PARTITION %s;', i.inhparent::regclass, "
      "i.inhrelid::regclass) FROM pg_inherits i WHERE i.inhrelid = c.oid) END "
      "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (schema, name, place) "
      "LEFT JOIN pg_namespace n ON n.nspname = w.schema "
      "LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN "
      "('r','p','v','m','f','S') "
      "LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) "
      "LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace "
      "ORDER BY w.place",
      {text_array(tables, &TableName::schema), text_array(tables, &TableName::name)});
  std::vector<TargetRelation> relations;
  std::vector<std::uint32_t> oids(tables.size(), 0);
  for (int i = 0; i < rows.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    TargetRelation relation;
    relation.name = tables.at(at).target;
    relation.schema_exists = rows.boolean(i, 0);
    relation.may_use_schema = rows.boolean(i, 3);
    relation.may_create_in_schema = rows.boolean(i, 4);
    if (!rows.is_null(i, 1)) {
      const char kind = rows.at(i, 2).front();
      relation.exists = kind == 'r' || kind == 'p';
      relation.is_other = !relation.exists;
      relation.partitioned = kind == 'p';
      relation.row_security = rows.boolean(i, 5);
      relation.logged = rows.boolean(i, 11);
      relation.part_of = {rows.str(i, 12), rows.str(i, 13)};
      relation.detach = rows.str(i, 14);
      oids[at] = static_cast<std::uint32_t>(rows.integer(i, 1));
      for (std::size_t right = 0; right < kRights.size(); ++right) {
        if (!rows.boolean(i, 6 + static_cast<int>(right))) relation.missing_rights.emplace_back(kRights[right]);
      }
    }
    relations.push_back(std::move(relation));
  }
  auto columns = read_columns(target, oids);
  const auto indexes = read_unique_indexes(target, oids);
  for (std::size_t i = 0; i < relations.size(); ++i) {
    relations[i].columns = columns[oids[i]];  // of several partitions it is the same table
    relations[i].identity_index = relations[i].exists && tables[i].whole_rows;
    const auto found = indexes.find(oids[i]);
    if (found == indexes.end() || relations[i].identity_index) continue;
    relations[i].identity_index = std::any_of(found->second.begin(), found->second.end(), [&](const UniqueIndex& x) {
      return x.finds_one_row() && x.covers_exactly(tables[i].identity_columns);
    });
  }
  return relations;
}

bool have_post_data(PgConnection& connection, const std::vector<SourceTable>& tables) {
  const Rows rows = connection.exec(
      "look for indexes, keys and triggers on " + connection.label(),
      "SELECT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS w (schema, name) "
      "JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name "
      "WHERE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid) "
      "OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') "
      "OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) "
      "OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid))",
      {text_array(tables, &TableName::schema), text_array(tables, &TableName::name)});
  return rows.boolean(0, 0);
}

}  // namespace teal
