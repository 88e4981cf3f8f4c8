#include "engine/stream_decoder.h"

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
    : link_(std::move(options.link)), assembler_(std::move(options.assembler)), spool_(std::move(options.spool)) {}

StreamDecoder::~StreamDecoder() = default;

std::optional<TransactionSlice> StreamDecoder::add(Lsn lsn, std::span<const std::byte> message, Frame frame) {
  const bool streamed = spool_.in_block() || (!message.empty() && is_stream_tag(static_cast<char>(message[0])));
  if (!streamed) return assemble(lsn, message, std::move(frame));
  add_streamed(lsn, message,
               spool_.in_block()             ? StreamPlace::kInBlock
               : assembler_.in_transaction() ? StreamPlace::kInTransaction
                                             : StreamPlace::kBetween);
  return std::nullopt;
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

void StreamDecoder::add_streamed(Lsn lsn, std::span<const std::byte> message, StreamPlace place) {
  const auto parsed = parse_stream_message(message, place);
  if (!parsed) stop_for(parsed.error(), lsn);
  std::visit([&](const auto& one) { take(one, lsn); }, *parsed);
}

void StreamDecoder::take(const StreamStartMessage& start, Lsn) { spool_.start(start.xid, start.first_segment); }

void StreamDecoder::take(const StreamStopMessage&, Lsn) { spool_.stop(); }

void StreamDecoder::take(const StreamedMessage& message, Lsn lsn) {
  spool_.add(message.subxid, lsn, static_cast<std::byte>(message.tag), message.body);
}

void StreamDecoder::take(const StreamAbortMessage& abort, Lsn) { spool_.abort(abort.xid, abort.subxid); }

void StreamDecoder::take(const StreamCommitMessage& commit, Lsn lsn) {
  std::optional<SpooledTransaction> messages = spool_.take(commit.xid);
  if (!messages) {
    stop_for({DecodeErrc::kUnexpectedMessage, StreamCommitMessage::kTag, 0}, lsn);
  }
  if (const auto error = assembler_.begin(commit)) stop_for(*error, lsn);
  if (messages->bytes() >= kWorthALine) {
    log_event(LogLevel::kInfo, "large transaction committed on the source",
              {{"link", link_}, {"lsn", to_string(commit.commit_lsn)}, {"bytes", messages->bytes()}});
  }
  committed_ = std::make_unique<Committed>(Committed{commit, std::move(*messages)});
}

std::uint64_t StreamDecoder::spooled_bytes() const {
  return spool_.bytes() + (committed_ ? committed_->messages.bytes() : 0);
}

void StreamDecoder::stop_for(const DecodeError& error, Lsn lsn) const {
  throw Stopped(StopCode::kData, "link " + link_ + " stopped at LSN " + to_string(lsn) +
                                     ": the source's stream could not be decoded: " + to_string(error) +
                                     "; nothing after it was applied. Please report this with the server's version");
}

}  // namespace teal
