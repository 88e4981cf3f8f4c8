#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "decoder/frame.h"
#include "decoder/lsn.h"
#include "decoder/stream_message.h"
#include "decoder/transaction.h"
#include "decoder/transaction_assembler.h"
#include "engine/transaction_spool.h"

namespace teal {

struct StreamDecoderOptions {
  std::string link;  ///< for messages
  AssemblerOptions assembler;
  SpoolOptions spool;  ///< for what the source streams before its end; unused when it streams nothing so
};

/// Turns the messages of one session into slices in commit order, whichever way the source sends its transactions:
/// whole at their commit, or in blocks while they are open, which wait in a spool until they have committed.
///
/// After each `add`, call `replay` while `replaying`: slices of a transaction that came in blocks. Each call does a
/// bounded amount of work, so that the caller can do other things in between.
/// Threads: one. Errors: Stopped(kData) for a stream that cannot be decoded, SpillFailed; unusable afterwards.
class StreamDecoder {
 public:
  explicit StreamDecoder(StreamDecoderOptions options);
  ~StreamDecoder();
  StreamDecoder(const StreamDecoder&) = delete;
  StreamDecoder& operator=(const StreamDecoder&) = delete;

  /// Adds one message: `message` lies inside `frame`, `lsn` is its XLogData start. Not while `replaying`.
  [[nodiscard]] std::optional<TransactionSlice> add(Lsn lsn, std::span<const std::byte> message, Frame frame);

  /// A transaction that came in blocks has committed, and is not wholly handed out.
  [[nodiscard]] bool replaying() const { return committed_ != nullptr; }
  [[nodiscard]] std::optional<TransactionSlice> replay();

  /// A transaction or a block was begun and not ended: a keepalive's end must not be taken for its end.
  [[nodiscard]] bool in_transaction() const { return assembler_.in_transaction() || spool_.in_block(); }

  /// On disk, of transactions that came in blocks.
  [[nodiscard]] std::uint64_t spooled_bytes() const;

  /// Throws what a stream that cannot be decoded is reported with.
  [[noreturn]] void stop_for(const DecodeError& error, Lsn lsn) const;

 private:
  struct Committed;  // what `replay` reads

  std::optional<TransactionSlice> assemble(Lsn lsn, std::span<const std::byte> message, Frame frame);
  void add_streamed(Lsn lsn, std::span<const std::byte> message, StreamPlace place);
  void take(const StreamStartMessage& start, Lsn lsn);
  void take(const StreamStopMessage& stop, Lsn lsn);
  void take(const StreamCommitMessage& commit, Lsn lsn);
  void take(const StreamAbortMessage& abort, Lsn lsn);
  void take(const StreamedMessage& message, Lsn lsn);

  std::string link_;
  TransactionAssembler assembler_;
  TransactionSpool spool_;
  std::unique_ptr<Committed> committed_;
};

}  // namespace teal
