#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/transaction.h"
#include "engine/ledger.h"
#include "engine/pg_connection.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// A link's row in teal.progress on its target: the truth about what was applied.
/// `applied` and `held` move together, in the transaction that wrote the rows.
struct ProgressRow {
  Lsn applied;                ///< END of the last applied commit: nothing at or below it is applied again
  Timestamp max_commit_time;  ///< running maximum of the source's commit times, as of `applied`
  Lsn seen;                   ///< of the target's log: what the source had of it, as of `applied` (two-way links)
  Lsn held;                   ///< where the stream starts, and the most that may be acknowledged
  Timestamp held_time;        ///< as `max_commit_time`, at `held`
  Lsn held_seen;              ///< as `seen`, at `held`
  Timestamp fresh_at;         ///< the target holds what the source held then (the source's clock); for display
  CommitMark last_commit;     ///< the last applied commit that had changes; no position: there was none
  std::string source_system_id;
  unsigned source_timeline = 0;  ///< of the log that `held` is a position in; 0: not known
  Ledger ledger;
  bool binary = false;  ///< how the stream sends values now; for display
};

/// Errors: Stopped(kRefused) when the row is missing; PgError.
[[nodiscard]] ProgressRow read_progress(PgConnection& target, std::string_view migration, std::string_view link);

/// Adds the UPDATE that moves the row. It has to touch exactly one row: the caller checks. Returns the call's index.
std::size_t send_progress(PgPipeline& pipeline, const ProgressRow& row, std::string_view migration,
                          std::string_view link);

}  // namespace teal
