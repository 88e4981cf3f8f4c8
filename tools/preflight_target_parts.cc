#include <map>
#include <set>

#include "engine/catalog_columns.h"
#include "engine/publication.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

// The target may be partitioned where the source is not, so these are not looked for by the names of the source's
// partitions.
void check_unlogged_parts(Preflight& preflight, PgConnection& target) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const SourceTable& table : preflight.tables) {
    schemas.push_back(table.target.schema);
    names.push_back(table.target.name);
  }
  const Rows rows = target.exec(
      "look for unlogged partitions on " + preflight.target(),
      "SELECT n.nspname, c.relname FROM unnest($1::text[], $2::text[]) AS w (schema, name) "
      "JOIN pg_namespace tn ON tn.nspname = w.schema "
      "JOIN pg_class top ON top.relnamespace = tn.oid AND top.relname = w.name AND top.relkind = 'p' "
      "CROSS JOIN LATERAL pg_partition_tree(top.oid) t JOIN pg_class c ON c.oid = t.relid "
      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 'p' ORDER BY 1, 2",
      {text_array(schemas), text_array(names)});
  for (int i = 0; i < rows.size(); ++i) {
    const TableName part{rows.str(i, 0), rows.str(i, 1)};
    preflight.add(
        preflight.target(),
        "the partition " + to_string(part) + " is unlogged on " + preflight.target() + ": a crash there would empty it",
        "ALTER TABLE " + quote_qualified(part.schema, part.name) + " SET LOGGED;");
  }
}

}  // namespace

// Rows of a partition, and a TRUNCATE of the whole table, go through the table at its top, whose rights count then. A
// TRUNCATE of one partition does not, nor does the look whether it is empty before it is copied.
void check_target_parts(Preflight& preflight, PgConnection& target, const ServerFacts& facts) {
  check_unlogged_parts(preflight, target);
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  std::vector<std::string> top_schemas;
  std::vector<std::string> tops;
  for (const SourceTable& part : preflight.parts) {
    schemas.push_back(part.name.schema);
    names.push_back(part.name.name);
    top_schemas.push_back(part.target.schema);
    tops.push_back(part.target.name);
  }
  if (preflight.parts.empty()) return;
  const Rows rows = target.exec(
      "read the rights on the partitions of " + preflight.target(),
      "SELECT w.schema, w.name, has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'TRUNCATE'), "
      "has_schema_privilege(n.oid, 'USAGE') "
      "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (schema, name, top_schema, top) "
      "JOIN pg_namespace n ON n.nspname = w.schema "
      "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relispartition "
      "JOIN pg_class r ON r.oid = pg_partition_root(c.oid) AND r.relname = w.top "
      "JOIN pg_namespace rn ON rn.oid = r.relnamespace AND rn.nspname = w.top_schema ORDER BY 1, 2",
      {text_array(schemas), text_array(names), text_array(top_schemas), text_array(tops)});
  std::map<std::string, std::vector<TableName>> missing_rights;
  std::set<std::string> closed_schemas;
  for (int i = 0; i < rows.size(); ++i) {
    std::string rights = rows.boolean(i, 2) ? "" : "SELECT";
    if (!rows.boolean(i, 3)) rights += rights.empty() ? "TRUNCATE" : ", TRUNCATE";
    if (!rights.empty()) missing_rights[rights].push_back({rows.str(i, 0), rows.str(i, 1)});
    if (!rows.boolean(i, 4)) closed_schemas.insert(quote_identifier(rows.str(i, 0)));
  }
  const std::string to_role = " TO " + quote_identifier(facts.role) + ";";
  for (const std::string& schema : closed_schemas) {
    preflight.add(preflight.target(),
                  "the role " + facts.role + " may not use the schema " + schema + ", which has partitions",
                  "GRANT USAGE ON SCHEMA " + schema + to_role);
  }
  for (const auto& [rights, parts] : missing_rights) {
    std::string list;
    for (const TableName& part : parts) list += (list.empty() ? "" : ", ") + to_string(part);
    preflight.add(preflight.target(),
                  "the role " + facts.role + " lacks " + rights + " on partitions: " + list +
                      " (rights on their table are not enough to copy or to TRUNCATE one of them)",
                  "GRANT " + rights + " ON " + quoted_list(parts) + to_role);
  }
}

}  // namespace teal
