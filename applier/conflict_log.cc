#include "applier/conflict_log.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "applier/array_param.h"
#include "engine/pg_pipeline.h"
#include "engine/time_text.h"

namespace teal {
namespace {

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

// In the order of the parameters from $3 on.
constexpr const char* kInsert =
    "INSERT INTO teal.conflict_log (migration, link, type, table_name, key, resolution, source_lsn, source_time, "
    "target_lsn, target_time, incoming_row, standing_row) "
    "SELECT $1, $2, type, table_name, key, resolution, source_lsn::pg_lsn, source_time::timestamptz, "
    "target_lsn::pg_lsn, target_time::timestamptz, incoming::jsonb, standing::jsonb "
    "FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12) WITH ORDINALITY AS r (type, table_name, key, resolution, "
    "source_lsn, source_time, target_lsn, target_time, incoming, standing, nth) ORDER BY nth";
constexpr std::size_t kColumns = 10;

ColumnValue as_value(const std::optional<std::string>& text) {
  if (!text) return {};
  return {reinterpret_cast<const std::byte*>(text->data()), static_cast<std::uint32_t>(text->size()),
          ColumnKind::kText};
}

BinaryParam as_param(const std::string& text) { return {text.data(), text.size()}; }

void send_rows(PgPipeline& pipeline, const LinkNames& names, std::span<const ConflictRecord> records,
               std::span<const ConflictVersions> versions) {
  std::array<ArrayParam, kColumns> arrays;
  for (ArrayParam& array : arrays) array.reset(kTextOid, false, records.size() * 16);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const ConflictRecord& record = records[i];
    const std::array<std::optional<std::string>, kColumns> values = {name_of(record.type),
                                                                     record.table->display_name,
                                                                     key_text(*record.table, record.key),
                                                                     resolution(record),
                                                                     to_string(record.lsn),
                                                                     to_string(record.time),
                                                                     to_string(record.standing_lsn),
                                                                     to_string(record.standing_time),
                                                                     versions[i].incoming,
                                                                     versions[i].standing};
    for (std::size_t column = 0; column < kColumns; ++column) arrays[column].add(as_value(values[column]));
  }
  std::vector<BinaryParam> params = {as_param(names.migration), as_param(names.link)};
  for (ArrayParam& array : arrays) params.push_back(array.param());
  std::vector<Oid> types(params.size(), kTextArrayOid);
  types[0] = types[1] = kTextOid;
  pipeline.prepare("log conflicts", "", kInsert, types);
  pipeline.execute("log conflicts", "", params);
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

void ConflictLog::write(PgConnection& target, PgConnection& session, std::span<const ConflictRecord> records) const {
  std::vector<ConflictVersions> versions = read_conflict_versions(session, records, logs_rows_);
  std::vector<ConflictRecord> differ;
  std::vector<ConflictVersions> rows;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (versions[i].incoming && versions[i].incoming == versions[i].standing) continue;
    differ.push_back(records[i]);
    rows.push_back(std::move(versions[i]));
  }
  if (differ.empty()) return;
  PgPipeline pipeline(target);
  send_rows(pipeline, names_, differ, rows);
  pipeline.query("count conflicts", stats_sql(names_, differ));
  (void)pipeline.run_or_throw();
}

}  // namespace teal
