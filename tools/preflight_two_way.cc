// What a migration asks of its tables when rows go both ways: each row is known on both sides by the same key, and what
// decides between two versions of it has to be there.
#include <algorithm>
#include <set>

#include "engine/catalog_columns.h"
#include "tools/key_types.h"
#include "tools/preflight_checks.h"
#include "tools/table_list.h"

namespace teal {
namespace {

using Names = std::vector<std::string>;

std::string alter(const TableName& table, const std::string& what) {
  return "ALTER TABLE " + quote_qualified(table.schema, table.name) + " " + what + ";";
}

const SourceTable* find_table(const std::vector<SourceTable>& tables, const TableName& name) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const SourceTable& t) { return t.name == name; });
  return found == tables.end() ? nullptr : &*found;
}

const CatalogColumn* find_column(const SourceTable& table, const std::string& name) {
  const auto found =
      std::find_if(table.columns.begin(), table.columns.end(), [&](const CatalogColumn& c) { return c.name == name; });
  return found == table.columns.end() ? nullptr : &*found;
}

std::string list(const Names& names, std::string (*spell)(std::string_view)) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + spell(name);
  return out;
}

std::string plain(std::string_view name) { return std::string(name); }

std::string key_in_words(const SourceTable& table) {
  return table.identity_columns.empty() ? "no key" : "the key (" + list(table.identity_columns, plain) + ")";
}

bool have_same_key(const SourceTable& one, const SourceTable& other) {
  return std::is_permutation(one.identity_columns.begin(), one.identity_columns.end(), other.identity_columns.begin(),
                             other.identity_columns.end());
}

// The statements after which `table` is known by `key`, of the indexes that it has or a new one.
std::string make_key(const SourceTable& table, const std::vector<UniqueIndex>& indexes, const Names& key) {
  const std::string columns = list(key, quote_identifier);
  const bool by_default = table.replica_identity == ReplicaIdentity::kDefault;
  const std::string identity_default = by_default ? "" : " " + alter(table.name, "REPLICA IDENTITY DEFAULT");
  const auto primary = std::find_if(indexes.begin(), indexes.end(), [](const UniqueIndex& x) { return x.primary; });
  if (primary == indexes.end()) return alter(table.name, "ADD PRIMARY KEY (" + columns + ")") + identity_default;
  if (primary->covers_exactly(key) && primary->finds_one_row()) return alter(table.name, "REPLICA IDENTITY DEFAULT");
  std::string sql;
  for (const std::string& name : key) {
    const CatalogColumn* column = find_column(table, name);
    if (column != nullptr && !column->not_null) {
      sql += alter(table.name, "ALTER COLUMN " + quote_identifier(name) + " SET NOT NULL") + " ";
    }
  }
  const auto other = std::find_if(indexes.begin(), indexes.end(), [&](const UniqueIndex& x) {
    return !x.primary && x.covers_exactly(key) && x.finds_one_row();
  });
  std::string index = table.name.name + "_teal_key";
  if (other != indexes.end()) {
    index = other->name;
  } else {
    sql += alter(table.name, "ADD CONSTRAINT " + quote_identifier(index) + " UNIQUE (" + columns + ")") + " ";
  }
  return sql + alter(table.name, "REPLICA IDENTITY USING INDEX " + quote_identifier(index));
}

// With FULL a row is known by the primary key, whatever index the other side has as its replica identity.
bool is_full_beside_index(const SourceTable& one, const SourceTable& other) {
  return one.replica_identity == ReplicaIdentity::kFull && other.replica_identity == ReplicaIdentity::kIndex;
}

void check_key(Preflight& forward, const SourceTable& blue, const SourceTable& there, PgConnection& green) {
  const std::string name = to_string(blue.name);
  if (!have_same_key(blue, there)) {
    auto indexes = read_unique_indexes(green, {there.oid});
    forward.add("green",
                name + " has " + key_in_words(blue) + " on blue and " + key_in_words(there) +
                    " on green, so its rows could not be known on both sides",
                make_key(there, indexes[there.oid], blue.identity_columns));
  } else if (is_full_beside_index(blue, there)) {
    forward.add("green", name + " has REPLICA IDENTITY FULL on blue and an index on green",
                alter(there.name, "REPLICA IDENTITY FULL"));
  } else if (is_full_beside_index(there, blue)) {
    forward.add("blue", name + " has REPLICA IDENTITY FULL on green and an index on blue",
                alter(blue.name, "REPLICA IDENTITY FULL"));
  } else {
    return;
  }
  forward.found.keys.insert(blue.name);
}

// One finding for each key column of `table` whose equal values may look different.
void check_key_types(Preflight& forward, const std::string& side, const SourceTable& table, const TypesByOid& types,
                     std::set<TableName>& told) {
  if (!table.refusal.empty() || forward.found.keys.contains(table.name) || told.contains(table.name)) return;
  for (const std::string& name : table.identity_columns) {
    const CatalogColumn* column = find_column(table, name);
    const std::string why = column == nullptr ? "" : why_keys_differ(*column, types);
    if (why.empty()) continue;
    told.insert(table.name);
    forward.add(
        side,
        to_string(table.name) + "." + name + ", by which rows are to be known on both sides, is " + why +
            ": two keys that are equal could look different",
        "give the table a key of other columns on both sides (a unique index and REPLICA IDENTITY USING INDEX), "
        "give the column a type such as text or bigint there, or add the table to tables.exclude");
  }
}

