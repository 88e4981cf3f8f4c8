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
};

}  // namespace teal
