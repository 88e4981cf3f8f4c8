#include <algorithm>
#include <map>
#include <set>

#include "engine/publication.h"
#include "engine/type_fit.h"
#include "engine/value_fit.h"
#include "tools/link_facts.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

std::string alter_table(const TableName& table, const std::string& what) {
  return "ALTER TABLE " + quote_qualified(table.schema, table.name) + " " + what + ";";
}

std::string grant(const ServerFacts& facts, const std::string& rights, const std::string& object) {
  return "GRANT " + rights + " ON " + object + " TO " + quote_identifier(facts.role) + ";";
}

const CatalogColumn* find_column(const std::vector<CatalogColumn>& columns, const std::string& name) {
  const auto found =
      std::find_if(columns.begin(), columns.end(), [&](const CatalogColumn& c) { return c.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

std::string key_list(const std::vector<std::string>& columns) {
  std::string out;
  for (const std::string& column : columns) out += (out.empty() ? "" : ", ") + quote_identifier(column);
  return out;
}

// The types of all columns on both sides.
struct BothTypes {
  const TypesByOid& source;
  TypesByOid target;

  // Types of the same name are compared for themselves, see check_types.
  [[nodiscard]] bool fit(const CatalogColumn& from, const CatalogColumn& to) const {
    if (to.type == from.type || to.type == from.base_type) return true;
    return value_fit(source, {from.type_oid, from.type_modifier}, target, {to.type_oid, to.type_modifier}) ==
           ValueFit::kYes;
  }
};

BothTypes read_both(const SelectedTypes& types, PgConnection& target, const std::vector<TargetRelation>& relations) {
  std::set<std::uint32_t> used;
  for (const TargetRelation& relation : relations) {
    for (const CatalogColumn& column : relation.columns) {
      if (column.type_oid >= kFirstMovingTypeOid) used.insert(column.type_oid);
    }
  }
  return {types.types(), used.empty() ? TypesByOid{} : read_types(target, {used.begin(), used.end()})};
}

// The target computes its own values.
void check_generated_column(Preflight& preflight, const TableName& table, const CatalogColumn& column,
                            const CatalogColumn* there) {
  const std::string full = to_string(table) + "." + column.name;
  if (there != nullptr && !there->generated) {
    preflight.found.columns.emplace(table, column.name);
    preflight.add(preflight.target(),
                  full + " is generated on " + preflight.source() + " and a plain column on " + preflight.target() +
                      ", so nothing would fill it",
                  alter_table(table, "DROP COLUMN " + quote_identifier(column.name) + ", ADD COLUMN " +
                                         quote_identifier(column.name) + " " + column.type + " GENERATED ALWAYS AS (" +
                                         column.generated_as + ") STORED"));
  } else if (there != nullptr && there->generated_as != column.generated_as) {
    preflight.found.columns.emplace(table, column.name);
    preflight.report.notes.push_back(full + " is generated as " + column.generated_as + " on " + preflight.source() +
                                     " and as " + there->generated_as + " on " + preflight.target() + ": " +
                                     preflight.target() + " computes its own values");
  }
}

void check_columns(Preflight& preflight, const SourceTable& source, const TargetRelation& target,
                   const BothTypes& types) {
  const std::string name = to_string(source.name);
  for (const CatalogColumn& column : source.columns) {
    if (preflight.found.columns.contains({source.name, column.name})) continue;
    const CatalogColumn* there = find_column(target.columns, column.name);
    const std::string full = name + "." + column.name;
    if (column.generated) {  // not sent
      check_generated_column(preflight, source.name, column, there);
      continue;
    }
    const bool fits = there != nullptr && !there->generated && types.fit(column, *there);
    if (!fits) preflight.found.columns.emplace(source.name, column.name);
    if (there == nullptr) {
      preflight.add(preflight.target(),
                    "the table " + name + " lacks the column " + column.name + " (" + column.type + " on " +
                        preflight.source() + ")",
                    alter_table(source.name, column_to_add(preflight, source, column)));
    } else if (there->generated) {
      preflight.add(
          preflight.target(),
          full + " is a plain column on " + preflight.source() + " and generated on " + preflight.target() +
              ", so it cannot be written",
          there->computed_on_read
              ? alter_table(source.name, "DROP COLUMN " + quote_identifier(column.name) + ", ADD COLUMN " +
                                             quote_identifier(column.name) + " " + column.type)
              : alter_table(source.name, "ALTER COLUMN " + quote_identifier(column.name) + " DROP EXPRESSION"));
    } else if (!fits) {
      preflight.add(preflight.target(),
                    full + " is " + column.type + " on " + preflight.source() + " and " + there->type + " on " +
                        preflight.target() + "; columns that differ are not supported yet",
                    alter_table(source.name, "ALTER COLUMN " + quote_identifier(column.name) + " TYPE " + column.type));
    } else if (there->not_null && !column.not_null) {
      preflight.report.notes.push_back(
          full + " may be NULL on " + preflight.source() + " and is NOT NULL on " + preflight.target() +
          ", where a NULL stops the link; to be rid of that: " +
          alter_table(source.name, "ALTER COLUMN " + quote_identifier(column.name) + " DROP NOT NULL"));
    }
  }
  for (const CatalogColumn& column : target.columns) {
    const CatalogColumn* sent = find_column(source.columns, column.name);
    if ((sent != nullptr && !sent->generated) || !column.not_null || column.has_default) continue;
    if (preflight.found.columns.contains({source.name, column.name})) continue;
    preflight.add(preflight.target(),
                  name + "." + column.name + " is NOT NULL without a default, and " + preflight.source() + " " +
                      (sent == nullptr ? "has no such column" : "does not send it (it is generated there)"),
                  alter_table(source.name, "ALTER COLUMN " + quote_identifier(column.name) + " DROP NOT NULL"));
  }
}

// Its rows would be rows of two tables that teal writes to.
void check_whole_table(Preflight& preflight, const TargetRelation& target) {
  if (target.detach.empty()) return;
  if (preflight.config.direction == Direction::kBoth) {
    preflight.add(preflight.target(),
                  to_string(target.name) + " is a partition of " + to_string(target.part_of) + " on " +
                      preflight.target() + " and a table of its own on " + preflight.source() +
                      ", so that its changes could not come back",
                  target.detach);
    return;
  }
  const auto is_target = [&](const auto& entry) {
    return entry.second.state != "left" && entry.second.target == target.part_of;
  };
  const auto is_selected = [&](const SourceTable& table) { return table.target == target.part_of; };
  if (std::none_of(preflight.tables.begin(), preflight.tables.end(), is_selected) &&
      std::none_of(preflight.states.begin(), preflight.states.end(), is_target)) {
    return;
  }
  preflight.add(preflight.target(),
                to_string(target.name) + " is a partition of " + to_string(target.part_of) + " on " +
                    preflight.target() + " and a table of its own on " + preflight.source() + ", and both are selected",
                target.detach);
}

void check_existing_table(Preflight& preflight, const ServerFacts& facts, const SourceTable& source,
                          const TargetRelation& target, const BothTypes& types,
                          std::map<std::string, std::vector<TableName>>& missing_rights) {
  const std::string name = to_string(source.name);
  check_columns(preflight, source, target, types);
  check_whole_table(preflight, target);
  if (!target.logged) {
    preflight.add(preflight.target(), name + " is unlogged on " + preflight.target() + ": a crash there would empty it",
                  alter_table(source.name, "SET LOGGED"));
  }
  if (target.row_security) {
    preflight.add(preflight.target(), "row security hides rows of " + name + " from " + facts.role,
                  "ALTER ROLE " + quote_identifier(facts.role) + " BYPASSRLS;");
  }
  if (!target.missing_rights.empty()) {
    std::string rights;
    for (const std::string& right : target.missing_rights) rights += (rights.empty() ? "" : ", ") + right;
    missing_rights[rights].push_back(source.name);
  }
  // Where teal itself makes the tables, their keys come after the rows; the copy checks them then.
  const bool key_ahead = preflight.resumed && preflight.config.copy.schema;
  if (target.identity_index || key_ahead || source.identity_columns.empty()) return;
  if (preflight.found.keys.contains(source.name)) return;
  preflight.add(preflight.target(),
                name + " has no unique index on its key (" + key_list(source.identity_columns) +
                    "), so no row could be found again",
                alter_table(source.name, "ADD UNIQUE (" + key_list(source.identity_columns) + ")"));
}

// The copy fills tables, it never empties them. The way back copies nothing: its tables are full.
void check_empty(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& readable) {
  if (preflight.mode == PreflightMode::kNoCopy || preflight.link.link == kGreenToBlue) return;
  std::vector<TableName> filled;
  for (const TargetRelation& table : readable) {
    if (preflight.copied_targets.contains(table.name)) continue;
    // What inherits from it is copied for itself.
    const std::string name = (table.partitioned ? "" : "ONLY ") + quote_qualified(table.name.schema, table.name.name);
    const Rows rows = target.exec("look whether " + to_string(table.name) + " is empty on green",
                                  "SELECT EXISTS (SELECT FROM " + name + ")");
    if (rows.boolean(0, 0)) filled.push_back(table.name);
  }
  if (filled.empty()) return;
  std::string names;
  for (const TableName& table : filled) names += (names.empty() ? "" : ", ") + to_string(table);
  preflight.add(preflight.target(), names + (filled.size() == 1 ? " is" : " are") + " not empty and not copied by teal",
                "if " + target.address() + " is really green and these rows may go: TRUNCATE " + quoted_list(filled) +
                    "; or run with --no-copy if green holds blue's rows already");
}

// Tables that are not there: made by teal together with the others, or missing.
void check_missing_tables(Preflight& preflight, const ServerFacts& facts, const std::vector<TargetRelation>& missing,
                          bool some_exist) {
  if (missing.empty()) return;
  const bool by_teal = schema_ahead(preflight, missing);
  if (!by_teal || some_exist) {
    std::string names;
    for (const TargetRelation& table : missing) names += (names.empty() ? "" : ", ") + to_string(table.name);
    const bool comes_later = preflight.mode == PreflightMode::kJoin || preflight.resumed;
    preflight.add(preflight.target(), "missing tables: " + names + (by_teal ? "; other selected tables are there" : ""),
                  comes_later ? "create them on green as on blue (pg_dump --schema-only --table=...)"
                  : by_teal   ? "drop the others, so that teal makes all of them, or create the missing ones and set "
                                "copy.schema: false"
                              : "create them as on blue (pg_dump --schema-only), or set copy.schema: true");
    return;
  }
  std::set<std::string> schemas;
  bool new_schema = false;
  for (const TargetRelation& table : missing) {
    if (!table.schema_exists) new_schema = true;
    if (table.schema_exists && !table.may_create_in_schema) schemas.insert(quote_identifier(table.name.schema));
  }
  if (new_schema && !facts.create_in_database) {
    preflight.add(preflight.target(), "the role " + facts.role + " may not create the schemas of blue's tables",
                  grant(facts, "CREATE", "DATABASE " + quote_identifier(facts.database)));
  }
  for (const std::string& schema : schemas) {
    preflight.add(preflight.target(), "the role " + facts.role + " may not create tables in schema " + schema,
                  grant(facts, "USAGE, CREATE", "SCHEMA " + schema));
  }
}

}  // namespace

void check_target_tables(Preflight& preflight, const SelectedTypes& types, PgConnection& target,
                         const ServerFacts& facts) {
  const std::vector<TargetRelation> relations = find_target_relations(target, preflight.tables);
  const BothTypes both = read_both(types, target, relations);
  std::map<std::string, std::vector<TableName>> missing_rights;
  std::set<std::string> closed_schemas;
  std::vector<TargetRelation> missing;
  std::vector<TargetRelation> readable;
  bool some_exist = false;
  for (std::size_t i = 0; i < relations.size(); ++i) {
    const TargetRelation& relation = relations[i];
    if (!preflight.tables[i].refusal.empty()) continue;
    if (relation.is_other) {
      preflight.add(preflight.target(), to_string(relation.name) + " is no table on " + preflight.target(),
                    "rename it, or exclude the table");
    } else if (!relation.exists) {
      missing.push_back(relation);
    } else {
      some_exist = true;
      if (!relation.may_use_schema) closed_schemas.insert(quote_identifier(relation.name.schema));
      check_existing_table(preflight, facts, preflight.tables[i], relation, both, missing_rights);
      if (relation.may_use_schema && relation.missing_rights.empty() && !relation.row_security)
        readable.push_back(relation);
    }
  }
  check_empty(preflight, target, readable);
  check_missing_tables(preflight, facts, missing, some_exist);
  for (const std::string& schema : closed_schemas) {
    preflight.add(preflight.target(), "the role " + facts.role + " may not use the schema " + schema,
                  grant(facts, "USAGE", "SCHEMA " + schema));
  }
  for (const auto& [rights, tables] : missing_rights) {
    preflight.add(
        preflight.target(),
        "the role " + facts.role + " lacks " + rights + " on " + std::to_string(tables.size()) + " of the tables",
        grant(facts, rights, quoted_list(tables)));
  }
}

}  // namespace teal
