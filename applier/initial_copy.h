#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "applier/copy_relay.h"
#include "applier/table_copy.h"
#include "applier/table_snapshot.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

struct InitialCopyOptions {
  LinkNames names;
  ConnectOptions source;  ///< ordinary session
  ConnectOptions target;  ///< ordinary session
  SnapshotOptions snapshot;
  int jobs = 2;  ///< tables, or pieces of them, at the same time; each job has an origin of its own
  std::uint64_t split_larger_than = 0;  ///< bytes of a table above which it is copied in pieces; 0: none is
  bool frozen = false;  ///< nobody but teal uses the target's tables yet: rows may be written frozen, see begin_frozen
};

/// Copies tables from one snapshot of the source. Each table is one target transaction: its rows, its state `copied`
/// and its watermark become visible together, so a crash leaves a table either whole or untouched. A large table is
/// copied in pieces, by several jobs and in a transaction each; it is `copied` when all of them are there, and until
/// then known as begun, so that the next attempt empties it first. A table that fails does not stop the others. Returns
/// how many tables are still pending, because they were altered (TRUNCATE, ALTER TABLE, VACUUM FULL) after the
/// snapshot: call again for these. Threads: `jobs` of its own; returns when all have ended. Errors: Stopped(kRefused)
/// for a table that is not empty on the target, Stopped(kData) that lists the tables that failed, PgError when a server
/// is gone (the tables that were finished stay finished: call again).
[[nodiscard]] std::size_t copy_tables(const InitialCopyOptions& options, std::vector<CopyTable> tables,
                                      CopyCounters& counters, std::stop_token stop);

}  // namespace teal
