#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "applier/table_copy.h"
#include "applier/table_snapshot.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

struct JoinOptions {
  LinkNames names;
  ConnectOptions source;  ///< ordinary session
  ConnectOptions target;  ///< ordinary session
  SnapshotOptions snapshot;
  std::vector<std::string> publications;
  /// Called before the rows are copied, with the position of their snapshot, which the link has reached: makes sure
  /// that it is sent the table's changes from then on.
  std::function<void(Lsn snapshot)> prepare_link;
};

enum class JoinResult {
  kJoined,
  kAltered,  ///< the table was altered on the source meanwhile: try again
};

/// Copies a table while its link streams, and hands it over to the link without stopping it.
///
/// The rows of a snapshot that the link has reached, then the table's changes since, from the snapshot's own slot; both
/// in one target transaction. Meanwhile the link skips the table's changes (Applier::load_table). At the end a lock is
/// taken that waits for a link which is just skipping some, and then the progress row is: the link stands still. Up to
/// exactly where it stands the changes are applied here, from there by the link; that is the watermark, committed with
/// the rows. So the table appears as it was at the link's own position. A crash leaves nothing of it.
///
/// `in_order`: every change by a statement of its own. Threads: one, with sessions of its own.
/// Errors: Stopped when somebody has to act first; RowsRefused when merged changes were refused (try `in_order`);
/// PgError. Source: docs/design.md; the idea is PostgreSQL's table synchronization worker's.
[[nodiscard]] JoinResult join_table(const JoinOptions& options, const CopyTable& table, bool in_order,
                                    CopyCounters& counters, const std::stop_token& stop);

}  // namespace teal
