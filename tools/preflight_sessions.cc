// What the target itself does when teal writes there as session_replication_role = replica: triggers and rules that
// fire all the same, and keys that are not checked (TRAPS B9, F5).
#include <set>

#include "engine/catalog_columns.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

// The selected tables on the target as two arrays, for unnest.
struct TableArrays {
  std::string schemas;
  std::string names;
};

TableArrays table_arrays(const Preflight& preflight) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const SourceTable& table : preflight.tables) {
    schemas.push_back(table.name.schema);
    names.push_back(table.name.name);
  }
  return {text_array(schemas), text_array(names)};
}

constexpr const char* kSelected =
    "FROM unnest($1::text[], $2::text[]) AS w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema "
    "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name ";

std::string alter(const TableName& table, const std::string& what) {
  return "ALTER TABLE " + quote_qualified(table.schema, table.name) + " " + what + ";";
}

void note_triggers(Preflight& preflight, PgConnection& target, const TableArrays& tables) {
  const Rows rows = target.exec(
      "look for triggers and rules that fire for teal",
      std::string("SELECT w.schema, w.name, 'trigger', t.tgname, t.tgenabled ") + kSelected +
          "JOIN pg_trigger t ON t.tgrelid = c.oid WHERE t.tgenabled IN ('A', 'R') "
          "UNION ALL SELECT w.schema, w.name, 'rule', r.rulename, r.ev_enabled " +
          kSelected + "JOIN pg_rewrite r ON r.ev_class = c.oid WHERE r.ev_enabled IN ('A', 'R') ORDER BY 1, 2, 3, 4",
      {tables.schemas, tables.names});
  for (int i = 0; i < rows.size(); ++i) {
    const TableName table{rows.str(i, 0), rows.str(i, 1)};
    const std::string kind = rows.str(i, 2);
    const bool always = rows.at(i, 4) == "A";
    preflight.report.notes.push_back("on " + preflight.target() + ", the " + kind + " " + rows.str(i, 3) + " of " +
                                     to_string(table) +
                                     " fires for what teal writes (it is "
                                     "ENABLE " +
                                     (always ? "ALWAYS" : "REPLICA") + "); if it shall not: " +
                                     alter(table, std::string("ENABLE ") + (kind == "rule" ? "RULE " : "TRIGGER ") +
                                                      quote_identifier(rows.str(i, 3))));
  }
}

// They fire for DDL alone, which teal does as anybody would.
void note_event_triggers(Preflight& preflight, PgConnection& target) {
  const Rows rows = target.exec("look for event triggers that fire for teal",
                                "SELECT evtname FROM pg_event_trigger WHERE evtenabled IN ('A', 'O') ORDER BY 1");
  if (rows.empty()) return;
  std::string names;
  std::string disable;
  for (int i = 0; i < rows.size(); ++i) {
    names += (i == 0 ? "" : ", ") + rows.str(i, 0);
    disable +=
        (i == 0 ? "" : " ") + std::string("ALTER EVENT TRIGGER ") + quote_identifier(rows.str(i, 0)) + " DISABLE;";
  }
  preflight.report.notes.push_back("on " + preflight.target() +
                                   ", event triggers fire for what teal makes there (schema teal, and the tables "
                                   "when it makes them): " +
                                   names + "; if they shall not, for that time: " + disable);
}

// Keys between selected tables hold because the source's do.
void note_foreign_keys(Preflight& preflight, PgConnection& target) {
  std::set<TableName> selected;
  for (const SourceTable& table : preflight.tables) selected.insert(table.name);
  for (const ForeignKey& key : read_foreign_keys(target)) {
    if (selected.contains(key.child) == selected.contains(key.parent)) continue;
    preflight.report.notes.push_back("on " + preflight.target() + ", the foreign key " + key.name + " of " +
                                     to_string(key.child) + " to " + to_string(key.parent) +
                                     " is not checked for what teal writes, and " +
                                     to_string(selected.contains(key.child) ? key.parent : key.child) +
                                     " is not carried: rows may come to break it");
  }
}

}  // namespace

void check_target_sessions(Preflight& preflight, PgConnection& target) {
  if (preflight.tables.empty()) return;
  note_triggers(preflight, target, table_arrays(preflight));
  note_event_triggers(preflight, target);
  note_foreign_keys(preflight, target);
}

}  // namespace teal
