#include "applier/statement_builder.h"

#include <algorithm>

namespace teal {
namespace {

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

class SqlText {
 public:
  SqlText(const TargetTable& table, const StatementShape& shape) : table_(table), shape_(shape) {}

  std::string build() {
    switch (shape_.kind) {
      case StatementKind::kInsert:
        return insert();
      case StatementKind::kUpdate:
      case StatementKind::kMove:
        return update();
      case StatementKind::kDelete:
        return "DELETE FROM " + target() + " AS t USING " + arrays(table_.key.size()) + where_key();
    }
    return {};
  }

 private:
  std::string target() const { return (table_.partitioned ? "" : "ONLY ") + table_.sql_name; }

  static std::string value(std::size_t parameter, const MappedColumn& column) {
    const std::string text = "s.v" + std::to_string(parameter);
    if (!column.text_cast) return text + "::" + column.type;
    // A cast from text would run instead of the type's input function. There is none from text to its array,
    // whose input function calls that of the element.
    return R"((('{"' || replace(replace()" + text + R"(, '\', '\\'), '"', '\"') || '"}')::)" + column.type + "[])[1]";
  }

  static std::string arrays(std::size_t count) {
    std::string params;
    std::string names;
    for (std::size_t i = 1; i <= count; ++i) {
      const std::string comma = i == 1 ? "" : ", ";
      params += comma + "$" + std::to_string(i);
      names += comma + "v" + std::to_string(i);
    }
    return "unnest(" + params + ") AS s(" + names + ")";
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

  std::string insert() const {
    std::string names;
    std::string values;
    for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
      const MappedColumn& column = table_.columns[shape_.columns[i]];
      const std::string comma = i == 0 ? "" : ", ";
      names += comma + column.name;
      values += comma + value(i + 1, column);
    }
    return "INSERT INTO " + table_.sql_name + " (" + names + ") OVERRIDING SYSTEM VALUE SELECT " + values + " FROM " +
           arrays(shape_.columns.size());
  }

  std::string update() const {
    const std::size_t keys = table_.key.size();
    const std::size_t count = keys + shape_.columns.size();
    std::string from = arrays(count + shape_.guards.size()) + where_key();
    for (std::size_t i = 0; i < shape_.guards.size(); ++i) {
      const MappedColumn& column = table_.columns[shape_.guards[i]];
      from += " AND t." + column.name + " IS NOT DISTINCT FROM " + value(count + i + 1, column);
    }
    if (shape_.columns.empty()) {
      // Nothing to assign (a row that is all key): the row must still be there, and the count proves it.
      return "SELECT 1 FROM " + target() + " AS t, " + from;
    }
    std::string set;
    for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
      const MappedColumn& column = table_.columns[shape_.columns[i]];
      set += (i == 0 ? "" : ", ") + column.name + " = " + value(keys + i + 1, column);
    }
    return "UPDATE " + target() + " AS t SET " + set + " FROM " + from;
  }

  const TargetTable& table_;
  const StatementShape& shape_;
};

}  // namespace

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
  RowGroup inserts{&table, {StatementKind::kInsert, written_columns(table)}, {}, nullptr};
  std::vector<RowGroup> updates;
  std::size_t whole_row = SIZE_MAX;  // the group of updates that bring every column: nearly all of them
  for (const NetRow& row : segment.rows) {
    if (row.op == NetOp::kNone) continue;
    if (row.op == NetOp::kDelete) {
      deletes.rows.push_back(&row);
    } else if (row.op == NetOp::kInsert) {
      inserts.rows.push_back(&row);
    } else if (whole_row != SIZE_MAX && all_present(row)) {
      updates[whole_row].rows.push_back(&row);
    } else {
      RowGroup& group = group_for(updates, segment,
                                  {StatementKind::kUpdate, assigned_columns(table, row, false), guard_columns(table)});
      group.rows.push_back(&row);
      if (all_present(row)) whole_row = static_cast<std::size_t>(&group - updates.data());
    }
  }
  std::vector<RowGroup> groups;
  if (!deletes.rows.empty()) groups.push_back(std::move(deletes));
  for (RowGroup& group : updates) groups.push_back(std::move(group));
  if (!inserts.rows.empty()) groups.push_back(std::move(inserts));
  return groups;
}

std::string build_statement(const TargetTable& table, const StatementShape& shape) {
  return SqlText(table, shape).build();
}

}  // namespace teal
