#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "engine/progress.h"
#include "engine/replication_stream.h"
#include "engine/transaction_queue.h"
#include "engine/transaction_spool.h"

namespace teal {

struct ReceiverOptions {
  std::string link;  ///< for messages
  std::string own_origin_prefix;
  std::size_t slice_bytes_max = 1U << 20U;
  SpoolOptions spool;  ///< for a stream that was opened with `StreamStart::streaming`
  /// How often the source hears from us at least; shorter when its wal_sender_timeout asks for it.
  std::chrono::milliseconds status_interval{1'000};
  /// Nothing at all from the source for so long, although it was asked: the connection is dead.
  std::chrono::milliseconds silence_max{30'000};
};

/// A link's receiving thread: reads the stream, assembles transactions, fills the queue, and acknowledges.
///
/// Nothing here waits for the target (invariant I8): while the queue is full the socket is left alone, and feedback
/// goes on by its own timer. What is acknowledged is `Progress::durable`, never more (I4). Threads: `run` is the
/// thread's body; `stop_reading` and `finish` may be called from any thread.
class Receiver {
 public:
  Receiver(ReceiverOptions options, ReplicationStream stream, TransactionQueue& queue, Progress& progress);
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Returns after `finish`, or after an error, which the queue then hands to its reader. Errors: none.
  void run() noexcept;

  /// Takes nothing more off the wire and closes the queue; feedback goes on.
  void stop_reading();

  /// Sends the last acknowledgement and ends `run`.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teal
