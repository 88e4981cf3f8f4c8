#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "applier/conflict_filter.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// Whether the rows of a table may be logged; empty: those of none.
using LogsRows = std::function<bool(const TableName&)>;

/// A row with more than this, as it is stored, sent or written out, is left out of the log. Units: bytes.
inline constexpr std::size_t kLoggedRowBytesMax = std::size_t{64} << 10U;

/// The two rows of a conflict, as JSON objects of PostgreSQL's text by column name, whatever form the stream has;
/// nullopt: there was none, or it is not logged.
struct ConflictVersions {
  std::optional<std::string> incoming;
  std::optional<std::string> standing;
};

/// The rows of each record, in their order. `session` sees what is committed, after the batch's rows are locked and
/// before they are: so the standing row is still there. It waits for nobody: where a lock is not given at once,
/// standing rows are left out. One statement per table and set of columns that were sent. Errors: PgError.
[[nodiscard]] std::vector<ConflictVersions> read_conflict_versions(PgConnection& session,
                                                                   std::span<const ConflictRecord> records,
                                                                   const LogsRows& logs_rows);

}  // namespace teal
