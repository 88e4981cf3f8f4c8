#include <set>

#include "engine/publication.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

std::string words(const std::set<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

// In two directions a row has to be known by a key.
std::string refusal_mend(const Preflight& preflight, const SourceTable& table) {
  if (table.keyless_mend.empty() || preflight.config.direction == Direction::kBoth) return table.refusal_mend;
  return table.refusal_mend + " or, if it can have none: " + table.keyless_mend;
}

std::string schema_list(const std::set<std::string>& schemas) {
  std::string out;
  for (const std::string& schema : schemas) out += (out.empty() ? "" : ", ") + quote_identifier(schema);
  return out;
}

}  // namespace

void check_source_tables(Preflight& preflight, const ServerFacts& facts) {
  if (preflight.tables.empty()) {
    preflight.add(preflight.source(), "there is no table to replicate in database " + facts.database,
                  "check the database in the connection string, and tables.include");
  }
  const std::string role = quote_identifier(facts.role);
  std::set<std::string> schemas;
  std::vector<TableName> unreadable;
  for (const SourceTable& part : preflight.parts) {
    if (!part.refusal.empty()) {
      preflight.add(preflight.source(), to_string(part.name) + " " + part.refusal,
                    part.refusal_mend.empty() ? "detach it, or exclude " + to_string(part.target) : part.refusal_mend);
    }
    if (!part.may_select) unreadable.push_back(part.name);
    if (!part.may_use_schema) schemas.insert(part.name.schema);
    if (part.row_security) {
      preflight.add(preflight.source(), "row security hides rows of " + to_string(part.name) + " from " + facts.role,
                    "ALTER ROLE " + role + " BYPASSRLS;");
    }
  }
  bool may_be_left_out = false;
  for (const SourceTable& table : preflight.tables) {
    const std::string name = to_string(table.name);
    if (!table.refusal.empty() && !preflight.found.keys.contains(table.name)) {
      may_be_left_out = true;
      preflight.add(preflight.source(), name + " " + table.refusal,
                    table.refusal_mend.empty() ? "add it to tables.exclude" : refusal_mend(preflight, table));
    }
    if (table.whole_rows && !preflight.found.keys.contains(table.name)) {
      preflight.report.notes.push_back(name +
                                       " has no key that rows are found by: an UPDATE or DELETE of it is matched "
                                       "by whole rows, which reads all of " +
                                       preflight.target() + "'s table once per batch");
    }
    if (table.row_security) {
      preflight.add(preflight.source(), "row security hides rows of " + name + " from " + facts.role,
                    "ALTER ROLE " + role + " BYPASSRLS;");
    }
    if (!table.may_use_schema) schemas.insert(table.name.schema);
    if (!table.may_select) unreadable.push_back(table.name);
  }
  if (may_be_left_out)
    preflight.report.notes.push_back("a table that is not to be replicated goes into tables.exclude");
  if (!schemas.empty()) {
    preflight.add(preflight.source(), "the role " + facts.role + " may not use the schemas " + words(schemas),
                  "GRANT USAGE ON SCHEMA " + schema_list(schemas) + " TO " + role + ";");
  }
  if (!unreadable.empty()) {
    preflight.add(preflight.source(),
                  "the role " + facts.role + " may not read " + std::to_string(unreadable.size()) + " of the tables",
                  "GRANT SELECT ON " + quoted_list(unreadable) + " TO " + role + ";");
  }
}

void check_publication(Preflight& preflight, PgConnection& source, const ServerFacts& facts) {
  if (preflight.tables.empty()) return;
  // A published table without a usable key refuses UPDATE and DELETE, so such a table is never put into the SQL.
  TablesToPublish wanted;
  std::set<std::string> owners;
  bool all_owned = true;
  for (const SourceTable& table : preflight.tables) {
    if (!table.refusal.empty()) continue;
    wanted.tables.push_back(table.name);
    if (table.has_children) wanted.parents.insert(table.name);
    owners.insert(table.owner);
    all_owned = all_owned && table.owned;
  }
  if (wanted.tables.empty()) return;
  const std::string name = preflight.link.publication();
  const std::optional<Publication> present = read_publication(source, name);
  const PublicationGap gap = compare_publication(present, name, wanted);
  if (gap.differences.empty()) return;
  const bool may_publish = present ? present->owned : facts.create_in_database;
  if (may_publish && (all_owned || !gap.needs_table_owner) && !gap.needs_new_publication) return;
  std::string what;
  for (const std::string& difference : gap.differences) what += (what.empty() ? "" : "; ") + difference;
  std::string as = present ? present->owner : words(owners);
  if (!present && owners.size() > 1) as = "a role with the rights of " + as;
  std::string mend = "as " + as + (present ? "" : " (with CREATE on database " + facts.database + ")") + ":";
  for (const std::string& sql : gap.sql) mend += " " + sql;
  preflight.add(preflight.source(), what + ", and " + facts.role + " may not change that", mend);
}

void check_foreign_keys(Preflight& preflight, PgConnection& source) {
  std::set<TableName> copied;
  for (const SourceTable& table : preflight.tables) copied.insert(table.name);
  for (const ForeignKey& key : read_foreign_keys(source)) {
    if (!copied.contains(key.child) || copied.contains(key.parent)) continue;
    preflight.add(preflight.source(),
                  "the foreign key " + key.name + " of " + to_string(key.child) + " refers to " +
                      to_string(key.parent) + ", which is not selected and stays empty on " + preflight.target() +
                      ", so it cannot be made there",
                  "select that table too; or make the tables on " + preflight.target() +
                      " yourself, without that key, and set copy.schema: "
                      "false");
  }
}

bool schema_ahead(const Preflight& preflight, const std::vector<TargetRelation>& targets) {
  if (preflight.mode == PreflightMode::kJoin || !preflight.copy_ahead() || !preflight.config.copy.schema) return false;
  for (const TargetRelation& target : targets) {
    if (!target.exists) return true;
  }
  return false;
}

}  // namespace teal
