#include "engine/stream_decoder.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

// Messages that one call of `replay` reads at most: a few milliseconds of work.
constexpr int kReplayedAtOnce = 4096;
// From here on the log says that a transaction came in blocks: its size is what an operator sees as lag.
constexpr std::uint64_t kWorthALine = 64U << 20U;

}  // namespace

struct StreamDecoder::Committed {
  StreamCommitMessage commit;
  SpooledTransaction messages;
};

StreamDecoder::StreamDecoder(StreamDecoderOptions options)
    : link_(std::move(options.link)),
      assembler_(options.assembler),
      spool_(std::move(options.spool)),
      ahead_(std::move(options.assembler)) {}

StreamDecoder::~StreamDecoder() = default;

std::optional<SourceItem> StreamDecoder::add(Lsn lsn, std::span<const std::byte> message, Frame frame) {
  reached_ = std::max(reached_, lsn);
  const bool streamed = spool_.in_block() || (!message.empty() && is_stream_tag(static_cast<char>(message[0])));
  if (!streamed) {
    ahead_.give_up();
    return assemble(lsn, message, std::move(frame));
  }
  return add_streamed(lsn, message,
                      spool_.in_block()             ? StreamPlace::kInBlock
                      : assembler_.in_transaction() ? StreamPlace::kInTransaction
                                                    : StreamPlace::kBetween,
                      std::move(frame));
}

std::optional<TransactionSlice> StreamDecoder::replay() {
  for (int i = 0; i < kReplayedAtOnce; ++i) {
    std::optional<SpooledMessage> message = committed_->messages.next();
    if (!message) {
      const std::unique_ptr<Committed> done = std::move(committed_);
      auto last = assembler_.commit(done->commit);
      if (!last) stop_for(last.error(), done->commit.commit_lsn);
      return std::move(*last);
    }
    const auto bytes = message->frame.bytes();
    if (auto slice = assemble(message->lsn, bytes, std::move(message->frame))) return slice;
  }
  return std::nullopt;
}

std::optional<TransactionSlice> StreamDecoder::assemble(Lsn lsn, std::span<const std::byte> message, Frame frame) {
  auto added = assembler_.add(lsn, message, std::move(frame));
  if (!added) stop_for(added.error(), lsn);
  return std::move(*added);
}

std::optional<AheadSlice> StreamDecoder::add_streamed(Lsn lsn, std::span<const std::byte> message, StreamPlace place,
                                                      Frame frame) {
  const auto parsed = parse_stream_message(message, place);
  if (!parsed) stop_for(parsed.error(), lsn);
  return std::visit([&](const auto& one) { return take(one, Arrival{lsn, frame}); }, *parsed);
}

// Where several are open, one of them is soon disturbed.
std::optional<AheadSlice> StreamDecoder::take(const StreamStartMessage& start, Arrival) {
  spool_.start(start.xid, start.first_segment);
  if (start.first_segment && may_go_ahead_ && spool_.transactions() == 1) {
    // The walsender gives no position to the first block of a transaction with an origin. What came before lies below
    // its commit as well.
    ahead_.begin(start.xid, reached_);
  } else if (!ahead_.goes_on(start.xid)) {
    ahead_.give_up();
  }
  return std::nullopt;
}

std::optional<AheadSlice> StreamDecoder::take(const StreamStopMessage&, Arrival) {
  spool_.stop();
  return std::nullopt;
}

std::optional<AheadSlice> StreamDecoder::take(const StreamedMessage& message, Arrival arrival) {
  spool_.add(message.subxid, arrival.lsn, static_cast<std::byte>(message.tag), message.body);
  if (!ahead_.goes_on()) return std::nullopt;
  return ahead_.add(message, arrival.lsn, std::move(arrival.frame));
}

std::optional<AheadSlice> StreamDecoder::take(const StreamAbortMessage& abort, Arrival) {
  if (ahead_.goes_on(abort.xid)) ahead_.give_up();
  spool_.abort(abort.xid, abort.subxid);
  return std::nullopt;
}

std::optional<AheadSlice> StreamDecoder::take(const StreamCommitMessage& commit, Arrival arrival) {
  std::optional<SpooledTransaction> messages = spool_.take(commit.xid);
  if (!messages || assembler_.in_transaction()) {
    stop_for({DecodeErrc::kUnexpectedMessage, StreamCommitMessage::kTag, 0}, arrival.lsn);
  }
  if (messages->bytes() >= kWorthALine) {
    log_event(LogLevel::kInfo, "large transaction committed on the source",
              {{"link", link_}, {"lsn", to_string(commit.commit_lsn)}, {"bytes", messages->bytes()}});
  }
  auto committed = std::make_unique<Committed>(Committed{commit, std::move(*messages)});
  if (!ahead_.goes_on(commit.xid)) ahead_.give_up();
  auto last = ahead_.goes_on() ? ahead_.commit(commit) : std::nullopt;
  if (last) {
    waiting_ = std::move(committed);
  } else {
    begin_replay(std::move(committed));
  }
  return last;
}

void StreamDecoder::begin_replay(std::unique_ptr<Committed> committed) {
  if (const auto error = assembler_.begin(committed->commit)) stop_for(*error, committed->commit.commit_lsn);
  committed_ = std::move(committed);
}

void StreamDecoder::look() {
  if (!waiting_) return;
  const AheadTrial& trial = ahead_.trial();
  if (trial.given_up()) {
    begin_replay(std::move(waiting_));
  } else if (trial.done()) {
    assembler_.learn(ahead_.assembler());
    waiting_.reset();
  } else {
    return;
  }
  ahead_.forget();
}

std::uint64_t StreamDecoder::spooled_bytes() const {
  return spool_.bytes() + (committed_ ? committed_->messages.bytes() : 0) + (waiting_ ? waiting_->messages.bytes() : 0);
}

void StreamDecoder::stop_for(const DecodeError& error, Lsn lsn) const {
  throw Stopped(StopCode::kData, "link " + link_ + " stopped at LSN " + to_string(lsn) +
                                     ": the source's stream could not be decoded: " + to_string(error) +
                                     "; nothing after it was applied. Please report this with the server's version");
}

}  // namespace teal
