#include "applier/statement_builder.h"

#include <algorithm>

#include "applier/array_param.h"
#include "applier/copy_rows.h"
#include "engine/binary_types.h"

namespace teal {
namespace {

constexpr std::size_t kAloneMost = 3;
constexpr std::size_t kStatementBytes = 256U << 10U;

// What an INSERT may name.
std::vector<std::uint16_t> written_columns(const TargetTable& table) {
  std::vector<std::uint16_t> columns;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].written) columns.push_back(static_cast<std::uint16_t>(i));
  }
  return columns;
}

// What an UPDATE may assign: never the key it is found by, never a column whose value was not sent.
std::vector<std::uint16_t> assigned_columns(const TargetTable& table, const NetRow& row, bool with_key) {
  std::vector<std::uint16_t> columns;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (!table.columns[i].settable || (table.columns[i].key && !with_key)) continue;
    if (row.values[i].kind != ColumnKind::kUnchangedToast) {
      columns.push_back(static_cast<std::uint16_t>(i));
    }
  }
  return columns;
}

std::vector<std::uint16_t> guard_columns(const TargetTable& table) {
  std::vector<std::uint16_t> columns;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const MappedColumn& column = table.columns[i];
    if (column.written && !column.settable && !column.key) columns.push_back(static_cast<std::uint16_t>(i));
  }
  return columns;
}

bool as_records(const TargetTable& table, std::size_t columns) {
  return table.row_type.type != 0 && !table.whole_rows && columns >= kRowTypeColumns;
}

// Few shapes occur per segment: a linear search beats hashing column lists.
RowGroup& group_for(std::vector<RowGroup>& groups, const Segment& segment, StatementShape shape) {
  for (RowGroup& group : groups) {
    if (group.shape == shape) return group;
  }
  groups.push_back(RowGroup{segment.table, std::move(shape), {}, nullptr});
  return groups.back();
}

bool all_present(const NetRow& row) {
  return std::none_of(row.values.begin(), row.values.end(),
                      [](const ColumnValue& value) { return value.kind == ColumnKind::kUnchangedToast; });
}

void split_alone(std::vector<RowGroup>& split, const RowGroup& group) {
  StatementShape shape = group.shape;
  shape.records = false;
  shape.alone = true;
  for (const NetRow* row : group.rows) split.push_back(RowGroup{group.table, shape, {row}, group.move_from});
}

std::size_t bytes_of(const NetRow& row) {
  std::size_t bytes = 0;
  for (const ColumnValue& value : row.values) bytes += value.size;
  return bytes;
}

void split_by_bytes(std::vector<RowGroup>& split, const RowGroup& group) {
  std::size_t bytes = kStatementBytes;  // so that the first row begins a statement
  for (const NetRow* row : group.rows) {
    if (bytes >= kStatementBytes) {
      split.push_back(RowGroup{group.table, group.shape, {}, group.move_from});
      bytes = 0;
    }
    split.back().rows.push_back(row);
    bytes += bytes_of(*row);
  }
}

class SqlText {
 public:
  SqlText(const TargetTable& table, const StatementShape& shape)
      : table_(table), shape_(shape), sent_(sent_columns(table, shape)) {}

  std::string build() {
    switch (shape_.kind) {
      case StatementKind::kInsert:
        return insert();
      case StatementKind::kUpdate:
      case StatementKind::kMove:
        return update();
      case StatementKind::kPut:
        return put();
      case StatementKind::kDelete:
      case StatementKind::kRemove:
        if (table_.whole_rows) return whole_row_delete();
        return "DELETE FROM " + target() + " AS t USING " + arrays(table_.key.size()) + where_key();
    }
    return {};
  }

  std::string where_key() const {
    std::string text = " WHERE ";
    for (std::size_t i = 0; i < table_.key.size(); ++i) {
      const MappedColumn& column = table_.columns[table_.key[i]];
      if (i > 0) text += " AND ";
      text += "t." + column.name + " " + column.equality + " " + value(i + 1, column);
    }
    return text;
  }

 private:
  std::string target() const { return (table_.partitioned ? "" : "ONLY ") + table_.sql_name; }

  std::string value(std::size_t parameter, const MappedColumn& column) const {
    return value(parameter, column, column.type);
  }

