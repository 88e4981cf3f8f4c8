#include "applier/conflict_log.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

#include "applier/statement_builder.h"
#include "engine/pg_error.h"
#include "engine/pg_pipeline.h"
#include "engine/time_text.h"

namespace teal {
namespace {

constexpr std::string_view kLockTimeout = "55P03";

std::string name_of(ConflictType type) {
  switch (type) {
    case ConflictType::kInsertExists:
      return "insert_exists";
    case ConflictType::kUpdateOriginDiffers:
      return "update_origin_differs";
    case ConflictType::kUpdateExists:
      return "update_exists";
    case ConflictType::kUpdateMissing:
      return "update_missing";
    case ConflictType::kUpdateDeleted:
      return "update_deleted";
    case ConflictType::kDeleteOriginDiffers:
      return "delete_origin_differs";
    case ConflictType::kDeleteMissing:
      return "delete_missing";
    case ConflictType::kMultipleUniqueConflicts:
      return "multiple_unique_conflicts";
  }
  return "";
}

const char* resolution(const ConflictRecord& record) { return record.applied ? "applied" : "kept"; }

std::string json_literal(const std::optional<std::string>& json) { return json ? quote_literal(*json) : "NULL"; }

// What a type's output function writes: a cast to text writes some types in another way (boolean, char(n)).
std::string shown(const std::string& value) {
  return "CASE WHEN " + value + " IS DISTINCT FROM NULL THEN concat(" + value + ") END";
}

std::string as_json(const std::string& columns) {
  return "(SELECT to_jsonb(r.*)::text FROM (SELECT " + columns + ") AS r)";
}

bool is_sent(const ColumnValue& value) { return value.kind != ColumnKind::kUnchangedToast; }

// One record's question: its values as parameters, its key first.
class VersionQuery {
 public:
  VersionQuery(const ConflictRecord& record, bool standing) : table_(*record.table) {
    for (std::size_t i = 0; i < table_.key.size(); ++i) add("v", table_.columns[table_.key[i]], record.key.columns[i]);
    const std::string incoming = add_incoming(record.values);
    sql_ =
        "SELECT " + incoming + ", " + (standing ? standing_row() : "NULL::text") + " FROM (SELECT " + sent_ + ") AS s";
  }
  VersionQuery(const VersionQuery&) = delete;
  VersionQuery& operator=(const VersionQuery&) = delete;

  [[nodiscard]] const std::string& sql() const { return sql_; }
  [[nodiscard]] std::span<const Oid> types() const { return types_; }
  [[nodiscard]] std::span<const BinaryParam> params() const { return params_; }

 private:
  std::string add(const char* prefix, const MappedColumn& column, const ColumnValue& value) {
    const std::string number = std::to_string(params_.size() + 1);
    const std::string name = prefix + number;
    sent_ += (sent_.empty() ? "$" : ", $") + number + " AS " + name;
    types_.push_back(column.element);
    const bool null = value.kind == ColumnKind::kNull;
    params_.push_back({null ? nullptr : reinterpret_cast<const char*>(value.data), null ? 0 : value.size});
    return "s." + name;
  }

  std::string add_incoming(TupleView values) {
    std::size_t bytes = 0;
    for (const ColumnValue& value : values) bytes += is_sent(value) ? value.size : 0;
    if (values.empty() || bytes > kLoggedRowBytesMax) return "NULL::text";
    std::string columns;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!is_sent(values[i])) continue;
      const MappedColumn& column = table_.columns[i];
      columns += (columns.empty() ? "" : ", ") + shown(add("c", column, values[i])) + " AS " + column.name;
    }
    return columns.empty() ? "NULL::text" : as_json(columns);
  }

  // Two looks at its size: the first keeps a large one from being written out, the second sees what compression hid.
  [[nodiscard]] std::string standing_row() const {
    const std::string limit = " <= " + std::to_string(kLoggedRowBytesMax) + " THEN ";
    std::string columns;
    for (const MappedColumn& column : table_.columns) {
      columns += (columns.empty() ? "" : ", ") + shown("t." + column.name) + " AS " + column.name;
    }
    return "(SELECT CASE WHEN octet_length(f.json)" + limit + "f.json END FROM (SELECT CASE WHEN pg_column_size(t.*)" +
           limit + as_json(columns) + " END AS json FROM " + (table_.partitioned ? "" : "ONLY ") + table_.sql_name +
           " AS t" + where_key_matches(table_) + " OFFSET 0) AS f)";
  }

  const TargetTable& table_;
  std::string sent_;
  std::string sql_;
  std::vector<Oid> types_;
  std::vector<BinaryParam> params_;
};

