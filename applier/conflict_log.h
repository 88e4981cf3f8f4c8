#pragma once
#include <span>

#include "applier/conflict_filter.h"
#include "applier/conflict_versions.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// Writes what was decided to teal.conflict_log, and counts it in teal.conflict_stats. Where both sides wrote the same
/// row, nobody disagreed, and there is nothing to write: that is known of rows that may be logged. Threads: one.
class ConflictLog {
 public:
  ConflictLog(LinkNames names, LogsRows logs_rows);

  /// Into the open transaction of `target`. `session`: another one, on the same database, that reads the rows: see
  /// read_conflict_versions. Shapes: at least one record. Errors: PgError.
  void write(PgConnection& target, PgConnection& session, std::span<const ConflictRecord> records) const;

 private:
  LinkNames names_;
  LogsRows logs_rows_;
};

}  // namespace teal
