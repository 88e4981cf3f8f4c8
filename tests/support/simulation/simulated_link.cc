#include "tests/support/simulation/simulated_link.h"

#include <algorithm>
#include <utility>

#include "decoder/copy_data.h"
#include "engine/pg_error.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;

// Without a time limit of the source's, silence of teal's that nobody would take for life.
constexpr milliseconds kSilence{10'000};
constexpr milliseconds kLetGoWithin{1'000};

// Nameless files in memory: a disk would hold the simulation up.
constexpr const char* kSpoolDirectory = "/dev/shm";

StreamReaderOptions reader_options(const SimulatedLinkOptions& options, StreamObserver& observer,
                                   milliseconds patience) {
  StreamReaderOptions reader;
  reader.link = "simulation";
  reader.own_origin_prefix = ModelSource::kOwnOrigin;
  reader.slice_bytes_max = options.slice_bytes_max;
  reader.spool = {kSpoolDirectory, options.spool_bytes_max};
  if (options.observed && options.mistake != Mistake::kWaitsForRoom) reader.observer = &observer;
  reader.patience = patience;
  reader.ahead = true;
  return reader;
}

}  // namespace

SimulatedLink::Session::Session(const SimulatedLink& link, const ModelTarget::Row& row, Progress& progress)
    : sink(link.target_, row, link.random_, link.options_.mistake),
      observer(link.source_),
      queue(link.options_.queue_bytes_max, progress),
      reader(reader_options(link.options_, observer, link.core_.patience()), link.options_.sender_timeout, queue,
             progress, link.now_),
      read_at(link.now_),
      status_at(link.now_),
      told_at(link.now_),
      patience(link.core_.patience()) {
  queue.on_space([this] {
    has_room = true;
    if (reader.held_up()) read_at = {};
  });
}

SimulatedLink::SimulatedLink(SimulatedLinkOptions options, ModelSource& source, ModelTarget& target,
                             std::mt19937_64& random, Clock::time_point now)
    : options_(options),
      source_(source),
      target_(target),
      random_(random),
      now_(now),
      core_({.name = "simulation", .backoff = {}, .seed = options.seed}, progress_, stop_.get_token(),
            abort_.get_token()),
      link_at_(now) {}

void SimulatedLink::request_stop() {
  if (!stop_.request_stop()) abort_.request_stop();
  if (core_.phase() == LinkPhase::kBackingOff) link_at_ = now_;
}

void SimulatedLink::let_source_go() {
  progress_.set_source_leaves();
  source_leaves_since_ = source_leaves_since_.value_or(now_);
}

void SimulatedLink::cut() {
  if (session_) session_->cut = true;
}

bool SimulatedLink::link_is_due() const {
  const bool woken = waiting_ && session_ && (session_->queue.bytes() > 0 || session_->reading_ended);
  return woken || now_ >= link_at_;
}

bool SimulatedLink::receiver_lives() const {
  const bool deaf = options_.mistake == Mistake::kDeafWhileApplying && !waiting_ && now_ < link_at_;
  return session_ && !session_->receiver_ended && !deaf;
}

bool SimulatedLink::can_read() const {
  return now_ >= session_->read_at && (!session_->reader.ready() || now_ >= held_until_);
}

SimulatedLink::Clock::time_point SimulatedLink::next_at() const {
  if (link_is_due()) return now_;
  if (!receiver_lives()) return link_at_;
  const Clock::time_point next = std::min(link_at_, session_->status_at);
  if (session_->reading_ended) return next;
  if (session_->has_room) return now_;
  return std::min(next, session_->reader.ready() ? std::max(held_until_, session_->read_at) : session_->read_at);
}

void SimulatedLink::step(Clock::time_point now) {
  now_ = now;
  check_source_is_served();
  const bool link_first = below(2) == 0;
  if (link_first) step_link();
  if (receiver_lives()) step_receiver();
  if (!link_first) step_link();
}

// --- The link's thread -----------------------------------------------------------------------------------------------

void SimulatedLink::step_link() {
  if (!link_is_due()) return;
  try {
    switch (core_.phase()) {
      case LinkPhase::kConnecting:
        return connect();
      case LinkPhase::kStreaming:
        return stream();
      case LinkPhase::kDraining:
        return drain();
      case LinkPhase::kBackingOff:
        return core_.backed_off();
      case LinkPhase::kStopped:
        return;
    }
  } catch (const Violation&) {
    throw;
  } catch (const ReplayNeeded&) {
    if (options_.mistake != Mistake::kForgetsWhatItLetGo || !session_->queue.used_up()) {
      return fail(std::current_exception());
    }
    waiting_ = false;
    link_at_ = now_ + milliseconds(100);
  } catch (const PgError&) {
    if (options_.mistake != Mistake::kStaysInBrokenSession || core_.phase() != LinkPhase::kStreaming) {
      return fail(std::current_exception());
    }
    waiting_ = false;
    link_at_ = now_ + milliseconds(100);
  } catch (const std::exception&) {
    fail(std::current_exception());
  }
}

void SimulatedLink::connect() {
  if (now_ < refused_until_) throw PgError("connect", "the server is starting up", "57P03");
  const ModelTarget::Row row = target_.row();
  if (target_.origin_is_held()) {
    if (options_.mistake != Mistake::kReadsBeforeAcquiring) {
      throw PgError("take the origin", "it is held by another session", "55006");
    }
    target_.end_commit(true);
  }
  if (source_.confirmed() > row.held && options_.mistake != Mistake::kIgnoresTheGap) {
    throw Stopped(StopCode::kRefused, "gap: the slot was acknowledged beyond the target's progress row");
  }
  const Lsn held = row.held;
  const bool streaming = options_.spool_bytes_max > 0 && core_.takes_streamed();
  progress_.reset();
  source_leaves_since_.reset();
  held_until_ = {};
  session_ = std::make_unique<Session>(*this, row, progress_);
  source_.start_stream(held, streaming);
  core_.begin_session(session_->queue, session_->sink, held, now_);
}

void SimulatedLink::stream() {
  std::optional<SourceItem> item = take();
  if (waits(item.has_value())) return;
  core_.apply(std::move(item));
  worked();
  if (core_.phase() == LinkPhase::kDraining) session_->stop_reading = true;
}

void SimulatedLink::drain() {
  session_->stop_reading = true;
  std::optional<SourceItem> item;
  if (!session_->queue.drained()) item = take();
  if (waits(item.has_value())) return;
  core_.drain(std::move(item), now_);
  worked();
  if (core_.phase() == LinkPhase::kStopped) end_session();
}

// The queue's own waiting would take real time.
std::optional<SourceItem> SimulatedLink::take() {
  if (session_->queue.bytes() == 0 && !session_->reading_ended) return std::nullopt;
  return session_->queue.next(milliseconds(0));
}

// Without an item the thread waits as long as the core says, once.
bool SimulatedLink::waits(bool has_item) {
  if (has_item || waiting_ || core_.wait() == milliseconds(0)) {
    waiting_ = false;
    return false;
  }
  waiting_ = true;
  link_at_ = now_ + core_.wait();
  return true;
}

void SimulatedLink::worked() {
  link_at_ = std::max(stalled_until_, below(4) == 0 ? now_ + milliseconds(below(5)) : now_);
}

void SimulatedLink::fail(const std::exception_ptr& error) {
  link_at_ = now_ + milliseconds(1);
  end_session();
  core_.failed(error, now_);
  if (core_.phase() == LinkPhase::kBackingOff) link_at_ = now_ + core_.backoff();
}

void SimulatedLink::end_session() {
  if (session_ && !session_->receiver_ended && !session_->cut) {
    if (const auto update = session_->reader.status_due(now_, true)) tell(*update);
  }
  session_.reset();
  waiting_ = false;
}

// --- The receiver's thread -------------------------------------------------------------------------------------------

void SimulatedLink::step_receiver() {
  Session& session = *session_;
  try {
    if (session.stop_reading && !session.reading_ended) {
      session.reader.stop();
      session.queue.close(nullptr);
      session.reading_ended = true;
    }
    deliver();
    if (std::exchange(session.has_room, false)) session.has_room = session.reader.refill(now_);
    if (!session.reading_ended) read();
    check_observer_is_served();
    if (now_ < session.status_at) return;
    session.status_at = now_ + session.reader.status_pause();
    if (const auto update = session.reader.status_due(now_, false)) tell(*update);
    session.reader.check_source(now_);
  } catch (const Violation&) {
    throw;
  } catch (const std::exception&) {
    session.queue.close(std::current_exception());
    session.reader.stop();
    session.reading_ended = session.receiver_ended = true;
  }
}

void SimulatedLink::read() {
  Session& session = *session_;
  if (!can_read()) return;
  if (!session.reader.ready()) {
    session.reader.go_on(now_);
    session.read_at = session.reader.held_up() ? now_ + session.reader.hold_up_pause() : now_;
    return;
  }
  if (session.cut) throw PgError("read the stream", "the source closed the connection", "");
  session.read_at = now_ + milliseconds(1);
  for (std::uint64_t i = 1 + below(8); i > 0 && session.reader.ready(); --i) {
    const std::optional<Bytes> message = source_.next_message();
    if (!message) {
      session.read_at = now_ + milliseconds(10);
      break;
    }
    session.reader.heard(now_);
    add(*message);
  }
  static_cast<void>(session.reader.pace(now_));
  if (!session.reader.ready()) {
    session.read_at = session.reader.held_up() ? now_ + session.reader.hold_up_pause() : now_;
  }
}

void SimulatedLink::add(const Bytes& message) {
  Bytes bytes = message;
  if (std::exchange(tears_, false)) bytes.pop_back();
  if (session_->reader.add(frame_of(bytes))) tell(session_->reader.status(false));
  misread(message);
}

// What a receiver with a mistake does besides.
void SimulatedLink::misread(const Bytes& message) {
  const auto envelope = parse_copy_data(message);
  const auto* keepalive = std::get_if<PrimaryKeepalive>(&*envelope);
  if (keepalive == nullptr) return;
  if (options_.mistake == Mistake::kTakesEveryKeepalive) {
    SourceItem end = WalEnd{keepalive->wal_end, keepalive->send_time};
    static_cast<void>(session_->queue.try_push(end));
  }
  if (options_.mistake == Mistake::kIdleOvertakesQueue) {
    session_->sink.idle(keepalive->wal_end, keepalive->send_time);
    session_->sink.flush();
  }
}

void SimulatedLink::tell(StandbyStatusUpdate update) {
  if (options_.mistake == Mistake::kAcknowledgesReceived) update.flushed = update.written;
  session_->told_at = now_;
  session_->on_the_way.push_back(update);
  deliver();
}

void SimulatedLink::deliver() {
  if (now_ < held_until_ || session_->cut) return;
  for (const StandbyStatusUpdate& update : session_->on_the_way) source_.confirm(update);
  session_->on_the_way.clear();
}

// Somebody waits for it now and then.
void SimulatedLink::check_observer_is_served() {
  if (!options_.observed) return;
  Session& session = *session_;
  if (below(50) == 0) session.observer.wait();
  if (!session.observer.awaited() || !session.reader.held_up() || session.reading_ended) {
    session.held_up_since.reset();
    return;
  }
  session.held_up_since = session.held_up_since.value_or(now_);
  if (now_ - *session.held_up_since > session.patience + kLetGoWithin) {
    throw Violation("I6: the other link waits for a receiver that waits for room");
  }
}

void SimulatedLink::check_source_is_served() const {
  if (!session_ || session_->receiver_ended) return;
  const milliseconds most = options_.sender_timeout > milliseconds(0) ? options_.sender_timeout : kSilence;
  if (now_ - session_->told_at > most) throw Violation("I8: the source has waited for an answer for too long");
  if (source_leaves_since_ && now_ - *source_leaves_since_ > kLetGoWithin) {
    throw Violation("M6: the source cannot shut down");
  }
}

}  // namespace teal::test
