#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/progress.h"
#include "engine/slice_spill.h"
#include "engine/stream_observer.h"
#include "engine/transaction_queue.h"

namespace teal {

struct QueueInletOptions {
  std::string link;  ///< for messages
  /// Null: one item waits for room in the queue, and the stream waits with it. Otherwise the stream goes on for it.
  const StreamObserver* observer = nullptr;
  SpoolOptions spill;  ///< the cap is shared with what the decoder has on disk
  /// See LinkCore::patience.
  std::chrono::milliseconds patience{1'000};
};

/// The way into a link's queue, for more than fits: everything gets there in its order or, of an observed stream, not
/// at all from some item on.
///
/// The links of two ways would stop each other for good if both waited for room: each one's applier waits, with rows
/// locked, until the other's receiver has read on. So what an observed stream brings while the queue is full is
/// spilled, and the stream goes on. Of ends of WAL only the last is kept, and only until a slice comes after it. When
/// it cannot be spilled (no space, over the cap, a spill that is switched off), one item more waits, and the stream
/// with it, as long as nobody waits for the observer. If somebody does, that item and everything after it is let go:
/// once the queue has given out what came before, the link begins a new session from its progress row, and the source
/// sends it again. Where the target has not come further in this session, that is put off until the queue has stood
/// still for `patience`: or the next session might come no further either, with a transaction that is larger than all
/// room. Units: in memory are two slices, and what SliceSpill has. Threads: one. Errors: none; a spill that fails is
/// let go.
class QueueInlet {
 public:
  using Clock = Progress::Clock;

  /// Lifetime: `queue`, `progress` and the observer outlive it.
  QueueInlet(QueueInletOptions options, TransactionQueue& queue, Progress& progress);

  /// Only while not `full`.
  void push(SourceItem item);
  /// Nothing may be pushed before there is room.
  [[nodiscard]] bool full() const { return options_.observer == nullptr ? head_.has_value() : held_back_.has_value(); }
  /// Something waits for room in the queue.
  [[nodiscard]] bool waiting() const { return head_.has_value(); }
  /// Gives the queue what waits. To be called when the queue tells of room. Returns whether there was more than is good
  /// to do at once: to be called again soon.
  bool refill(Clock::time_point now);
  /// Decides whether what cannot be kept is waited with or let go, and whether it is time for a new session. To be
  /// called now and then, more often while `full`.
  void look(Clock::time_point now);

  /// Others need so much of the disk: more than the rest of the cap is let go.
  void leave_room(std::uint64_t bytes);
  /// The queue gets nothing more, and what waits is let go: the source sends it again. What is still pushed is for the
  /// observer alone.
  void stop();

 private:
  void spill(SourceItem item);
  [[nodiscard]] std::optional<SourceItem> next();
  void cut_when_done();
  void let_go(const std::string& reason);
  void tell(const char* event, const std::string& reason) const;

  QueueInletOptions options_;
  TransactionQueue& queue_;
  Progress& progress_;
  // In this order:
  std::optional<SourceItem> head_;
  SliceSpill spill_;
  std::optional<SourceItem> held_back_;  // no room in the spill, and nothing may be pushed
  std::optional<WalEnd> end_;            // or this

  std::string refused_;                            // why the spill takes nothing more until it is empty; "": it does
  bool told_ = false;                              // that it refused
  std::optional<Clock::time_point> stands_since_;  // the queue, while something is held back
  bool lets_go_ = false;                           // of what is pushed
  bool stopped_ = false;
};

}  // namespace teal
