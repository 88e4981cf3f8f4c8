#include "engine/stream_reader.h"

#include <algorithm>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kAcknowledgeInterval{200};
// Somebody may begin to wait for the observer, with rows locked.
constexpr std::chrono::milliseconds kObservedPause{20};
// A sink's answer to the last slice that went ahead comes when what is in the queue is written.
constexpr std::chrono::milliseconds kAnswerPause{2};
// What comes behind a block waits so much longer, because its rows go ahead, than if they had only been spooled.
constexpr std::chrono::seconds kAheadHoldsUpMost{2};

}  // namespace

StreamReader::StreamReader(StreamReaderOptions options, std::chrono::milliseconds sender_timeout,
                           TransactionQueue& queue, Progress& progress, Clock::time_point now)
    : options_(std::move(options)),
      progress_(progress),
      decoder_({options_.link, {options_.own_origin_prefix, options_.slice_bytes_max}, options_.spool}),
      inlet_({options_.link, options_.observer, options_.spool, options_.patience}, queue, progress),
      heard_(now),
      told_(now),
      asked_(now) {
  if (sender_timeout.count() > 0) options_.status_interval = std::min(options_.status_interval, sender_timeout / 3);
  allow_ahead();
}

// Nothing is written before the source has shown that it is the one that is expected.
void StreamReader::allow_ahead() {
  decoder_.allow_ahead(options_.ahead && options_.observer == nullptr && !options_.expected);
}

bool StreamReader::add(Frame frame) {
  burst_bytes_ += frame.bytes().size();
  const auto envelope = parse_copy_data(frame.bytes());
  if (!envelope) decoder_.stop_for(envelope.error(), Lsn{});
  if (const auto* keepalive = std::get_if<PrimaryKeepalive>(&*envelope)) {
    progress_.set_received(keepalive->wal_end);
    // Inside a transaction the end of WAL says nothing about that transaction.
    if (!decoder_.in_transaction()) push(WalEnd{keepalive->wal_end, keepalive->send_time});
    return keepalive->reply_requested;
  }
  const auto& data = std::get<XLogData>(*envelope);
  progress_.set_received(data.start);
  auto item = decoder_.add(data.start, data.payload, std::move(frame));
  if (options_.observer != nullptr) inlet_.leave_room(decoder_.spooled_bytes());
  if (!decoder_.in_transaction()) ahead_held_up_ = {};
  if (item) push(std::move(*item));
  if (decoder_.waiting()) progress_.set_stalled(true);
  return false;
}

// They are in the spool too: better from there than that others wait for them.
void StreamReader::limit_ahead(Clock::duration held_up) {
  ahead_held_up_ += held_up;
  if (ahead_held_up_ > kAheadHoldsUpMost) decoder_.give_up_ahead();
}

// The queue took what waited in front of it: the source waits for the answer all the same.
void StreamReader::refill_queue(Clock::time_point now) {
  inlet_.refill(now);
  if (!inlet_.full() && decoder_.waiting()) progress_.set_stalled(true);
}

void StreamReader::look_for_answer() {
  decoder_.look();
  if (!decoder_.waiting()) progress_.set_stalled(false);
}

void StreamReader::go_on(Clock::time_point now) {
  if (inlet_.full() && decoder_.goes_ahead()) limit_ahead(now - heard_);
  heard_ = now;  // nobody listened meanwhile: silence proves nothing
  if (inlet_.full()) {
    if (options_.observer == nullptr) {
      refill_queue(now);
    } else {
      inlet_.look(now);
    }
  } else if (decoder_.waiting()) {
    look_for_answer();
  } else if (decoder_.replaying() && !observer_is_full()) {
    if (auto slice = decoder_.replay()) push(std::move(*slice));
  }
}

bool StreamReader::refill(Clock::time_point now) { return options_.observer != nullptr && inlet_.refill(now); }

std::chrono::milliseconds StreamReader::hold_up_pause() const {
  if (!inlet_.full() && decoder_.waiting()) return kAnswerPause;
  return options_.observer == nullptr ? options_.status_interval : kObservedPause;
}