std::optional<std::string> text_at(const PGresult* result, int column) {
  if (PQntuples(result) == 0 || PQgetisnull(result, 0, column) != 0) return std::nullopt;
  return PQgetvalue(result, 0, column);
}

// How many there were of each kind, added to what was counted before.
std::string stats_sql(const LinkNames& names, std::span<const ConflictRecord> records) {
  std::map<std::tuple<std::string, std::string, std::string>, std::uint64_t> counts;
  for (const ConflictRecord& record : records) {
    ++counts[{record.table->display_name, name_of(record.type), resolution(record)}];
  }
  std::string rows;
  for (const auto& [kind, count] : counts) {
    rows += (rows.empty() ? "(" : ", (") + quote_literal(names.migration) + ", " + quote_literal(names.link) + ", " +
            quote_literal(std::get<0>(kind)) + ", '" + std::get<1>(kind) + "', '" + std::get<2>(kind) + "', " +
            std::to_string(count) + ")";
  }
  return "INSERT INTO teal.conflict_stats AS s (migration, link, table_name, type, resolution, count) VALUES " + rows +
         " ON CONFLICT (migration, link, table_name, type, resolution) DO UPDATE SET count = s.count + EXCLUDED.count";
}

}  // namespace

ConflictLog::ConflictLog(LinkNames names, LogsRows logs_rows)
    : names_(std::move(names)), logs_rows_(std::move(logs_rows)) {}

bool ConflictLog::logs_rows_of(const ConflictRecord& record) const {
  return logs_rows_ && logs_rows_(record.table->target);
}

// The batch holds locks, so nothing is waited for: somebody who waits for the batch to alter a table stands before us
// in that table's queue, and a TRUNCATE of the batch itself keeps us out.
std::vector<ConflictLog::Versions> ConflictLog::read_versions(PgConnection& session,
                                                              std::span<const ConflictRecord> records) {
  const bool any = std::any_of(records.begin(), records.end(),
                               [this](const ConflictRecord& record) { return logs_rows_of(record); });
  if (!any) return std::vector<Versions>(records.size());
  try {
    return read_versions(session, records, true);
  } catch (const PgError& error) {
    if (error.sqlstate() != kLockTimeout) throw;
    return read_versions(session, records, false);
  }
}

std::vector<ConflictLog::Versions> ConflictLog::read_versions(PgConnection& session,
                                                              std::span<const ConflictRecord> records, bool standing) {
  constexpr const char* kOperation = "read the rows of a conflict";
  std::vector<Versions> versions(records.size());
  std::vector<std::pair<std::size_t, std::size_t>> calls;  // in the pipeline, and whose
  PgPipeline pipeline(session);
  pipeline.query(kOperation, "SELECT set_config('lock_timeout', '20ms', true)");
  std::string prepared;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!logs_rows_of(records[i])) continue;
    const VersionQuery query(records[i], standing);
    if (query.sql() != prepared) pipeline.prepare(kOperation, "", query.sql(), query.types());
    prepared = query.sql();
    calls.emplace_back(pipeline.size(), i);
    pipeline.execute(kOperation, "", query.params());
  }
  const std::vector<ResultHandle> results = pipeline.run_or_throw();
  for (const auto& [call, record] : calls) {
    versions[record] = {text_at(results[call].get(), 0), text_at(results[call].get(), 1)};
  }
  return versions;
}

std::string ConflictLog::sql(PgConnection& session, std::span<const ConflictRecord> records) {
  if (records.empty()) return "";
  const std::vector<Versions> versions = read_versions(session, records);
  std::string rows;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const ConflictRecord& record = records[i];
    rows += (rows.empty() ? "(" : ", (") + quote_literal(names_.migration) + ", " + quote_literal(names_.link) + ", '" +
            name_of(record.type) + "', " + quote_literal(record.table->display_name) + ", " +
            quote_literal(key_text(*record.table, record.key)) + ", '" + resolution(record) + "', '" +
            to_string(record.lsn) + "', '" + to_string(record.time) + "', '" + to_string(record.standing_lsn) + "', '" +
            to_string(record.standing_time) + "', " + json_literal(versions[i].incoming) + "::jsonb, " +
            json_literal(versions[i].standing) + "::jsonb)";
  }
  return "INSERT INTO teal.conflict_log (migration, link, type, table_name, key, resolution, source_lsn, source_time, "
         "target_lsn, target_time, incoming_row, standing_row) VALUES " +
         rows + "; " + stats_sql(names_, records);
}

}  // namespace teal
