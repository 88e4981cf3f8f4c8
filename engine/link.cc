#include "engine/link.h"

#include <utility>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/transaction_queue.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kIdleWait{20};  // between looks at durability while nothing arrives

}  // namespace

// What lives from one connection to its end.
struct Link::Session {
  Session(OpenedSink opened, const LinkOptions& options, Progress& progress, std::stop_token abort)
      : sink(std::move(opened.sink)),
        queue(options.queue_bytes_max, progress),
        receiver(options.receiver, ReplicationStream::open(options.stream, opened.start, std::move(abort)), queue,
                 progress),
        thread([this] { receiver.run(); }) {}
  ~Session() {
    receiver.finish();
    thread.join();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::unique_ptr<TransactionSink> sink;
  std::optional<Lsn> first_end;  // of the first transaction that it gave to the sink
  TransactionQueue queue;
  Receiver receiver;
  std::jthread thread;
};

Link::Link(LinkOptions options, SinkFactory open_sink)
    : options_(std::move(options)), open_sink_(std::move(open_sink)), state_(options_.backoff, options_.seed) {}

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

bool Link::wait_ended(milliseconds wait) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [this] { return ended_; });
}

// The one place where a link's failures end up: each becomes an event of the state machine.
void Link::run() {
  while (state_.phase() != LinkPhase::kStopped) {
    phase_ = state_.phase();
    try {
      run_session();
    } catch (const ReplayNeeded& error) {
      note(error);
      state_.replay();
    } catch (const SpillFailed& error) {
      note(error);
      streams_large_ = false;
      state_.replay();
    } catch (const PgError& error) {
      note(error);
      if (error.error_class() == ErrorClass::kStop) {  // also while draining: the operator has to hear of it
        stopped_by_ = std::current_exception();
        state_.stopped();
      } else if (stop_.stop_requested()) {
        state_.stopped();
      } else {
        state_.failed(Clock::now(), error.sqlstate().starts_with("53"));
      }
    } catch (const std::exception& error) {
      note(error);
      stopped_by_ = std::current_exception();
      state_.stopped();
    }
    if (state_.phase() == LinkPhase::kBackingOff) back_off();
  }
  phase_ = LinkPhase::kStopped;
  log_event(LogLevel::kInfo, "link ended", {{"link", options_.name}, {"durable", to_string(progress_.durable())}});
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void Link::note(const std::exception& error) {
  log_event(LogLevel::kWarn, "link interrupted", {{"link", options_.name}, {"reason", error.what()}});
}

void Link::back_off() {
  phase_ = LinkPhase::kBackingOff;
  if (pause_for(state_.backoff(), stop_.get_token())) {
    state_.waited();
  } else {
    state_.stop_requested();
  }
}

void Link::run_session() {
  OpenedSink opened = open_sink_(abort_.get_token());
  const Lsn start = opened.start.held;
  // After a spill that failed, the source keeps what is large, for as long as this one session lives.
  opened.start.streaming = options_.receiver.spool.bytes_max > 0 && std::exchange(streams_large_, true);
  progress_.reset();
  Session session(std::move(opened), options_, progress_, abort_.get_token());
  state_.connected(Clock::now());
  phase_ = state_.phase();
  ++sessions_;
  log_event(LogLevel::kInfo, "link streaming", {{"link", options_.name}, {"lsn", to_string(start)}});
  apply(session);
  state_.stop_requested();
  phase_ = state_.phase();
  drain(session);
  state_.drained();
}

// Applies what is queued; with nothing queued, applies what was gathered, unless more is known to be on its way.
void Link::apply(Session& session) {
  while (!stop_.stop_requested()) {
    if (new_session_.exchange(false)) throw ReplayNeeded("a new session was asked for");
    const milliseconds linger = session.queue.behind() ? options_.linger : milliseconds(0);
    if (!take(session, linger)) {
      session.sink->flush();
      progress_.set_durable(session.sink->durable());
      take(session, kIdleWait);
    }
    progress_.set_durable(session.sink->durable());
    if (session.first_end && session.sink->applied() >= *session.first_end) state_.progressed();
  }
}

// Hands the next item to the sink. Returns false when none came.
bool Link::take(Session& session, milliseconds wait) {
  std::optional<SourceItem> item = session.queue.next(wait);
  if (!item) return false;
  if (const auto* end = std::get_if<WalEnd>(&*item)) {
    session.sink->idle(end->lsn, end->time);
    return true;
  }
  auto& slice = std::get<TransactionSlice>(*item);
  const bool last = slice.last;
  const Lsn end_lsn = slice.end_lsn;
  if (slice.first) session.sink->begin(slice.facts);
  session.sink->append(std::move(slice));
  if (last) session.sink->commit(end_lsn);
  if (last && !session.first_end) session.first_end = end_lsn;
  return true;
}

void Link::drain(Session& session) {
  session.receiver.stop_reading();
  const auto deadline = Clock::now() + options_.drain_timeout;
  while (!session.queue.drained() && Clock::now() < deadline && !abort_.stop_requested()) take(session, kIdleWait);
  session.sink->flush();
  Lsn durable = session.sink->durable();
  const Lsn wanted = session.sink->applied();
  while (durable < wanted && Clock::now() < deadline && !abort_.stop_requested()) {
    pause_for(kIdleWait, abort_.get_token());
    durable = session.sink->durable();
  }
  progress_.set_durable(durable);  // the session's end sends it
}

}  // namespace teal
