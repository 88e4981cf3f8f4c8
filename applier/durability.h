#pragma once
#include <chrono>
#include <deque>

#include "applier/batch_writer.h"
#include "decoder/lsn.h"
#include "engine/pg_connection.h"

namespace teal {

/// The target's WAL as it is now. Errors: PgError.
[[nodiscard]] CommitPoint read_wal_position(PgConnection& connection);

/// Knows which commits the target has flushed, so that they may be acknowledged to the source (invariant I4).
/// A commit is durable once the target's flushed WAL has passed the insert position that was read after its
/// acknowledgement. The origin's own progress is no such test: it also reports a batch that failed in COMMIT.
/// Threads: one, that of the session.
class Durability {
 public:
  /// A commit that moved the progress row to `held` was acknowledged.
  void committed(Lsn held, CommitPoint point);

  /// Asks the target when something is waiting, at most every `kAskInterval`.
  Lsn poll(PgConnection& connection);

 private:
  static constexpr std::chrono::milliseconds kAskInterval{20};

  struct Waiting {
    Lsn held;
    Lsn inserted;
  };

  void flushed_to(Lsn flushed);

  std::deque<Waiting> waiting_;
  Lsn durable_;
  std::chrono::steady_clock::time_point asked_;
};

}  // namespace teal
