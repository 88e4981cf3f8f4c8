#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "decoder/lsn.h"
#include "engine/pg_connection.h"
#include "engine/replication_stream.h"

namespace teal {

struct SnapshotOptions {
  ConnectOptions connect;   ///< a replication session
  std::string slot_prefix;  ///< the temporary slot's name without the backend's pid
  /// Makes what is told, while the slot waits for open transactions, about the session with that backend pid.
  std::function<PgConnection::WaitListener(int waiting_pid)> on_wait;
};

/// A snapshot of the source together with the exact position that it stands for.
///
/// It comes from a temporary logical slot: a transaction is visible in the snapshot exactly if its commit record lies
/// below the slot's consistent point. A plain snapshot beside any WAL position has no such edge and loses rows
/// (measured: docs/design.md). The publication's change has to be committed before.
/// Lifetime: the snapshot can be imported while the object lives. Threads: one.
/// Errors: PgError; 53400 when no slot is free. Source: PostgreSQL manual, CREATE_REPLICATION_SLOT.
class TableSnapshot {
 public:
  TableSnapshot(const SnapshotOptions& options, std::stop_token stop);

  /// Streams what was committed after the snapshot, from the same slot; the snapshot can't be imported any more.
  /// Units: names of publications.
  [[nodiscard]] ReplicationStream stream(const std::vector<std::string>& publications) &&;

  /// For `SET TRANSACTION SNAPSHOT`.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The watermark: changes of transactions whose commit lies below are in the snapshot.
  [[nodiscard]] Lsn consistent_point() const { return consistent_point_; }
  /// The timeline of the source's log that it is a position in.
  [[nodiscard]] unsigned timeline() const { return timeline_; }

 private:
  PgConnection connection_;
  std::string slot_;
  std::string name_;
  unsigned timeline_ = 0;
  Lsn consistent_point_;
};

}  // namespace teal
