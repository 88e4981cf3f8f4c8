#include "engine/link_core.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/spill_file.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kIdleWait{20};  // between looks at durability while nothing arrives
constexpr milliseconds kPatience{1'000};
constexpr int kPatienceDoubledMost = 6;

}  // namespace

LinkCore::LinkCore(LinkCoreOptions options, Progress& progress, std::stop_token stop, std::stop_token abort)
    : options_(std::move(options)),
      progress_(progress),
      stop_(std::move(stop)),
      abort_(std::move(abort)),
      state_(options_.backoff, options_.seed) {}

// After a spill that failed, the source keeps what is large, for as long as this one session lives.
bool LinkCore::takes_streamed() {
  takes_streamed_ = std::exchange(streams_large_, true);
  return takes_streamed_;
}

milliseconds LinkCore::patience() const { return kPatience * (1 << std::min(in_vain_, kPatienceDoubledMost)); }

void LinkCore::begin_session(TransactionQueue& queue, TransactionSink& sink, Lsn start, Clock::time_point now) {
  session_ = Session{.queue = &queue, .sink = &sink, .applied = sink.applied()};
  state_.connected(now);
  phase_ = state_.phase();
  ++sessions_;
  progress_.set_received(start);  // what lies below was received by an earlier session
  log_event(LogLevel::kInfo, "link streaming", {{"link", options_.name}, {"lsn", to_string(start)}});
  look_for_stop();
}

milliseconds LinkCore::wait() const {
  if (state_.phase() == LinkPhase::kDraining || session_->flushed) return kIdleWait;
  // A flush now would make small batches of what is known to be on its way.
  return session_->queue->behind() ? options_.linger : milliseconds(0);
}

// Applies what is queued; with nothing queued, applies what was gathered, and then waits for a while.
void LinkCore::apply(std::optional<SourceItem> item) {
  if (new_session_.exchange(false)) throw ReplayNeeded("a new session was asked for");
  Session& session = *session_;
  if (item) {
    take(std::move(*item));
    session.flushed = false;
  } else if (session.flushed) {
    session.flushed = false;  // waited in vain: look once more, and have the sink move an idle position
  } else {
    session.sink->flush();
    session.flushed = true;
  }
  progress_.set_durable(session.sink->durable());
  const Lsn applied = session.sink->applied();
  if (session.first_end && applied >= *session.first_end) state_.progressed();
  if (applied > session.applied) progress_.set_advanced();
  begin_again_when_used_up();
  look_for_stop();
}

void LinkCore::begin_again_when_used_up() {
  if (!session_->flushed || !session_->queue->used_up()) return;
  in_vain_ = progress_.advanced() ? 0 : in_vain_ + 1;
  throw ReplayNeeded("what could not be kept is read again");
}

void LinkCore::take(SourceItem item) {
  TransactionSink& sink = *session_->sink;
  if (const auto* end = std::get_if<WalEnd>(&item)) {
    sink.idle(end->lsn, end->time);
    return;
  }
  if (auto* ahead = std::get_if<AheadSlice>(&item)) {
    const std::shared_ptr<AheadTrial> trial = ahead->trial;
    const Lsn ends = ahead->slice.last ? ahead->slice.end_lsn : Lsn{};
    sink.ahead(std::move(*ahead));
    if (trial->done() && !session_->first_end) session_->first_end = ends;
    return;
  }
  auto& slice = std::get<TransactionSlice>(item);
  const bool last = slice.last;
  const Lsn end_lsn = slice.end_lsn;
  if (slice.first) sink.begin(slice.facts);
  sink.append(std::move(slice));
  if (last) sink.commit(end_lsn);
  if (last && !session_->first_end) session_->first_end = end_lsn;
}

void LinkCore::look_for_stop() {
  if (!stop_.stop_requested()) return;
  state_.stop_requested();
  phase_ = state_.phase();
}

void LinkCore::drain(std::optional<SourceItem> item, Clock::time_point now) {
  Session& session = *session_;
  if (!session.drain_until) session.drain_until = now + options_.drain_timeout;
  const bool in_time = now < *session.drain_until && !abort_.stop_requested();
  if (item) take(std::move(*item));
  if (in_time && !session.queue->drained()) return;
  if (!session.drained_to) {
    session.sink->flush();
    session.drained_to = session.sink->held();
  }
  const Lsn durable = session.sink->durable();
  progress_.set_durable(durable);  // the session's end sends it
  const bool all = session.queue->drained() && durable >= *session.drained_to;
  if (in_time && !all) return;
  if (!all) {
    log_event(
        LogLevel::kWarn, "not drained, ending",
        {{"link", options_.name}, {"received", to_string(progress_.received())}, {"durable", to_string(durable)}});
  }
  state_.drained();
  end_session();
}

void LinkCore::failed(const std::exception_ptr& error, Clock::time_point now) {
  decide(error, now);
  end_session();
}

void LinkCore::decide(const std::exception_ptr& error, Clock::time_point now) {
  try {
    std::rethrow_exception(error);
  } catch (const ReplayNeeded& replay) {
    note(replay);
    state_.replay();
  } catch (const SpillFailed& spill) {
    note(spill);
    streams_large_ = false;
    state_.replay();
  } catch (const PgError& failure) {
    note(failure);
    // Also while draining: the operator has to hear of it.
    if (failure.error_class() == ErrorClass::kStop && !may_pass_without_blocks(failure)) {
      stopped_by_ = error;
      state_.stopped();
    } else if (stop_.stop_requested()) {
      state_.stopped();
    } else {
      state_.failed(now, failure.sqlstate().starts_with("53"));
    }
  } catch (const std::exception& other) {
    note(other);
    stopped_by_ = error;
    state_.stopped();
  }
}

// A source may fail at what it would never send of a transaction that has ended: it looks up the storage of a table
// that was made anew in a subtransaction which is being rolled back ("could not map filenode", seen on 15).
bool LinkCore::may_pass_without_blocks(const PgError& failure) {
  const bool in_blocks = takes_streamed_ && dynamic_cast<const StreamError*>(&failure) != nullptr;
  if (!in_blocks || failure.sqlstate() != "XX000") return false;
  streams_large_ = false;
  return true;
}

void LinkCore::end_session() {
  session_.reset();
  phase_ = state_.phase();
}

void LinkCore::note(const std::exception& error) const {
  log_event(LogLevel::kWarn, "link interrupted", {{"link", options_.name}, {"reason", error.what()}});
}

void LinkCore::backed_off() {
  if (stop_.stop_requested()) {
    state_.stop_requested();
  } else {
    state_.waited();
  }
  phase_ = state_.phase();
}

}  // namespace teal
