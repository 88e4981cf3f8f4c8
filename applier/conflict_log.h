#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "applier/conflict_filter.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// Whether the rows of a table may be logged; empty: those of none.
using LogsRows = std::function<bool(const TableName&)>;

/// A row with more than this, as it is stored, sent or written out, is left out of the log. Units: bytes.
inline constexpr std::size_t kLoggedRowBytesMax = std::size_t{64} << 10U;

/// Writes what was decided to teal.conflict_log, and counts it in teal.conflict_stats.
///
/// Rows are logged as JSON objects of PostgreSQL's text by column name, whatever form the stream has. The standing row
/// is read by a session that sees what is committed, after the batch's rows are locked and before they are: it costs
/// nothing without conflicts, and also shows the versions that came to light only then. Threads: one.
class ConflictLog {
 public:
  ConflictLog(LinkNames names, LogsRows logs_rows);

  /// For the open target transaction; "" for no records. `session`: another one, on the same database.
  /// Errors: PgError.
  [[nodiscard]] std::string sql(PgConnection& session, std::span<const ConflictRecord> records);

 private:
  /// As JSON; nullopt: there was none, or it is not logged.
  struct Versions {
    std::optional<std::string> incoming;
    std::optional<std::string> standing;
  };

  std::vector<Versions> read_versions(PgConnection& session, std::span<const ConflictRecord> records);
  std::vector<Versions> read_versions(PgConnection& session, std::span<const ConflictRecord> records, bool standing);
  [[nodiscard]] bool logs_rows_of(const ConflictRecord& record) const;

  LinkNames names_;
  LogsRows logs_rows_;
};

}  // namespace teal
