#include "applier/spared_rows.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "applier/array_param.h"
#include "applier/batch_writer.h"
#include "applier/column_values.h"
#include "applier/statement_builder.h"
#include "engine/pg_error.h"
#include "engine/pg_pipeline.h"

namespace teal {
namespace {

constexpr const char* kOperation = "apply a TRUNCATE that spares rows";
constexpr const char* kFetch = "FETCH FORWARD 5000 FROM teal_keys";

std::string from(const TargetTable& table) { return (table.partitioned ? " FROM " : " FROM ONLY ") + table.sql_name; }

std::string keys_sql(const TargetTable& table) {
  std::string columns;
  for (const std::uint16_t ordinal : table.key)
    columns += (columns.empty() ? "" : ", ") + sent_form(table.columns[ordinal]);
  return "DECLARE teal_keys BINARY NO SCROLL CURSOR FOR SELECT " + columns + from(table) + " AS t";
}

std::string delete_sql(const TargetTable& table) {
  std::string params;
  std::string names;
  for (std::size_t i = 1; i <= table.key.size(); ++i) {
    params += (i == 1 ? "$" : ", $") + std::to_string(i);
    names += (i == 1 ? "v" : ", v") + std::to_string(i);
  }
  return "DELETE" + from(table) + " AS t WHERE NOT EXISTS (SELECT FROM unnest(" + params + ") AS s (" + names + ")" +
         where_key_matches(table) + ")";
}

std::uint64_t delete_all_but(PgConnection& target, const TargetTable& table, std::span<const SparedRows::Row> spared) {
  std::vector<ArrayParam> arrays(table.key.size());
  std::vector<BinaryParam> params;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const MappedColumn& column = table.columns[table.key[i]];
    arrays[i].reset(column.element, column.binary, spared.size() * 16);
    for (const SparedRows::Row& row : spared) arrays[i].add(row.key.columns[i]);
    params.push_back(arrays[i].param());
  }
  PgPipeline pipeline(target);
  pipeline.query(kOperation, "SET LOCAL enable_hashjoin = on");
  pipeline.prepare(kOperation, "", delete_sql(table), parameter_types(table, {StatementKind::kDelete, {}}));
  const std::size_t call = pipeline.size();
  pipeline.execute(kOperation, "", params);
  pipeline.query(kOperation, "SET LOCAL enable_hashjoin = off");
  std::vector<ResultHandle> results = pipeline.run_or_throw();
  return Rows(std::move(results[call])).affected();
}

}  // namespace

struct SparedRows::Found {
  std::uint64_t rows = 0;  // that the table has
  std::vector<Row> later;
};

TupleView SparedRows::keep(TupleView columns) {
  std::vector<ColumnValue>& key = keys_.emplace_back(columns.begin(), columns.end());
  for (ColumnValue& column : key) {
    const std::string& bytes = bytes_.emplace_back(column.text());
    column.data = reinterpret_cast<const std::byte*>(bytes.data());
  }
  return key;
}

SparedRows::Found SparedRows::find(PgConnection& target, const TargetTable& table, const LaterKeys& later) {
  Found found;
  std::vector<ColumnValue> columns(table.key.size());
  target.exec(kOperation, keys_sql(table));
  for (;;) {
    const Rows rows = target.exec(kOperation, kFetch);
    if (rows.empty()) break;
    found.rows += static_cast<std::uint64_t>(rows.size());
    for (int row = 0; row < rows.size(); ++row) {
      for (std::size_t i = 0; i < columns.size(); ++i) {
        columns[i] = value_in(rows.raw(), row, static_cast<int>(i), table.columns[table.key[i]].binary);
      }
      const auto one = later.find(key_hash(table.row_key, columns));
      if (one != later.end()) found.later.push_back({{keep(columns)}, one->second});
    }
  }
  target.exec(kOperation, "CLOSE teal_keys");
  return found;
}

std::vector<SparedRows::Row> SparedRows::delete_others(PgConnection& target, const TargetTable& table,
                                                       const LaterKeys& later, ChangePlace place) {
  if (later.empty()) {
    target.exec(kOperation, "DELETE" + from(table));
    return {};
  }
  Found found = find(target, table, later);
  const auto standing = static_cast<std::size_t>(
      std::count_if(later.begin(), later.end(), [](const auto& one) { return !one.second.removed; }));
  const auto there = static_cast<std::size_t>(
      std::count_if(found.later.begin(), found.later.end(), [](const Row& row) { return !row.standing.removed; }));
  // Of a single partition the others may have them.
  if (there != standing && !table.single_part) {
    throw Stopped(StopCode::kBug, "table " + table.display_name + ": " + std::to_string(standing) +
                                      " rows of it are later than the source's TRUNCATE at LSN " +
                                      to_string(place.lsn) + ", and " + std::to_string(there) +
                                      " of them were found by their keys; nothing was committed; please report this");
  }
  const std::uint64_t count = delete_all_but(target, table, found.later);
  if (count != found.rows - found.later.size()) {
    throw RowsRefused({.table = table.display_name,
                       .operation = "TRUNCATE",
                       .lsn = place.lsn,
                       .position = place.position,
                       .message = "touched " + std::to_string(count) + " rows instead of " +
                                  std::to_string(found.rows - found.later.size())});
  }
  return std::move(found.later);
}

}  // namespace teal
