#pragma once
#include <chrono>
#include <deque>
#include <optional>

#include "decoder/lsn.h"
#include "engine/pg_connection.h"

namespace teal {

/// Where a log ends, and up to where it is safe.
struct WalPosition {
  Lsn inserted;
  Lsn flushed;
};

/// The target's WAL as it is now. Errors: PgError.
[[nodiscard]] WalPosition read_wal_position(PgConnection& connection);

/// Knows which commits the target has flushed, so that they may be acknowledged to the source (invariant I4).
/// A commit is durable once the target's flushed WAL has passed an insert position that was read after its
/// acknowledgement: the next that is read is one, so that a commit costs no question of its own. The origin's own
/// progress is no such test: it also reports a batch that failed in COMMIT. Threads: one, that of the session.
class Durability {
 public:
  /// A commit that moved the progress row to `held` was acknowledged.
  void committed(Lsn held);
  /// The target's log was at `position` after all commits so far.
  void read(WalPosition position);

  /// Covers what may be acknowledged.
  [[nodiscard]] Lsn durable() const { return durable_; }

  /// Asks the target when something is waiting, at most every `kAskInterval`.
  Lsn poll(PgConnection& connection);

 private:
  static constexpr std::chrono::milliseconds kAskInterval{20};

  struct Waiting {
    Lsn held;
    std::optional<Lsn> inserted;  // none: not read yet
  };

  std::deque<Waiting> waiting_;
  Lsn durable_;
  std::chrono::steady_clock::time_point asked_;
};

}  // namespace teal
