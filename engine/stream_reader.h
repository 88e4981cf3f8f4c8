#pragma once
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "decoder/copy_data.h"
#include "decoder/frame.h"
#include "decoder/lsn.h"
#include "engine/progress.h"
#include "engine/queue_inlet.h"
#include "engine/read_pacer.h"
#include "engine/stream_decoder.h"
#include "engine/stream_observer.h"
#include "engine/transaction_queue.h"
#include "engine/transaction_spool.h"

namespace teal {

struct StreamReaderOptions {
  std::string link;  ///< for messages
  std::string own_origin_prefix;
  std::size_t slice_bytes_max = 1U << 20U;
  /// Large transactions go to the sink while the source still sends them, see AheadTrial. Not with an observer, who has
  /// to see each transaction once, with its commit.
  bool ahead = false;
  /// For a stream that was opened with `StreamStart::streaming`, and for what an observed one brings too early.
  SpoolOptions spool;
  /// How often the source hears from us at least; shorter when its wal_sender_timeout asks for it.
  std::chrono::milliseconds status_interval{1'000};
  /// Sees everything before it is queued, and keeps it from waiting for the queue; null: nobody. Lifetime: outlives the
  /// reader.
  StreamObserver* observer = nullptr;
  /// The link is stopped or backs off: nobody but the observer wants the stream, and it waits while that is full.
  bool for_observer_alone = false;
  /// See LinkCore::patience.
  std::chrono::milliseconds patience{1'000};
  /// See ReplicationStream::sends_again.
  std::optional<CommitMark> expected = {};
  /// Nothing at all from the source for so long, although it was asked: the connection is dead.
  std::chrono::milliseconds silence_max{30'000};
};

/// What a link's receiver does with one stream: messages become slices in the queue, and what the target has flushed
/// becomes acknowledgements. It does no I/O, waits for nothing and reads no clock: messages and times go in, status
/// updates come out, so that its rules are tested without a server. Receiver drives it.
///
/// What finds no room in the queue is QueueInlet's: one item waits, and nothing may be added until it has found its
/// place, or, of a stream that is observed, most of what comes waits on disk. So what is in memory stays bounded (I7).
/// What is acknowledged is `Progress::durable`, never more (I4). Lifetime: `queue` and `progress` outlive it. Threads:
/// one. Errors: `add` and `go_on` throw as StreamDecoder and the observer do, and Stopped(kRefused) when what was
/// `expected` does not come; nothing may be added afterwards.
class StreamReader {
 public:
  using Clock = Progress::Clock;

  /// `sender_timeout` is the source's, zero for none. `now`: the stream begins.
  StreamReader(StreamReaderOptions options, std::chrono::milliseconds sender_timeout, TransactionQueue& queue,
               Progress& progress, Clock::time_point now);

  /// Takes one message off the wire; only while `ready`.
  /// Returns whether the source waits for an answer: send `status(false)`.
  [[nodiscard]] bool add(Frame frame);

  /// The next message may be added. Otherwise `go_on` comes first: at once, or, while the stream is `held_up`, as soon
  /// as the queue tells of room, and at the latest after `hold_up_pause`.
  [[nodiscard]] bool ready() const { return !held_up() && !decoder_.replaying(); }
  /// There is no room for what was added, or for what comes; or the sink has not said what became of a transaction that
  /// went ahead, whose last slice it has.
  [[nodiscard]] bool held_up() const { return inlet_.full() || observer_is_full() || decoder_.waiting(); }
  [[nodiscard]] std::chrono::milliseconds hold_up_pause() const;
  /// Looks for room again, or hands out a piece of a transaction that came in blocks.
  void go_on(Clock::time_point now);
  /// Of an observed stream, whether it is `ready` or not: to be called when the queue tells of room, and again soon for
  /// as long as it returns true. Otherwise `go_on` does it.
  bool refill(Clock::time_point now);

  /// The source showed that it is there.
  void heard(Clock::time_point now) { heard_ = now; }
  /// What one look at the socket brought was added. Returns how long to rest before the next; none: not at all.
  [[nodiscard]] std::optional<std::chrono::milliseconds> pace(Clock::time_point now);

  /// What is added from now on is for the observer alone. Returns false when there is none.
  bool observe_only();
  /// Nothing will be added any more. What waits for room is let go: the source sends it again.
  void stop();
  [[nodiscard]] bool stopped() const { return stopped_; }

  /// The stream has ended, however that came.
  void end();

  /// The acknowledgement to send now, if one is due; `last` makes it due. To be asked every `status_pause`.
  [[nodiscard]] std::optional<StandbyStatusUpdate> status_due(Clock::time_point now, bool last);
  [[nodiscard]] std::chrono::milliseconds status_pause() const;
  [[nodiscard]] std::chrono::milliseconds status_interval() const { return options_.status_interval; }
  /// Where we are, without a time of sending. `ask` asks the source for a sign of life.
  [[nodiscard]] StandbyStatusUpdate status(bool ask) const;

  /// Errors: PgError when the source is shutting down (Progress::source_leaves) or has been silent for too long.
  void check_source(Clock::time_point now) const;

 private:
  [[nodiscard]] bool observer_is_full() const { return options_.for_observer_alone && options_.observer->full(); }
  void push(SourceItem item);
  void show(SourceItem& item);
  void refill_queue(Clock::time_point now);
  void look_for_answer();
  void look_for_expected(const SourceItem& item);
  void allow_ahead();
  void limit_ahead(Clock::duration held_up);

  StreamReaderOptions options_;
  Progress& progress_;
  StreamDecoder decoder_;
  ReadPacer pacer_;
  std::size_t burst_bytes_ = 0;  // added since the socket was last empty
  QueueInlet inlet_;
  Clock::duration ahead_held_up_{0};  // by slices that go ahead, in the open block
  Clock::time_point heard_;
  Clock::time_point told_;   // the last status
  Lsn acknowledged_;         // by that
  Clock::time_point asked_;  // the last reply was asked for, or could have been
  bool only_own_ = true;     // nothing but teal's own transactions came since
  bool stopped_ = false;
};

}  // namespace teal
