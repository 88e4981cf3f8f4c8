#include "applier/row_deletion.h"

#include <chrono>
#include <set>
#include <string>
#include <tuple>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr const char* kDelete = "delete a row that lost a unique value";
constexpr std::chrono::seconds kOneByOne{5};  // each may wait for a lock

std::string delete_sql(const TargetTable& table, const HoldingRow& row) {
  return "DELETE FROM " + table.sql_name + " AS t WHERE t.tableoid::text = " + quote_literal(row.relation) +
         " AND t.ctid = " + quote_literal(row.place) + "::tid AND t.xmin::text = " + quote_literal(row.xmin);
}

bool delete_rows(PgConnection& session, const TargetTable& table, std::span<const RowDeletion> deletions) {
  std::set<std::tuple<std::string, std::string, std::string>> gone;
  for (const RowDeletion& one : deletions) {
    for (const HoldingRow* row : one.rows) {
      if (!gone.insert({row->relation, row->place, row->xmin}).second) continue;
      if (session.exec(kDelete, delete_sql(table, *row)).affected() != 1) return false;
    }
  }
  return true;
}

}  // namespace

bool delete_versions(PgConnection& session, const TargetTable& table, std::span<const RowDeletion> deletions,
                     const ConflictLog& log) {
  std::vector<ConflictRecord> records;
  for (const RowDeletion& one : deletions) records.insert(records.end(), one.records.begin(), one.records.end());
  session.exec(kDelete, "BEGIN");
  try {
    session.exec(kDelete, "SET LOCAL lock_timeout = '200ms'");
    if (!records.empty()) log.write(session, session, records);
    session.exec(kDelete, "SET LOCAL lock_timeout = '200ms'");  // what writes the log has one of its own
    // Triggers find tables as they do for applications; "$user" would be teal's own schema.
    session.exec(kDelete,
                 "SELECT set_config('search_path', ltrim(regexp_replace(reset_val, '(^|,) *\"?[$]user\"?', '', 'g'), "
                 "', '), true) FROM pg_settings WHERE name = 'search_path'");
    const bool all = delete_rows(session, table, deletions);
    session.exec(kDelete, all ? "COMMIT" : "ROLLBACK");
    return all;
  } catch (const PgError&) {
    if (session.usable()) session.exec(kDelete, "ROLLBACK");
    throw;
  }
}

std::vector<bool> delete_each(PgConnection& session, const TargetTable& table, std::span<const RowDeletion> deletions,
                              const ConflictLog& log) {
  if (deletions.size() <= 1) {
    return deletions.empty() ? std::vector<bool>() : std::vector<bool>{delete_versions(session, table, deletions, log)};
  }
  const auto try_to = [&](std::span<const RowDeletion> some) {
    try {
      return delete_versions(session, table, some, log);
    } catch (const PgError&) {
      if (!session.usable()) throw;
      return false;
    }
  };
  if (try_to(deletions)) return std::vector<bool>(deletions.size(), true);
  std::vector<bool> done(deletions.size(), false);
  const auto until = std::chrono::steady_clock::now() + kOneByOne;
  for (std::size_t i = 0; i < deletions.size() && std::chrono::steady_clock::now() < until; ++i)
    done[i] = try_to(deletions.subspan(i, 1));
  return done;
}

}  // namespace teal