  std::string value(std::size_t parameter, const MappedColumn& column, const std::string& type) const {
    const std::string text =
        shape_.records ? "s.c" + std::to_string(sent_[parameter - 1]) : "s.v" + std::to_string(parameter);
    if (column.binary || !column.text_cast) return text + "::" + type;
    // A cast from text would run instead of the type's input function. There is none from text to its array,
    // whose input function calls that of the element.
    return R"((('{"' || replace(replace()" + text + R"(, '\', '\\'), '"', '\"') || '"}')::)" + type + "[])[1]";
  }

  std::string arrays(std::size_t count) const {
    std::string params;
    std::string names;
    if (shape_.alone) {
      for (std::size_t i = 1; i <= count; ++i) {
        params += (i == 1 ? "$" : ", $") + std::to_string(i) + " AS v" + std::to_string(i);
      }
      return "(SELECT " + params + ") AS s";
    }
    if (shape_.records) {
      for (std::size_t i = 0; i < table_.columns.size(); ++i) names += (i == 0 ? "c" : ", c") + std::to_string(i);
      return "unnest($1) AS s(" + names + ")";
    }
    for (std::size_t i = 1; i <= count; ++i) {
      const std::string comma = i == 1 ? "" : ", ";
      params += comma + "$" + std::to_string(i);
      names += comma + "v" + std::to_string(i);
    }
    if (count == 0) return "unnest($1) AS s(v1)";  // a table without columns: only the number of rows counts
    return "unnest(" + params + ") AS s(" + names + ")";
  }

  // A row as text that tells every value from every other, also where a type has no `=`, or one that takes different
  // values for equal (box, interval, 1.0 and 1.00): record_out writes what each column's output function gives. The
  // source's values go through the column's type first: both sides are then spelled by the same server.
  static std::string image(const std::string& columns) { return "ROW(" + columns + ")::text COLLATE \"C\""; }

  // The n-th of equal rows that are sent takes the n-th of equal rows that are there.
  std::string whole_row_matches(std::size_t count) const {
    std::string sent;
    std::string there;
    for (std::size_t i = 0; i < table_.key.size(); ++i) {
      const MappedColumn& column = table_.columns[table_.key[i]];
      const std::string comma = i == 0 ? "" : ", ";
      sent += comma + value(i + 1, column, column.full_type);
      there += comma + "t." + column.name;
    }
    return "WITH sent AS MATERIALIZED (SELECT s.*, " + image(sent) + " AS image FROM " + arrays(count) +
           "), wanted AS (SELECT *, row_number() OVER (PARTITION BY image) AS copy FROM sent), " +
           "found AS (SELECT t.tableoid AS relation, t.ctid AS place, " + image(there) + " AS image FROM " + target() +
           " AS t WHERE " + image(there) + " IN (SELECT image FROM sent)), " +
           "numbered AS (SELECT *, row_number() OVER (PARTITION BY image ORDER BY relation, place) AS copy FROM "
           "found) ";
  }

  static std::string where_matched() {
    return "numbered AS f JOIN wanted AS s USING (image, copy) WHERE t.ctid = f.place AND t.tableoid = f.relation";
  }

  std::string whole_row_delete() const {
    return whole_row_matches(table_.key.size()) + "DELETE FROM " + target() + " AS t USING " + where_matched();
  }

  std::string insert() const {
    std::string names;
    std::string values;
    for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
      const MappedColumn& column = table_.columns[shape_.columns[i]];
      const std::string comma = i == 0 ? "" : ", ";
      names += comma + column.name;
      values += comma + value(i + 1, column);
    }
    const std::string list = names.empty() ? "" : " (" + names + ")";
    if (shape_.copy) return "COPY " + table_.sql_name + list + " FROM STDIN (FORMAT binary)";
    return "INSERT INTO " + table_.sql_name + list + " OVERRIDING SYSTEM VALUE SELECT " + values + " FROM " +
           arrays(shape_.columns.size());
  }

  std::string put() const {
    std::string key;
    std::string set;
    for (const std::uint16_t ordinal : table_.key) {
      key += (key.empty() ? "" : ", ") + table_.columns[ordinal].name;
    }
    for (const std::uint16_t ordinal : shape_.columns) {
      const MappedColumn& column = table_.columns[ordinal];
      if (column.settable && !column.key) set += (set.empty() ? "" : ", ") + column.name + " = EXCLUDED." + column.name;
    }
    // A row that is all key is set to itself: it is touched either way.
    if (set.empty())
      set = table_.columns[table_.key.front()].name + " = EXCLUDED." + table_.columns[table_.key.front()].name;
    return insert() + " ON CONFLICT (" + key + ") DO UPDATE SET " + set;
  }

  std::string update() const {
    const std::size_t keys = table_.key.size();
    const std::size_t count = keys + shape_.columns.size();
    const std::size_t all = count + shape_.guards.size();
    const std::string prefix = table_.whole_rows ? whole_row_matches(all) : "";
    std::string from = table_.whole_rows ? where_matched() : arrays(all) + where_key();
    for (std::size_t i = 0; i < shape_.guards.size(); ++i) {
      const MappedColumn& column = table_.columns[shape_.guards[i]];
      from += " AND t." + column.name + " IS NOT DISTINCT FROM " + value(count + i + 1, column);
    }
    if (shape_.columns.empty()) {
      // Nothing to assign (a row that is all key): the row must still be there, and the count proves it.
      return prefix + "SELECT 1 FROM " + target() + " AS t, " + from;
    }
    std::string set;
    for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
      const MappedColumn& column = table_.columns[shape_.columns[i]];
      set += (i == 0 ? "" : ", ") + column.name + " = " + value(keys + i + 1, column);
    }
    return prefix + "UPDATE " + target() + " AS t SET " + set + " FROM " + from;
  }

  const TargetTable& table_;
  const StatementShape& shape_;
  const std::vector<std::uint16_t> sent_;
};

}  // namespace

