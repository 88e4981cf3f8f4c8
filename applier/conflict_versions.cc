#include "applier/conflict_versions.h"

#include <cstdint>
#include <utility>

#include "applier/array_param.h"
#include "applier/statement_builder.h"
#include "engine/pg_error.h"
#include "engine/pg_pipeline.h"

namespace teal {
namespace {

constexpr std::string_view kLockTimeout = "55P03";
constexpr const char* kOperation = "read the rows of conflicts";

// Records of one table whose incoming rows have the same columns.
struct Group {
  const TargetTable* table = nullptr;
  std::vector<std::uint16_t> columns;  // that were sent and are logged; none: the row goes, or is too large
  std::vector<std::size_t> records;
};

// What a type's output function writes: a cast to text writes some types in another way (boolean, char(n)).
std::string shown(const std::string& value) {
  return "CASE WHEN " + value + " IS DISTINCT FROM NULL THEN concat(" + value + ") END";
}

std::string as_json(const std::string& columns) {
  return "(SELECT to_jsonb(r.*)::text FROM (SELECT " + columns + ") AS r)";
}

const RowKey& standing_key(const ConflictRecord& record) {
  return record.standing_key.columns.empty() ? record.key : record.standing_key;
}

std::vector<std::uint16_t> logged_columns(TupleView values) {
  std::vector<std::uint16_t> columns;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind == ColumnKind::kUnchangedToast) continue;
    bytes += values[i].size;
    columns.push_back(static_cast<std::uint16_t>(i));
  }
  if (bytes > kLoggedRowBytesMax) columns.clear();
  return columns;
}

std::vector<Group> group(std::span<const ConflictRecord> records, const LogsRows& logs_rows) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const ConflictRecord& record = records[i];
    if (!logs_rows || !logs_rows(record.table->target)) continue;
    std::vector<std::uint16_t> columns = logged_columns(record.values);
    Group* found = nullptr;
    for (Group& one : groups) {
      if (one.table == record.table && one.columns == columns) found = &one;
    }
    if (found == nullptr) found = &groups.emplace_back(Group{record.table, std::move(columns), {}});
    found->records.push_back(i);
  }
  return groups;
}

// The parameters are arrays, the key's first: those of an UPDATE of these columns.
StatementShape shape_of(const Group& group) { return {StatementKind::kUpdate, group.columns, {}}; }

std::string incoming_row(const Group& group) {
  std::string columns;
  std::size_t number = group.table->key.size();
  for (const std::uint16_t ordinal : group.columns) {
    columns += (columns.empty() ? "" : ", ") + shown("s.v" + std::to_string(++number)) + " AS " +
               group.table->columns[ordinal].name;
  }
  return columns.empty() ? "NULL::text" : as_json(columns);
}

// Two looks at its size: the first keeps a large one from being written out, the second sees what compression hid.
std::string standing_row(const TargetTable& table) {
  const std::string limit = " <= " + std::to_string(kLoggedRowBytesMax) + " THEN ";
  std::string columns;
  for (const MappedColumn& column : table.columns) {
    columns += (columns.empty() ? "" : ", ") + shown("t." + column.name) + " AS " + column.name;
  }
  return "(SELECT CASE WHEN octet_length(f.json)" + limit + "f.json END FROM (SELECT CASE WHEN pg_column_size(t.*)" +
         limit + as_json(columns) + " END AS json FROM " + (table.partitioned ? "" : "ONLY ") + table.sql_name +
         " AS t" + where_key_matches(table) + " OFFSET 0) AS f)";
}

std::string versions_sql(const Group& group, bool standing) {
  std::string params;
  std::string names;
  for (std::size_t i = 1; i <= group.table->key.size() + group.columns.size(); ++i) {
    params += (params.empty() ? "$" : ", $") + std::to_string(i);
    names += "v" + std::to_string(i) + ", ";
  }
  return "SELECT " + incoming_row(group) + ", " + (standing ? standing_row(*group.table) : "NULL::text") +
         " FROM unnest(" + params + ") WITH ORDINALITY AS s (" + names + "nth) ORDER BY s.nth";
}

void send(PgPipeline& pipeline, const Group& group, std::span<const ConflictRecord> records, bool standing) {
  const TargetTable& table = *group.table;
  const std::size_t keys = table.key.size();
  std::vector<ArrayParam> arrays(keys + group.columns.size());
  std::vector<BinaryParam> params;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::uint16_t ordinal = i < keys ? table.key[i] : group.columns[i - keys];
    const MappedColumn& column = table.columns[ordinal];
    arrays[i].reset(column.element, column.binary, group.records.size() * 16);
    for (const std::size_t record : group.records)
      arrays[i].add(i < keys ? standing_key(records[record]).columns[i] : records[record].values[ordinal]);
    params.push_back(arrays[i].param());
  }
  pipeline.prepare(kOperation, "", versions_sql(group, standing), parameter_types(table, shape_of(group)));
  pipeline.execute(kOperation, "", params);
}

std::optional<std::string> text_at(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column) != 0) return std::nullopt;
  return PQgetvalue(result, row, column);
}

std::vector<ConflictVersions> read(PgConnection& session, std::span<const ConflictRecord> records,
                                   std::span<const Group> groups, bool standing) {
  std::vector<ConflictVersions> versions(records.size());
  PgPipeline pipeline(session);
  pipeline.query(kOperation, "SELECT set_config('lock_timeout', '20ms', true)");
  for (const Group& group : groups) send(pipeline, group, records, standing);
  const std::vector<ResultHandle> results = pipeline.run_or_throw();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const PGresult* rows = results[2 + 2 * i].get();
    if (static_cast<std::size_t>(PQntuples(rows)) != groups[i].records.size()) {
      throw Stopped(StopCode::kBug, "table " + groups[i].table->display_name +
                                        ": the rows of its conflicts could not be told apart; please report this");
    }
    for (std::size_t row = 0; row < groups[i].records.size(); ++row) {
      const int at = static_cast<int>(row);
      versions[groups[i].records[row]] = {text_at(rows, at, 0), text_at(rows, at, 1)};
    }
  }
  return versions;
}

}  // namespace

// The batch holds locks, so nothing is waited for: somebody who waits for the batch to alter a table stands before us
// in that table's queue, and a TRUNCATE of the batch itself keeps us out.
std::vector<ConflictVersions> read_conflict_versions(PgConnection& session, std::span<const ConflictRecord> records,
                                                     const LogsRows& logs_rows) {
  const std::vector<Group> groups = group(records, logs_rows);
  if (groups.empty()) return std::vector<ConflictVersions>(records.size());
  try {
    return read(session, records, groups, true);
  } catch (const PgError& error) {
    // In a transaction that goes on after this there is nothing more to read: the whole of it is tried again.
    if (error.sqlstate() != kLockTimeout || PQtransactionStatus(session.raw()) != PQTRANS_IDLE) throw;
    return read(session, records, groups, false);
  }
}

}  // namespace teal
