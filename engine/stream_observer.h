#pragma once
#include "decoder/lsn.h"
#include "decoder/transaction.h"

namespace teal {

/// Sees what a link's stream delivers, in its order and before the queue, so that nobody who waits for what it learns
/// can wait for the queue. Threads: the receiver's. Errors: what it throws ends the stream.
class StreamObserver {
 public:
  StreamObserver() = default;
  StreamObserver(const StreamObserver&) = delete;
  StreamObserver& operator=(const StreamObserver&) = delete;
  virtual ~StreamObserver() = default;

  /// May write to the facts of the slice, and reads the rest.
  virtual void slice(TransactionSlice& slice) = 0;
  /// Everything that was committed below `position` has been seen.
  virtual void passed(Lsn position) = 0;
  /// The stream has ended: nothing more is seen before another begins.
  virtual void ended() {}
  /// Somebody waits for a position that has not passed. Where nothing more can be kept, the stream goes on all the same
  /// while this is so, and what cannot be kept is read again; else the stream waits for room. Threads: the receiver's.
  [[nodiscard]] virtual bool awaited() const = 0;
  /// It holds as much as it may: a stream that is read for it alone waits while this is so. Threads: the receiver's.
  [[nodiscard]] virtual bool full() const { return false; }
};

}  // namespace teal
