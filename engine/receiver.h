#pragma once
#include <memory>

#include "engine/progress.h"
#include "engine/replication_stream.h"
#include "engine/stream_reader.h"
#include "engine/transaction_queue.h"

namespace teal {

/// A link's receiving thread: reads the stream and sends the acknowledgements; what is done with them is
/// StreamReader's.
///
/// Nothing here waits for the target (invariant I8): while the queue is full the socket is left alone, and feedback
/// goes on by its own timer. Threads: `run` is the thread's body; `stop_reading` and `finish` may be called from any
/// thread.
class Receiver {
 public:
  Receiver(StreamReaderOptions options, ReplicationStream stream, TransactionQueue& queue, Progress& progress);
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Returns after `finish`, or after an error, which the queue then hands to its reader. Errors: none.
  void run() noexcept;

  /// Closes the queue, and takes nothing more off the wire, or, of an observed stream, only for the observer; feedback
  /// goes on.
  void stop_reading();

  /// Sends the last acknowledgement and ends `run`.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teal
