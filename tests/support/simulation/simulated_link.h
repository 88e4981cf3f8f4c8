#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <vector>

#include "engine/link_core.h"
#include "engine/progress.h"
#include "engine/stream_reader.h"
#include "tests/support/simulation/mistake.h"
#include "tests/support/simulation/model_observer.h"
#include "tests/support/simulation/model_sink.h"
#include "tests/support/simulation/model_source.h"
#include "tests/support/simulation/model_target.h"

namespace teal::test {

struct SimulatedLinkOptions {
  std::size_t queue_bytes_max = 0;
  std::size_t slice_bytes_max = 0;
  std::uint64_t spool_bytes_max = 0;
  bool observed = false;                        ///< by somebody who is waited for at times, as in links of two ways
  std::chrono::milliseconds sender_timeout{0};  ///< the source's
  std::uint64_t seed = 0;
  Mistake mistake = Mistake::kNone;
};

/// A process with one link, in one thread and with a clock that is given to it: LinkCore and StreamReader as they are,
/// and what Link's and Receiver's threads do with them, a step at a time in any order. It ends like a `kill -9`.
/// Lifetime: source, target and random outlive it.
class SimulatedLink {
 public:
  using Clock = LinkCore::Clock;

  SimulatedLink(SimulatedLinkOptions options, ModelSource& source, ModelTarget& target, std::mt19937_64& random,
                Clock::time_point now);

  /// When one of the two threads has something to do; may be in the past.
  [[nodiscard]] Clock::time_point next_at() const;
  /// Does what is due. Errors: Violation.
  void step(Clock::time_point now);

  [[nodiscard]] LinkPhase phase() const { return core_.phase(); }
  [[nodiscard]] std::exception_ptr stopped_by() const { return core_.stopped_by(); }
  /// As Link's.
  void request_stop();
  void request_new_session() { core_.request_new_session(); }
  void let_source_go();

  /// The servers cannot be reached before that. What is connected stays so.
  void refuse_connections(Clock::time_point until) { refused_until_ = until; }
  /// The stream's connection is lost, with everything that is on its way.
  void cut();
  /// Nothing passes on this stream's connection before that.
  void hold(Clock::time_point until) { held_until_ = until; }
  /// The next call to the target returns no earlier.
  void stall_target(Clock::time_point until) { stalled_until_ = until; }
  /// The next message arrives without its end, which is a bug of somebody's.
  void tear_next_message() { tears_ = true; }
  /// The sink of the session, null without one.
  [[nodiscard]] ModelSink* sink() { return session_ ? &session_->sink : nullptr; }

 private:
  /// What lives from one connection to its end, as in Link.
  struct Session {
    Session(const SimulatedLink& link, const ModelTarget::Row& row, Progress& progress);

    ModelSink sink;
    ModelObserver observer;
    TransactionQueue queue;
    StreamReader reader;
    Clock::time_point read_at;    ///< the receiver's coroutine that reads, ...
    Clock::time_point status_at;  ///< ... and the one that acknowledges
    Clock::time_point told_at;    ///< the last acknowledgement
    std::chrono::milliseconds patience;
    bool has_room = false;  ///< the queue has told
    std::optional<Clock::time_point> held_up_since;
    bool cut = false;
    bool stop_reading = false;
    bool reading_ended = false;
    bool receiver_ended = false;
    std::vector<StandbyStatusUpdate> on_the_way;
  };

  [[nodiscard]] bool link_is_due() const;
  [[nodiscard]] bool receiver_lives() const;
  void step_link();
  void connect();
  void stream();
  void drain();
  std::optional<SourceItem> take();
  bool waits(bool has_item);
  void worked();
  void fail(const std::exception_ptr& error);
  void end_session();

  void step_receiver();
  void read();
  void add(const Bytes& message);
  void misread(const Bytes& message);
  void tell(StandbyStatusUpdate update);
  void deliver();
  [[nodiscard]] bool can_read() const;
  void check_source_is_served() const;
  void check_observer_is_served();

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  SimulatedLinkOptions options_;
  ModelSource& source_;
  ModelTarget& target_;
  std::mt19937_64& random_;
  Clock::time_point now_;
  std::stop_source stop_;
  std::stop_source abort_;
  Progress progress_;
  LinkCore core_;
  std::unique_ptr<Session> session_;

  Clock::time_point link_at_;  // the link's thread goes on then, ...
  bool waiting_ = false;       // ... or earlier, when something is queued
  Clock::time_point refused_until_{};
  Clock::time_point held_until_{};
  std::optional<Clock::time_point> source_leaves_since_;
  Clock::time_point stalled_until_{};
  bool tears_ = false;
};

}  // namespace teal::test
