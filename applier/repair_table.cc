// The applier's own loader begins with what a stream announced, and with teal.table_state, which a repair does without.
#include "applier/repair_table.h"

#include <algorithm>
#include <functional>

#include "engine/catalog_columns.h"

namespace teal {
namespace {

std::string quoted(const TableName& table) { return quote_qualified(table.schema, table.name); }

std::string from_sql(const RepairSide& side) { return (side.partitioned ? "" : "ONLY ") + quoted(side.name) + " AS t"; }

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

MappedColumn mapped(const CatalogColumn& column) {
  MappedColumn result;
  result.name = quote_identifier(column.name);
  result.type = column.cast_type;
  result.full_type = column.type;
  result.text_cast = column.text_cast;
  result.settable = column.identity != 'a';
  return result;
}

void set_key(TargetTable& table, const UniqueIndex& index) {
  for (std::size_t i = 0; i < index.columns.size(); ++i) {
    const std::string name = quote_identifier(index.columns[i]);
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (table.columns[c].name != name) continue;
      table.columns[c].key = true;
      table.columns[c].equality = index.equality[i];
      table.key.push_back(static_cast<std::uint16_t>(c));
    }
  }
  std::sort(table.key.begin(), table.key.end());
}

// Of a RowKey's columns; what it hashes is only compared with itself here.
KeyShape key_shape(const TargetTable& table, const std::vector<CatalogColumn>& catalog) {
  Relation key;
  key.schema = table.target.schema;
  key.name = table.target.name;
  std::vector<std::string> names;
  for (const std::uint16_t ordinal : table.key) {
    const auto found = std::find_if(catalog.begin(), catalog.end(), [&](const CatalogColumn& column) {
      return quote_identifier(column.name) == table.columns[ordinal].name;
    });
    Column column;
    column.name = found->name;
    column.type = TypeId{found->type_oid};
    column.type_modifier = found->type_modifier;
    column.identity = true;
    names.push_back(column.name);
    key.columns.push_back(std::move(column));
  }
  return make_key_shape(key, table.target.schema, table.target.name, names);
}

TargetTable start_table(const RepairScope& scope) {
  TargetTable table = new_target_table(to_string(scope.wrong.name));
  table.target = scope.wrong.name;
  table.target_id = std::hash<std::string>()(to_string(scope.wrong.name));
  table.sql_name = quoted(scope.wrong.name);
  table.partitioned = scope.wrong.partitioned;
  table.whole_rows = scope.key.empty();
  return table;
}

// What the server computes, nobody writes; what stands in other columns stays.
void map_columns(RepairTable& table, const RepairScope& scope, const std::vector<CatalogColumn>& catalog) {
  table.compared = start_table(scope);
  std::vector<MappedColumn> own;
  for (const CatalogColumn& column : catalog) {
    if (column.generated) continue;
    MappedColumn one = mapped(column);
    if (std::find(scope.columns.begin(), scope.columns.end(), one.name) != scope.columns.end()) {
      table.compared.columns.push_back(std::move(one));
    } else {
      table.own.push_back(one.name);
      own.push_back(std::move(one));
    }
  }
  table.whole = start_table(scope);
  table.whole.columns = table.compared.columns;
  table.whole.columns.insert(table.whole.columns.end(), own.begin(), own.end());
}

void find_key(RepairTable& table, PgConnection& wrong, const RepairScope& scope, std::uint32_t oid,
              const std::vector<CatalogColumn>& catalog) {
  if (scope.key.empty()) {
    for (TargetTable* one : {&table.compared, &table.whole}) {
      for (std::size_t i = 0; i < one->columns.size(); ++i) one->key.push_back(static_cast<std::uint16_t>(i));
    }
    table.compared.row_key = key_shape(table.compared, catalog);
    return;
  }
  const std::vector<UniqueIndex> indexes = read_unique_indexes(wrong, {oid})[oid];
  const auto found = std::find_if(indexes.begin(), indexes.end(), [&](const UniqueIndex& index) {
    return index.finds_one_row() && index.covers_exactly(scope.key);
  });
  if (found == indexes.end()) {
    table.obstacles.push_back("it has no unique index on exactly (" + joined(scope.key) + ") on " + wrong.label() +
                              "; create one there");
    return;
  }
  set_key(table.compared, *found);
  set_key(table.whole, *found);
  if (table.compared.key.size() != scope.key.size()) {
    table.obstacles.push_back("a column of its key is generated on " + wrong.label());
    return;
  }
  table.compared.row_key = key_shape(table.compared, catalog);
}

void check_rights(RepairTable& table, PgConnection& wrong, const RepairScope& scope) {
  const Rows rows = wrong.exec(
      "read the rights on " + to_string(scope.wrong.name) + " on " + wrong.label(),
      "SELECT string_agg(r, ', ' ORDER BY r), quote_ident(current_user) FROM unnest(ARRAY['DELETE', 'INSERT', "
      "'UPDATE']) AS r WHERE NOT has_table_privilege($1, r)",
      {quoted(scope.wrong.name)});
  if (rows.is_null(0, 0)) return;
  table.obstacles.push_back("teal's role may not " + rows.str(0, 0) + " there; GRANT " + rows.str(0, 0) + " ON " +
                            quoted(scope.wrong.name) + " TO " + rows.str(0, 1) + "; on " + wrong.label());
}

}  // namespace

RepairTable load_repair_table(PgConnection& right, PgConnection& wrong, const RepairScope& scope) {
  RepairTable table;
  table.right = from_sql(scope.right);
  table.wrong = from_sql(scope.wrong);
  const Rows found = wrong.exec("find " + to_string(scope.wrong.name) + " on " + wrong.label(),
                                "SELECT to_regclass($1)::oid", {quoted(scope.wrong.name)});
  if (found.is_null(0, 0)) {
    table.obstacles.push_back("it is not on " + wrong.label() + " any more");
    return table;
  }
  const auto oid = static_cast<std::uint32_t>(found.integer(0, 0));
  const std::vector<CatalogColumn> catalog = read_columns(wrong, {oid})[oid];
  map_columns(table, scope, catalog);
  find_key(table, wrong, scope, oid, catalog);
  check_rights(table, wrong, scope);
  table.may_lock_right =
      right
          .exec("read the rights on " + to_string(scope.right.name) + " on " + right.label(),
                "SELECT coalesce(has_table_privilege($1, 'UPDATE'), false)", {quoted(scope.right.name)})
          .boolean(0, 0);
  return table;
}

}  // namespace teal
