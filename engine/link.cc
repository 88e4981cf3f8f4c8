#include "engine/link.h"

#include <utility>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/receiver.h"
#include "engine/transaction_queue.h"

namespace teal {
namespace {

using Clock = LinkCore::Clock;

constexpr std::chrono::milliseconds kLook{100};  // whether it is time to stop, while nothing is applied
constexpr std::chrono::milliseconds kObserveAgain{1'000};
constexpr std::chrono::milliseconds kObservedPauseLeast{500};  // a shorter one is over before much was read

}  // namespace

// What lives from one connection to its end.
struct Link::Session {
  Session(OpenedSink opened, const LinkOptions& options, Progress& progress, std::stop_token abort)
      : sink(std::move(opened.sink)),
        queue(options.queue_bytes_max, progress),
        receiver(options.reader, ReplicationStream::open(options.stream, opened.start, std::move(abort)), queue,
                 progress),
        thread([this] { receiver.run(); }) {}
  ~Session() {
    receiver.finish();
    thread.join();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::unique_ptr<TransactionSink> sink;
  TransactionQueue queue;
  Receiver receiver;
  std::jthread thread;
};

Link::Link(LinkOptions options, SinkFactory open_sink)
    : options_(std::move(options)),
      open_sink_(std::move(open_sink)),
      core_(options_.core, progress_, stop_.get_token(), abort_.get_token()) {}

Link::~Link() {
  stop_.request_stop();
  abort_.request_stop();
}

void Link::start() {
  thread_ = std::jthread([this] { run(); });
}

void Link::request_stop() {
  if (!stop_.request_stop()) abort_.request_stop();
}

bool Link::wait_ended(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [this] { return ended_; });
}

void Link::run() {
  while (core_.phase() != LinkPhase::kStopped) {
    try {
      run_session();
    } catch (const std::exception&) {
      core_.failed(std::current_exception(), Clock::now());
    }
    if (core_.phase() == LinkPhase::kBackingOff) {
      back_off(Clock::now() + core_.backoff());
      core_.backed_off();
    }
  }
  log_event(LogLevel::kInfo, "link ended", {{"link", name()}, {"durable", to_string(progress_.durable())}});
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (options_.reader.observer != nullptr) observe();
}

// A target that refuses for a while must not hold up the other link, whose decisions need what this stream brings.
void Link::back_off(Clock::time_point until) {
  if (options_.reader.observer != nullptr && until - Clock::now() >= kObservedPauseLeast) {
    try {
      observe_session(stop_.get_token(), until);
    } catch (const std::exception& error) {  // which the next session meets as well, and decides about
      log_event(LogLevel::kDebug, "stream is not read on for the other link",
                {{"link", name()}, {"reason", error.what()}});
    }
  }
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  if (rest.count() > 0) pause_for(rest, stop_.get_token());
}

// Sessions that apply nothing, each from the progress row.
void Link::observe() {
  bool told = false;
  while (!abort_.stop_requested()) {
    try {
      observe_session(abort_.get_token(), Clock::time_point::max());
    } catch (const PgError& error) {
      if (!std::exchange(told, true) && !abort_.stop_requested()) {
        log_event(LogLevel::kWarn, "stream is not read on for the other link, trying again",
                  {{"link", name()}, {"reason", error.what()}});
      }
      pause_for(kObserveAgain, abort_.get_token());
    } catch (const std::exception& error) {
      log_event(LogLevel::kError, "stream is not read on for the other link",
                {{"link", name()}, {"reason", error.what()}});
      return;
    }
  }
}

void Link::observe_session(const std::stop_token& stop, Clock::time_point until) {
  OpenedSink opened = open_sink_(abort_.get_token());
  progress_.reset();
  const Lsn applied = opened.sink->applied();
  LinkOptions options = options_;
  options.stream.connect.application_name += kObservedSuffix;
  options.reader.for_observer_alone = true;
  Session session(std::move(opened), options, progress_, abort_.get_token());
  log_event(LogLevel::kInfo, "stream is read on for the other link", {{"link", name()}, {"lsn", to_string(applied)}});
  while (!stop.stop_requested() && Clock::now() < until) (void)session.queue.next(kLook);
}

void Link::run_session() {
  OpenedSink opened = open_sink_(abort_.get_token());
  const Lsn start = opened.start.held;
  opened.start.streaming = options_.reader.spool.bytes_max > 0 && core_.takes_streamed();
  options_.reader.patience = core_.patience();
  progress_.reset();
  Session session(std::move(opened), options_, progress_, abort_.get_token());
  core_.begin_session(session.queue, *session.sink, start, Clock::now());
  while (core_.phase() == LinkPhase::kStreaming) core_.apply(session.queue.next(core_.wait()));
  session.receiver.stop_reading();
  while (core_.phase() == LinkPhase::kDraining) core_.drain(next_item(session), Clock::now());
}

// While draining: what the target has to flush is waited for when nothing more can come.
std::optional<SourceItem> Link::next_item(Session& session) {
  if (!session.queue.drained()) return session.queue.next(core_.wait());
  pause_for(core_.wait(), abort_.get_token());
  return std::nullopt;
}

}  // namespace teal