// `other`: the table on the other side, if it is there; a column that one side lacks is found with the columns.
void check_version_column(Preflight& forward, const std::string& side, const SourceTable& table,
                          const SourceTable* other, const TypesByOid& types) {
  const std::string name = forward.config.conflicts.version_column_of(table.name);
  if (name.empty() || !table.refusal.empty()) return;
  const std::string full = to_string(table.name) + "." + name;
  const std::string quoted = quote_identifier(name);
  const CatalogColumn* column = find_column(table, name);
  if (column == nullptr) {
    if (side == "green" || (other != nullptr && find_column(*other, name) != nullptr)) return;
    forward.add("blue", "there is no column " + full + ", the version column that the configuration names",
                "on both sides: " + alter(table.name, "ADD COLUMN " + quoted + " bigint NOT NULL DEFAULT 0"));
  } else if (column->generated) {
    forward.add(side, full + " is generated, so it is not sent and cannot be the version column",
                side == "green" || column->computed_on_read
                    ? "name another version_column in conflicts.tables"
                    : "on both sides: " + alter(table.name, "ALTER COLUMN " + quoted + " DROP EXPRESSION"));
  } else if (!is_integer(column->type_oid, types)) {
    forward.add(side, full + " is " + column->type + ", and a version column has to be smallint, integer or bigint",
                alter(table.name, "ALTER COLUMN " + quoted + " TYPE bigint") +
                    " or name another version_column in conflicts.tables");
  } else if (!column->not_null) {
    forward.report.notes.push_back("on " + side + ", the version column " + full +
                                   " may be NULL, which counts as lower than every number; to rule that out: " +
                                   alter(table.name, "ALTER COLUMN " + quoted + " SET NOT NULL"));
  }
}

// Tables with rows whose UPDATE leaves values out that are stored apart.
std::string set_full(const Preflight& preflight) {
  std::string sql;
  for (const std::vector<SourceTable>* tables : {&preflight.tables, &preflight.parts}) {
    for (const SourceTable& table : *tables) {
      const bool leaves_out = std::any_of(table.columns.begin(), table.columns.end(),
                                          [](const CatalogColumn& c) { return c.toastable && !c.generated; });
      if (!leaves_out || table.partitioned || !table.refusal.empty()) continue;
      if (table.replica_identity == ReplicaIdentity::kFull) continue;
      sql += (sql.empty() ? "" : " ") + alter(table.name, "REPLICA IDENTITY FULL");
    }
  }
  return sql;
}

void note_whole_rows(Preflight& forward, const Preflight& back) {
  const std::string on_blue = set_full(forward);
  const std::string on_green = set_full(back);
  std::string sql = "on both sides: " + on_blue;
  if (on_blue != on_green) {
    sql = (on_blue.empty() ? "" : "on blue: " + on_blue) + (on_blue.empty() || on_green.empty() ? "" : " ") +
          (on_green.empty() ? "" : "on green: " + on_green);
  }
  if (on_blue.empty() && on_green.empty()) return;
  forward.report.notes.push_back(
      "an UPDATE leaves large values out that it does not change (TOAST), and one that wins against another version of "
      "its row has to bring the whole row: teal reads it from that side then, which costs time; to have it sent, " +
      sql);
}

}  // namespace

void check_keys(Preflight& forward, const Preflight& back, PgConnection& green) {
  for (const SourceTable& table : forward.tables) {
    if (table.whole_rows && table.refusal.empty()) {
      forward.found.keys.insert(table.name);
      forward.add(
          "blue", to_string(table.name) + " has no key by which its rows are known on both sides (direction: both)",
          "on both sides: " + alter(table.name, "ADD PRIMARY KEY (...)") + " or add the table to tables.exclude");
      continue;
    }
    const SourceTable* there = find_table(back.tables, table.name);
    if (there != nullptr && table.refusal.empty()) check_key(forward, table, *there, green);
  }
}

void check_row_identities(Preflight& forward, const Preflight& back, const SelectedTypes& blue_types,
                          const SelectedTypes& green_types) {
  std::set<TableName> told;
  for (const SourceTable& table : forward.tables) {
    check_key_types(forward, "blue", table, blue_types.types(), told);
    check_version_column(forward, "blue", table, find_table(back.tables, table.name), blue_types.types());
  }
  for (const SourceTable& table : back.tables) {
    check_key_types(forward, "green", table, green_types.types(), told);
    check_version_column(forward, "green", table, find_table(forward.tables, table.name), green_types.types());
  }
}

void note_two_way_tables(Preflight& forward, const Preflight& back) { note_whole_rows(forward, back); }

void check_conflict_patterns(const Preflight& forward) {
  TableSelection patterns;
  for (const TableConflicts& rule : forward.config.conflicts.tables) patterns.include.push_back(rule.tables);
  std::vector<TableName> tables;
  tables.reserve(forward.tables.size());
  for (const SourceTable& table : forward.tables) tables.push_back(table.name);
  check_each_pattern_matches(patterns, tables, "that is selected");
}

void note_commit_timestamps(Preflight& preflight, PgConnection& connection) {
  const Rows rows = connection.exec("read track_commit_timestamp", "SELECT current_setting('track_commit_timestamp')");
  if (rows.at(0, 0) == "on") return;
  preflight.report.notes.push_back("on " + connection.label() +
                                   ", track_commit_timestamp is off: teal takes times and origins of commits from the "
                                   "streams and does not need it; a look at one row's, in SQL, does");
}

}  // namespace teal