std::vector<std::uint16_t> sent_columns(const TargetTable& table, const StatementShape& shape) {
  std::vector<std::uint16_t> columns;
  if (is_by_key(shape.kind)) columns = table.key;
  columns.insert(columns.end(), shape.columns.begin(), shape.columns.end());
  columns.insert(columns.end(), shape.guards.begin(), shape.guards.end());
  return columns;
}

std::vector<RowGroup> group_rows(const Segment& segment) {
  const TargetTable& table = *segment.table;
  if (segment.move_from) {
    const NetRow& row = segment.rows.front();
    RowGroup group{&table,
                   {StatementKind::kMove, assigned_columns(table, row, true), guard_columns(table)},
                   {&row},
                   &*segment.move_from};
    return {std::move(group)};
  }
  RowGroup deletes{&table, {StatementKind::kDelete, {}}, {}, nullptr};
  const std::vector<std::uint16_t> written = written_columns(table);
  const bool records = as_records(table, written.size());
  RowGroup inserts{&table, {StatementKind::kInsert, written, {}, records}, {}, nullptr};
  RowGroup removals{&table, {StatementKind::kRemove, {}}, {}, nullptr};
  RowGroup puts{&table, {StatementKind::kPut, written, {}, records}, {}, nullptr};
  std::vector<RowGroup> updates;
  std::size_t whole_row = SIZE_MAX;  // the group of updates that bring every column: nearly all of them
  for (const NetRow& row : segment.rows) {
    if (row.op == NetOp::kNone) continue;
    if (row.op == NetOp::kDelete) {
      deletes.rows.push_back(&row);
    } else if (row.op == NetOp::kInsert) {
      inserts.rows.push_back(&row);
    } else if (row.op == NetOp::kRemove) {
      removals.rows.push_back(&row);
    } else if (row.op == NetOp::kPut) {
      puts.rows.push_back(&row);
    } else if (whole_row != SIZE_MAX && all_present(row)) {
      updates[whole_row].rows.push_back(&row);
    } else {
      StatementShape shape{StatementKind::kUpdate, assigned_columns(table, row, false), guard_columns(table)};
      shape.records = as_records(table, sent_columns(table, shape).size());
      RowGroup& group = group_for(updates, segment, std::move(shape));
      group.rows.push_back(&row);
      if (all_present(row)) whole_row = static_cast<std::size_t>(&group - updates.data());
    }
  }
  std::vector<RowGroup> groups;
  if (!deletes.rows.empty()) groups.push_back(std::move(deletes));
  if (!removals.rows.empty()) groups.push_back(std::move(removals));
  for (RowGroup& group : updates) groups.push_back(std::move(group));
  if (!puts.rows.empty()) groups.push_back(std::move(puts));
  if (!inserts.rows.empty()) groups.push_back(std::move(inserts));
  return groups;
}

std::vector<RowGroup> as_statements(std::vector<RowGroup> groups, std::size_t copy_from) {
  std::vector<RowGroup> split;
  split.reserve(groups.size());
  for (RowGroup& group : groups) {
    const TargetTable& table = *group.table;
    if (table.whole_rows || sent_columns(table, group.shape).empty()) {
      split.push_back(std::move(group));
    } else if (group.rows.size() >= copy_from && can_copy(group)) {
      group.shape.records = false;
      group.shape.copy = true;
      split.push_back(std::move(group));
    } else if (group.rows.size() <= kAloneMost) {
      split_alone(split, group);
    } else {
      split_by_bytes(split, group);
    }
  }
  return split;
}

std::string build_statement(const TargetTable& table, const StatementShape& shape) {
  return SqlText(table, shape).build();
}

std::string where_key_matches(const TargetTable& table) { return SqlText(table, {}).where_key(); }

std::vector<Oid> parameter_types(const TargetTable& table, const StatementShape& shape) {
  if (shape.records) return {table.row_type.array};
  std::vector<Oid> types;
  for (const std::uint16_t ordinal : sent_columns(table, shape)) {
    const MappedColumn& column = table.columns[ordinal];
    if (shape.alone) {
      types.push_back(column.binary ? column.element : kTextOid);
      continue;
    }
    types.push_back(column.binary ? binary_array_type(column.element).value_or(0) : kTextArrayOid);
  }
  if (types.empty()) types.push_back(kTextArrayOid);
  return types;
}

}  // namespace teal
