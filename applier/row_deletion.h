#pragma once
#include <span>
#include <vector>

#include "applier/conflict_log.h"
#include "applier/holding_rows.h"
#include "applier/target_table.h"
#include "engine/pg_connection.h"

namespace teal {

/// Versions of rows that give way together, and what is entered into teal.conflict_log with that.
struct RowDeletion {
  std::vector<const HoldingRow*> rows;
  std::vector<ConflictRecord> records;
};

/// Deletes those versions of rows of `table`, on the side of `session`, in a transaction of its own; a row that occurs
/// twice is deleted once. False: one of them is not there any more, or something keeps DELETE from it; nothing was
/// done. Errors: PgError.
[[nodiscard]] bool delete_versions(PgConnection& session, const TargetTable& table,
                                   std::span<const RowDeletion> deletions, const ConflictLog& log);

/// The same for each, and whether it was done: all in one transaction if that goes, else each in its own, where an
/// error counts as not done, as does what is left after five seconds. Errors: PgError when the session is lost; any
/// when there is one deletion only.
[[nodiscard]] std::vector<bool> delete_each(PgConnection& session, const TargetTable& table,
                                            std::span<const RowDeletion> deletions, const ConflictLog& log);

}  // namespace teal
