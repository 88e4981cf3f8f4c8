// A constant default of ADD COLUMN is kept in the catalogs, not in the rows that are there already, and a volatile one
// rewrites the table: neither is in the log, so green has such values only when its own column came with them.
#include <algorithm>

#include "engine/pg_error.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

constexpr int kRowsLookedAt = 1000;  // the first ones: those that no UPDATE has moved are there

const CatalogColumn* find_column(const std::vector<CatalogColumn>& columns, const std::string& name) {
  const auto found =
      std::find_if(columns.begin(), columns.end(), [&](const CatalogColumn& c) { return c.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

std::string quoted(const TableName& table) { return quote_qualified(table.schema, table.name); }

std::string alter_column(const TableName& table, const std::string& column, const std::string& what) {
  return "ALTER TABLE " + quoted(table) + " ALTER COLUMN " + quote_identifier(column) + " " + what + ";";
}

std::optional<std::string> added_value(const Preflight& preflight, const SourceTable& table,
                                       const CatalogColumn& column) {
  if (!table.partitioned) return column.added_value;
  for (const SourceTable& part : preflight.parts) {
    if (part.target != table.name) continue;
    const CatalogColumn* own = find_column(part.columns, column.name);
    if (own != nullptr && own->added_value) return own->added_value;
  }
  return std::nullopt;
}

// The target has rows of the table that the source does not send again.
bool holds_rows(const Preflight& preflight, const SourceTable& table) {
  return preflight.mode == PreflightMode::kNoCopy || preflight.copied_targets.contains(table.target);
}

// What brings the source's values of the column to rows that are on the target already.
std::string send_values(const Preflight& preflight, const SourceTable& table, const CatalogColumn& column) {
  if (table.whole_rows) return "copy the table again, because its rows are found by all their values";
  const std::string name = quote_identifier(column.name);
  return "on " + preflight.source() + ", as " + table.owner + ": UPDATE " + quoted(table.name) + " SET " + name +
         " = " + name + ";";
}

void compare_definitions(Preflight& preflight, const SourceTable& table, const CatalogColumn& column,
                         const CatalogColumn& there) {
  const std::string full = to_string(table.name) + "." + column.name;
  const auto in_words = [](const std::string& expression) {
    return expression.empty() ? "no default" : "the default " + expression;
  };
  if (column.default_expression != there.default_expression && column.identity == '\0' && there.identity == '\0') {
    preflight.report.notes.push_back(
        full + " has " + in_words(column.default_expression) + " on blue and " + in_words(there.default_expression) +
        " on green; to have the same when the application writes there, once the link has no lag: " +
        alter_column(table.target, column.name,
                     column.default_expression.empty() ? "DROP DEFAULT" : "SET DEFAULT " + column.default_expression));
  }
  if (column.not_null && !there.not_null) {
    preflight.report.notes.push_back(full +
                                     " is NOT NULL on blue and may be NULL on green; once the link has no lag: " +
                                     alter_column(table.target, column.name, "SET NOT NULL"));
  }
}

/// A column whose older rows may read otherwise on green.
struct Suspect {
  const CatalogColumn* column;
  std::string value;                 // that they read on blue
  std::optional<std::string> there;  // that they read on green; none: NULL
};

std::vector<Suspect> find_suspects(const Preflight& preflight, const SourceTable& table, const TargetRelation& target) {
  std::vector<Suspect> suspects;
  for (const CatalogColumn& column : table.columns) {
    const CatalogColumn* there = find_column(target.columns, column.name);
    const std::optional<std::string> value = added_value(preflight, table, column);
    if (!value || column.generated || there == nullptr || there->generated) continue;
    if (there->added_value != value) suspects.push_back({&column, *value, there->added_value});
  }
  return suspects;
}

void report(Preflight& preflight, const SourceTable& table, const Suspect& suspect) {
  const CatalogColumn& column = *suspect.column;
  const std::string full = to_string(table.name) + "." + column.name;
  const std::string was_added =
      full + " was added on blue with the default " + quote_literal(suspect.value) + ", which is not sent";
  if (column.not_null && !suspect.there) {
    const std::string name = quote_identifier(column.name);
    const std::string value = quote_literal(suspect.value);
    preflight.add("green", was_added + ", and has NULLs on green",
                  alter_column(table.target, column.name, "SET DEFAULT " + value) + " UPDATE " + quoted(table.target) +
                      " SET " + name + " = " + value + " WHERE " + name + " IS NULL;");
    return;
  }
  preflight.report.notes.push_back(
      was_added + ", and rows of green have " + (suspect.there ? quote_literal(*suspect.there) : "NULL") +
      " in it; if blue's have not, once the link has no lag: " + send_values(preflight, table, column));
}

// Looks at green's rows, because the catalogs do not tell whether the column or the copy came first.
void look_at_rows(Preflight& preflight, PgConnection& target, const SourceTable& table, const TargetRelation& relation,
                  const std::vector<Suspect>& suspects) {
  std::string conditions;
  std::string columns;
  for (const Suspect& suspect : suspects) {
    const std::string name = quote_identifier(suspect.column->name);
    conditions += (conditions.empty() ? "" : ", ") + std::string("coalesce(bool_or(") + name +
                  (suspect.there ? "::text = " + quote_literal(*suspect.there) : " IS NULL") + "), false)";
    columns += (columns.empty() ? "" : ", ") + name;
  }
  try {
    const Rows rows = target.exec("look at the first rows of " + to_string(relation.name) + " on green",
                                  "SELECT " + conditions + " FROM (SELECT " + columns + " FROM " +
                                      (relation.partitioned ? "" : "ONLY ") + quoted(relation.name) + " LIMIT " +
                                      std::to_string(kRowsLookedAt) + ") AS first");
    for (std::size_t i = 0; i < suspects.size(); ++i) {
      if (rows.boolean(0, static_cast<int>(i))) report(preflight, table, suspects[i]);
    }
  } catch (const PgError& error) {
    if (!target.usable() || error.sqlstate() != "55P03") throw;
    preflight.report.notes.push_back(to_string(relation.name) +
                                     " is locked on green: its rows were not looked at for values of added columns");
  }
}

}  // namespace

std::string column_to_add(Preflight& preflight, const SourceTable& table, const CatalogColumn& column) {
  std::string sql = "ADD COLUMN " + quote_identifier(column.name) + " " + column.type;
  if (const auto value = added_value(preflight, table, column)) {
    return sql + " DEFAULT " + quote_literal(*value) + (column.not_null ? " NOT NULL" : "");
  }
  if (holds_rows(preflight, table) && (column.not_null || column.has_default)) {
    preflight.report.notes.push_back(
        to_string(table.name) + "." + column.name + " may have values on " + preflight.source() +
        ", in rows from before it was added, that were not sent (a volatile default, an identity); if so, once " +
        preflight.target() + " has the column and the link no lag: " + send_values(preflight, table, column));
  }
  return sql;
}

void check_defaults(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& targets) {
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const SourceTable& table = preflight.tables[i];
    const TargetRelation& relation = targets[i];
    if (!table.refusal.empty() || !relation.exists) continue;
    for (const CatalogColumn& column : table.columns) {
      const CatalogColumn* there = find_column(relation.columns, column.name);
      if (column.generated || there == nullptr || there->generated) continue;
      compare_definitions(preflight, table, column, *there);
    }
    const bool readable = relation.may_use_schema && relation.missing_rights.empty() && !relation.row_security;
    if (!readable || !holds_rows(preflight, table)) continue;
    const std::vector<Suspect> suspects = find_suspects(preflight, table, relation);
    if (!suspects.empty()) look_at_rows(preflight, target, table, relation, suspects);
  }
}

}  // namespace teal