// The source has to show that it is the one whose changes the target has: before anything later may be applied.
void StreamReader::look_for_expected(const SourceItem& item) {
  const CommitMark& mark = *options_.expected;
  Lsn from;
  if (const auto* slice = std::get_if<TransactionSlice>(&item)) {
    if (slice->facts.final_lsn < mark.end_lsn) {
      if (slice->last && slice->end_lsn == mark.end_lsn && slice->facts.xid == mark.xid) {
        options_.expected.reset();
        allow_ahead();
      }
      return;
    }
    from = slice->facts.final_lsn;
  } else {
    from = std::get<WalEnd>(item).lsn;
    if (from < mark.end_lsn) return;
  }
  throw Stopped(StopCode::kRefused,
                "link " + options_.link + ": the source has gone back: transaction " + std::to_string(mark.xid.value) +
                    ", whose commit ended at " + to_string(mark.end_lsn) +
                    ", is on the target and not in the source's " + "log, which goes on at " + to_string(from) +
                    " (its storage was set back, a restore?): the target has rows that the source lost, and new "
                    "changes were taken for old ones; end this migration with `teal finish` and start over");
}

void StreamReader::show(SourceItem& item) {
  if (auto* slice = std::get_if<TransactionSlice>(&item)) {
    options_.observer->slice(*slice);
  } else {
    options_.observer->passed(std::get<WalEnd>(item).lsn);
  }
}

void StreamReader::push(SourceItem item) {
  if (!std::holds_alternative<WalEnd>(item)) {
    const auto* slice = std::get_if<TransactionSlice>(&item);
    only_own_ = only_own_ && slice != nullptr && slice->facts.own;
  }
  if (options_.expected) look_for_expected(item);
  if (options_.observer != nullptr) show(item);
  inlet_.push(std::move(item));
}

std::optional<std::chrono::milliseconds> StreamReader::pace(Clock::time_point now) {
  pacer_.read(std::exchange(burst_bytes_, 0), now);
  progress_.set_behind(pacer_.dense() || inlet_.waiting());
  return pacer_.rest(now);
}

bool StreamReader::observe_only() {
  if (options_.observer == nullptr) return false;
  inlet_.stop();
  return true;
}

void StreamReader::stop() {
  stopped_ = true;
  inlet_.stop();
}

void StreamReader::end() {
  if (options_.observer != nullptr) options_.observer->ended();
}

std::chrono::milliseconds StreamReader::status_pause() const {
  return std::min(options_.status_interval, kAcknowledgeInterval);
}

// Asking for a reply keeps the end of WAL known while the source is idle, and proves that somebody is there. So it does
// where nothing but teal's own transactions come: two links that answer each other's progress never fall silent. A
// source that sends work of applications is not asked: with a backlog it would give the time of now to a position of
// long ago.
std::optional<StandbyStatusUpdate> StreamReader::status_due(Clock::time_point now, bool last) {
  inlet_.look(now);
  const bool silent = now - told_ >= options_.status_interval;
  const bool looks = now - asked_ >= options_.status_interval;
  const bool hears = now - heard_ < options_.status_interval;
  const bool due = silent || (looks && (!hears || (only_own_ && !pacer_.dense())));
  if (due || looks) asked_ = now;
  if (looks) only_own_ = true;
  const StandbyStatusUpdate update = status(due);
  if (!due && !last && update.flushed == acknowledged_) return std::nullopt;
  acknowledged_ = update.flushed;
  told_ = now;
  return update;
}

StandbyStatusUpdate StreamReader::status(bool ask) const {
  const Lsn durable = progress_.durable();
  return {progress_.received(), durable, durable, Timestamp{}, ask};
}

void StreamReader::check_source(Clock::time_point now) const {
  if (progress_.source_leaves()) throw PgError("read the stream", "the source is shutting down", "57P01");
  if (!stopped_ && now - heard_ > options_.silence_max) {
    throw PgError("read the stream",
                  "nothing was heard from the source for " + std::to_string(options_.silence_max.count()) + " ms", "");
  }
}

}  // namespace teal
