#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "engine/link_core.h"
#include "engine/progress.h"
#include "engine/replication_stream.h"
#include "engine/stream_reader.h"
#include "engine/transaction_sink.h"

namespace teal {

/// A sink that is ready, and where the source has to begin.
struct OpenedSink {
  std::unique_ptr<TransactionSink> sink;
  StreamStart start;
};

/// Opens the target end: connects, takes the origin, reads the progress row. Called again after every failure.
/// `abort` cancels what waits for the target.
using SinkFactory = std::function<OpenedSink(std::stop_token abort)>;

struct LinkOptions {
  LinkCoreOptions core;
  StreamOptions stream;
  StreamReaderOptions reader;
  std::size_t queue_bytes_max = 16U << 20U;
};

/// What the stream's session has behind its name in pg_stat_activity while nothing of it is applied.
inline constexpr std::string_view kObservedSuffix = "-observed";

/// One direction: a source's stream applied to a target, until it is stopped or has to stop.
///
/// Two threads: this one's body applies (its rules are LinkCore's), and per session one receives (Receiver). They share
/// the queue, Progress and the stop. A failure of either ends the session of both; the next begins at the progress row,
/// which is the only memory that counts. An observed stream is read on while the link backs off, for the other link,
/// which may depend on what the observer learns. Threads: public calls from any thread.
class Link {
 public:
  Link(LinkOptions options, SinkFactory open_sink);
  /// Stops without draining and joins.
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void start();
  /// Drains (applies what was received), then ends. A second call gives up draining, and observing.
  void request_stop();
  /// Waits until the link has ended. Returns false when it still runs after `wait`. An observed stream is read on for
  /// the observer also then, whatever ended the link: another link may depend on what it learns.
  bool wait_ended(std::chrono::milliseconds wait);

  /// Ends the session and begins another from the progress row: the source then decodes with nothing remembered.
  void request_new_session() { core_.request_new_session(); }
  /// The source waits for its walsender, which waits for us: hangs up, also while the target stands still. The next
  /// session begins when both are there again.
  void let_source_go() { progress_.set_source_leaves(); }
  /// Sessions begun so far.
  [[nodiscard]] int sessions() const { return core_.sessions(); }

  [[nodiscard]] LinkPhase phase() const { return core_.phase(); }
  /// Why the link stopped by itself; null after a stop by request. Valid after `wait_ended`.
  [[nodiscard]] std::exception_ptr stopped_by() const { return core_.stopped_by(); }
  [[nodiscard]] const Progress& progress() const { return progress_; }
  [[nodiscard]] const std::string& name() const { return options_.core.name; }

 private:
  struct Session;

  void run();
  void run_session();
  void back_off(LinkCore::Clock::time_point until);
  void observe();
  void observe_session(const std::stop_token& stop, LinkCore::Clock::time_point until);
  std::optional<SourceItem> next_item(Session& session);

  LinkOptions options_;
  SinkFactory open_sink_;
  std::stop_source stop_;   // drain, then end
  std::stop_source abort_;  // end now
  Progress progress_;
  LinkCore core_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool ended_ = false;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace teal
