#include "verifier/compared_table.h"

#include <algorithm>
#include <map>
#include <set>

#include "engine/catalog.h"

namespace teal {
namespace {

constexpr std::uint64_t kBytesOfARow = 100;  // a guess, where a table was never analyzed
// Of rows that are longer values are compressed or kept apart (TOAST begins at 2,000 bytes).
constexpr std::uint64_t kBytesOfALongRow = 1'000;

std::string spelled(const TableName& table) { return quote_qualified(table.schema, table.name); }

const std::set<std::string> kIntegers = {"smallint", "integer", "bigint"};
const std::set<std::string> kTexts = {"text", "character varying"};

// Types whose values have the same text when they are the same: changing from one to the other is a common migration.
bool have_one_text(const std::string& a, const std::string& b) {
  return a == b || (kIntegers.contains(a) && kIntegers.contains(b)) || (kTexts.contains(a) && kTexts.contains(b));
}

void compare_columns(ComparedTable& table, const SourceTable& blue, const TargetRelation& green) {
  std::map<std::string, const CatalogColumn*> there;
  for (const CatalogColumn& column : green.columns) there[column.name] = &column;
  for (const CatalogColumn& column : blue.columns) {
    const auto found = there.find(column.name);
    if (found == there.end()) {
      table.obstacles.push_back("column " + column.name + " is not on green");
      continue;
    }
    const CatalogColumn& other = *found->second;
    there.erase(found);
    if (!have_one_text(column.base_type, other.base_type)) {
      table.obstacles.push_back("column " + column.name + " cannot be compared: it is " + column.type +
                                " on blue and " + other.type + " on green");
      table.left_out.push_back(table.obstacles.back());
    } else if (!column.computed_on_read && !other.computed_on_read) {
      table.columns.push_back(quote_identifier(column.name));
      table.values.emplace_back(column.base_type == other.base_type ? column.base_type : "");
    }
  }
  for (const auto& [name, column] : there) table.obstacles.push_back("column " + name + " is not on blue");
}

// Also a value that only the other side's column can hold has to be looked for as it is.
std::string wide_type(const CatalogColumn& blue, const CatalogColumn& green) {
  if (blue.base_type == green.base_type) return blue.cast_type;
  return kIntegers.contains(blue.base_type) ? "bigint" : "text";
}

void add_key(ComparedTable& table, const SourceTable& blue, const TargetRelation& green) {
  if (blue.whole_rows) return;
  for (const std::string& name : blue.identity_columns) {
    const std::string quoted = quote_identifier(name);
    const auto column = std::find_if(blue.columns.begin(), blue.columns.end(),
                                     [&](const CatalogColumn& one) { return one.name == name; });
    if (column == blue.columns.end() ||
        std::find(table.columns.begin(), table.columns.end(), quoted) == table.columns.end()) {
      table.key.clear();  // cannot be compared, so nothing can be found by it
      return;
    }
    const auto other = std::find_if(green.columns.begin(), green.columns.end(),
                                    [&](const CatalogColumn& one) { return one.name == name; });
    table.key.push_back({name, wide_type(*column, *other), KeyOrder::kNatural, !other->not_null});
  }
}

// What is missing, as a statement without the role, whose name its administrator knows.
std::string may_not_read(const TableName& table, const std::string& side, bool may_use_schema) {
  return "teal's role may not read it on " + side + ": GRANT " +
         (may_use_schema ? "SELECT ON " + spelled(table) : "USAGE ON SCHEMA " + quote_identifier(table.schema)) +
         " is missing";
}

void look_at_blue(ComparedTable& table, const SourceTable& blue) {
  if (blue.row_security) table.obstacles.push_back("row security on blue would hide rows from teal's role");
  if (!blue.may_select || !blue.may_use_schema) {
    table.obstacles.push_back(may_not_read(blue.name, "blue", blue.may_use_schema));
  }
  table.readable = table.readable && !blue.row_security && blue.may_select && blue.may_use_schema;
}

void look_at_green(ComparedTable& table, const TargetRelation& green) {
  if (!green.exists) {
    table.obstacles.push_back(green.is_other ? "it is no table on green" : "it is not on green");
    table.readable = false;
    return;
  }
  const bool may_select =
      std::find(green.missing_rights.begin(), green.missing_rights.end(), "SELECT") == green.missing_rights.end();
  if (green.row_security) table.obstacles.push_back("row security on green would hide rows from teal's role");
  if (!may_select || !green.may_use_schema) {
    table.obstacles.push_back(may_not_read(table.green.name, "green", green.may_use_schema));
  }
  table.readable = table.readable && !green.row_security && may_select && green.may_use_schema;
}

// Of a partitioned table the sum of its partitions'. What was never analyzed is guessed by its size, which waits for
// whoever has locked it; of the others nothing is asked that does.
void read_estimates(PgConnection& blue, std::vector<ComparedTable>& tables) {
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (const ComparedTable& table : tables) names.push_back(spelled(table.blue.name));
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + quote_literal(name);
  if (list.empty()) return;
  const Rows rows = blue.exec(
      "estimate the tables' rows",
      "SELECT w.i, coalesce(sum(CASE WHEN c.reltuples > 0 THEN c.reltuples ELSE pg_relation_size(c.oid) / " +
          std::to_string(kBytesOfARow) +
          " END), 0)::bigint, coalesce(sum((c.relpages + coalesce(t.relpages, 0))::bigint), 0)::bigint * "
          "current_setting('block_size')::bigint FROM unnest(ARRAY[" +
          list +
          "]::text[]) WITH ORDINALITY AS w (name, i) CROSS JOIN LATERAL (SELECT w.name::regclass AS oid UNION SELECT "
          "relid FROM pg_partition_tree(w.name::regclass)) AS part JOIN pg_class c ON c.oid = part.oid AND c.relkind = "
          "'r' LEFT JOIN pg_class t ON t.oid = c.reltoastrelid GROUP BY 1");
  for (int i = 0; i < rows.size(); ++i) {
    ComparedTable& table = tables[static_cast<std::size_t>(rows.integer(i, 0)) - 1];
    table.rows = static_cast<std::uint64_t>(rows.integer(i, 1));
    table.long_rows = static_cast<std::uint64_t>(rows.integer(i, 2)) > table.rows * kBytesOfALongRow;
  }
}

// Of one side: whether the key's columns are of built-in types, have a collation, and that is by bytes.
struct KeyFacts {
  bool built_in = false;
  bool collated = false;
  bool by_bytes = false;
};

std::map<std::string, KeyFacts> read_key_facts(PgConnection& connection, const TableName& table) {
  const Rows rows = connection.exec(
      "look at the key of " + to_string(table) + " on " + connection.label(),
      "SELECT a.attname, t.typtype = 'b' AND n.nspname = 'pg_catalog', a.attcollation <> 0, coalesce(CASE WHEN "
      "l.collname = 'default' THEN d.datcollate IN ('C', 'POSIX') AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') "
      "= "
      "'c' ELSE l.collcollate IN ('C', 'POSIX') END, false) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
      "JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_database d ON d.datname = current_database() LEFT JOIN "
      "pg_collation l ON l.oid = a.attcollation WHERE a.attrelid = " +
          quote_literal(spelled(table)) + "::regclass AND a.attnum > 0 AND NOT a.attisdropped");
  std::map<std::string, KeyFacts> facts;
  for (int i = 0; i < rows.size(); ++i) {
    facts[rows.str(i, 0)] = {rows.boolean(i, 1), rows.boolean(i, 2), rows.boolean(i, 3)};
  }
  return facts;
}

// The first column alone decides how much an index can leave out.
void read_orders(PgConnection& blue, PgConnection& green, ComparedTable& table) {
  if (table.key.empty()) return;
  auto here = read_key_facts(blue, table.blue.name);
  auto there = read_key_facts(green, table.green.name);
  for (ComparedKey& key : table.key) {
    const KeyFacts& one = here[key.name];
    const KeyFacts& other = there[key.name];
    if (!one.built_in || !other.built_in) {
      key.order = KeyOrder::kText;
    } else if (one.collated || other.collated) {
      key.order = KeyOrder::kBytes;
    }
  }
  const std::string& first = table.key.front().name;
  table.ranged = table.key.front().order == KeyOrder::kNatural ||
                 (table.key.front().order == KeyOrder::kBytes && here[first].by_bytes && there[first].by_bytes);
}

void add_tables_of_green_alone(PgConnection& green, const TableSelection& selection,
                               std::vector<ComparedTable>& tables) {
  std::set<TableName> known;
  for (const ComparedTable& table : tables) known.insert(table.green.name);
  for (const SourceTable& table : read_selected(green, selection).tables) {
    if (known.contains(table.name)) continue;
    ComparedTable& alone = tables.emplace_back();
    alone.blue.name = alone.green.name = table.name;
    alone.obstacles.emplace_back("it is not on blue");
    alone.readable = false;
  }
}

}  // namespace

std::vector<ComparedTable> read_compared_tables(PgConnection& blue, PgConnection& green,
                                                const TableSelection& selection) {
  const SourceCatalog catalog = read_source_catalog(blue, selection);
  const std::vector<TargetRelation> relations = find_target_relations(green, catalog.tables);
  std::vector<ComparedTable> tables;
  for (std::size_t i = 0; i < catalog.tables.size(); ++i) {
    const SourceTable& source = catalog.tables[i];
    ComparedTable table;
    table.blue = {source.name, source.partitioned};
    table.green = {source.target, relations[i].partitioned};
    look_at_blue(table, source);
    look_at_green(table, relations[i]);
    if (table.readable) {
      compare_columns(table, source, relations[i]);
      add_key(table, source, relations[i]);
      read_orders(blue, green, table);
      table.ranged = table.ranged && relations[i].identity_index;
    }
    tables.push_back(std::move(table));
  }
  read_estimates(blue, tables);
  add_tables_of_green_alone(green, selection, tables);
  return tables;
}

}  // namespace teal
