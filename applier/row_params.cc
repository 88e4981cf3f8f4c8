#include "applier/row_params.h"

#include <algorithm>

#include "engine/pg_error.h"

namespace teal {
namespace {

const ColumnValue& value_of(const RowGroup& group, const NetRow& row, std::uint16_t ordinal, std::size_t i,
                            std::size_t keys) {
  const RowKey& key = group.move_from != nullptr ? *group.move_from : row.key;
  return i < keys ? key.columns[i] : row.values[ordinal];
}

}  // namespace

std::span<const BinaryParam> RowParams::fill(const RowGroup& group) {
  params_.clear();
  if (group.shape.alone) {
    fill_values(group);
  } else if (group.shape.records) {
    fill_records(group);
  } else {
    fill_arrays(group);
  }
  return params_;
}

void RowParams::fill_values(const RowGroup& group) {
  const TargetTable& table = *group.table;
  const std::size_t keys = is_by_key(group.shape.kind) ? table.key.size() : 0;
  const std::vector<std::uint16_t> sent = sent_columns(table, group.shape);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const ColumnValue& value = value_of(group, *group.rows.front(), sent[i], i, keys);
    if (value.kind == ColumnKind::kNull) {
      params_.emplace_back();
      continue;
    }
    if (value.kind != (table.columns[sent[i]].binary ? ColumnKind::kBinary : ColumnKind::kText)) {
      throw Stopped(StopCode::kBug, "a column value of another form reached a statement");
    }
    params_.push_back({value.size == 0 ? "" : reinterpret_cast<const char*>(value.data), value.size});
  }
}

// A record has all columns of the table; those that are not sent are NULL, and the statement does not name them.
void RowParams::fill_records(const RowGroup& group) {
  const TargetTable& table = *group.table;
  const bool by_key = is_by_key(group.shape.kind);
  std::vector<bool> sent(table.columns.size());
  for (const std::uint16_t ordinal : sent_columns(table, group.shape)) sent[ordinal] = true;
  const std::size_t bytes = group.rows.size() * (8 + table.columns.size() * 24);
  record_.reset(table.row_type.type, table.columns.size(), bytes);
  for (const NetRow* row : group.rows) {
    record_.begin_record();
    std::size_t key = 0;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const MappedColumn& column = table.columns[i];
      const std::uint32_t type = column.binary ? column.element : kTextOid;
      const bool is_key = by_key && key < table.key.size() && table.key[key] == i;
      if (is_key) {
        record_.add(type, row->key.columns[key++]);
      } else if (sent[i]) {
        record_.add(type, row->values[i]);
      } else {
        record_.add_null(type);
      }
    }
    record_.end_record();
  }
  params_.push_back(record_.param());
}

void RowParams::fill_arrays(const RowGroup& group) {
  const TargetTable& table = *group.table;
  const std::size_t keys = is_by_key(group.shape.kind) ? table.key.size() : 0;
  const std::vector<std::uint16_t> sent = sent_columns(table, group.shape);
  if (arrays_.size() < std::max<std::size_t>(sent.size(), 1)) arrays_.resize(std::max<std::size_t>(sent.size(), 1));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const MappedColumn& column = table.columns[sent[i]];
    ArrayParam& array = arrays_[i];
    array.reset(column.element, column.binary, group.rows.size() * 16);
    for (const NetRow* row : group.rows) {
      array.add(value_of(group, *row, sent[i], i, keys));
    }
    params_.push_back(array.param());
  }
  if (!sent.empty()) return;
  // A table without columns: the number of elements is the number of rows.
  arrays_[0].reset(kTextOid, false, 0);
  for (std::size_t i = 0; i < group.rows.size(); ++i) arrays_[0].add(ColumnValue{});
  params_.push_back(arrays_[0].param());
}

}  // namespace teal
