#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <stop_token>
#include <string>

#include "decoder/lsn.h"
#include "engine/link_state.h"
#include "engine/progress.h"
#include "engine/transaction_queue.h"
#include "engine/transaction_sink.h"

namespace teal {

struct LinkCoreOptions {
  std::string name;  ///< as in names of objects: blue_to_green
  BackoffOptions backoff;
  std::uint64_t seed = 0;  ///< spreads the waits between attempts
  /// A link that is behind gathers for so long before it applies what it has; one that keeps up never waits.
  std::chrono::milliseconds linger{30};
  /// How long a stop waits for what was received to be applied and durable.
  std::chrono::milliseconds drain_timeout{10'000};
};

/// What a link's applying thread does: when an item is waited for, given to the sink, flushed; what becomes of each
/// kind of error; when the link drains and ends. It opens nothing, waits for nothing and reads no clock: items,
/// errors and times go in, calls to the sink and times to wait come out, so that its rules are tested without a
/// server. Link drives it, session after session:
///
///   begin_session; while streaming: apply(item); while draining: drain(item, now)
///   whatever was thrown on the way, also by connecting: failed(error, now)
///   while backing off: wait for `backoff`, then backed_off
///
/// It shares nothing with another of its kind: a process has as many as it has links.
/// Threads: one; `phase`, `sessions` and `request_new_session` belong to any.
class LinkCore {
 public:
  using Clock = LinkState::Clock;

  /// `stop`: drain, then end. `abort`: do not wait for the draining. Lifetime: `progress` outlives it.
  LinkCore(LinkCoreOptions options, Progress& progress, std::stop_token stop, std::stop_token abort);

  [[nodiscard]] LinkPhase phase() const { return phase_.load(); }
  /// Sessions begun so far.
  [[nodiscard]] int sessions() const { return sessions_.load(); }
  /// Ends the session and begins another from the progress row.
  void request_new_session() { new_session_ = true; }

  /// Whether the session that is opened now asks for large transactions in blocks. To be asked once for each.
  [[nodiscard]] bool takes_streamed();
  /// How long the queue may stand still before the session that is opened now lets go of what cannot be kept, although
  /// the target has not come further in it. Longer with each session that ended so: a transaction that needs its time
  /// gets it at some point.
  [[nodiscard]] std::chrono::milliseconds patience() const;
  /// Both ends are there, the stream begins at `start`. Lifetime: both outlive the session, which ends with kDraining's
  /// end or with `failed`.
  void begin_session(TransactionQueue& queue, TransactionSink& sink, Lsn start, Clock::time_point now);

  /// How long to wait for the queue's next item before `apply` or `drain` is called without one.
  [[nodiscard]] std::chrono::milliseconds wait() const;
  /// One step while streaming: gives `item` to the sink; without one, has it apply what was gathered.
  /// Errors: what the sink throws, ReplayNeeded when a new session was asked for or the receiver has let go of
  /// something and all before that is applied: for `failed`.
  void apply(std::optional<SourceItem> item);
  /// One step while draining, once the queue's writer was told to end: the same, until the queue has given all that it
  /// got and that is durable, or the time is over. Errors: as `apply`.
  void drain(std::optional<SourceItem> item, Clock::time_point now);

  /// The one place where a link's failures end up: each becomes an event of the state machine. The session is over.
  void failed(const std::exception_ptr& error, Clock::time_point now);

  /// How long to stay in kBackingOff; a stop ends it early.
  [[nodiscard]] std::chrono::milliseconds backoff() const { return state_.backoff(); }
  void backed_off();

  /// Why the link stopped by itself; null while it runs and after a stop by request.
  [[nodiscard]] std::exception_ptr stopped_by() const { return stopped_by_; }

 private:
  // What lives from one connection to its end.
  struct Session {
    TransactionQueue* queue;
    TransactionSink* sink;
    Lsn applied;                     // when it began
    std::optional<Lsn> first_end{};  // of the first transaction that the sink got
    bool flushed = false;            // nothing was taken since
    std::optional<Clock::time_point> drain_until{};
    std::optional<Lsn> drained_to{};  // what has to be durable, once the queue has given everything
  };

  void take(SourceItem item);
  void begin_again_when_used_up();
  void look_for_stop();
  void decide(const std::exception_ptr& error, Clock::time_point now);
  [[nodiscard]] bool may_pass_without_blocks(const PgError& failure);
  void end_session();
  void note(const std::exception& error) const;

  LinkCoreOptions options_;
  Progress& progress_;
  std::stop_token stop_;
  std::stop_token abort_;
  LinkState state_;
  std::optional<Session> session_;
  int in_vain_ = 0;              // sessions in a row that let go of something before the target came further
  bool streams_large_ = true;    // the next session may ask for large transactions in blocks
  bool takes_streamed_ = false;  // the last session that was opened did
  std::exception_ptr stopped_by_;
  std::atomic<LinkPhase> phase_{LinkPhase::kConnecting};
  std::atomic<bool> new_session_{false};
  std::atomic<int> sessions_{0};
};

}  // namespace teal
