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
#include "engine/ahead_decoder.h"
#include "engine/transaction_source.h"
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
/// One that comes in blocks and alone may go ahead too (AheadTrial): it is tried once, from its first block on, while
/// no other is open in the spool, until another transaction is begun or something of it is rolled back. It is in the
/// spool all the same.
///
/// After each `add`, call `look` now and then while `waiting`, and `replay` while `replaying`: slices of a transaction
/// that came in blocks. Each call does a bounded amount of work, so that the caller can do other things in between.
/// Threads: one. Errors: Stopped(kData) for a stream that cannot be decoded, SpillFailed; unusable afterwards.
class StreamDecoder {
 public:
  explicit StreamDecoder(StreamDecoderOptions options);
  ~StreamDecoder();
  StreamDecoder(const StreamDecoder&) = delete;
  StreamDecoder& operator=(const StreamDecoder&) = delete;

  /// Adds one message: `message` lies inside `frame`, `lsn` is its XLogData start. Not while `waiting` or `replaying`.
  [[nodiscard]] std::optional<SourceItem> add(Lsn lsn, std::span<const std::byte> message, Frame frame);

  /// Whether transactions go ahead that are begun from now on. They don't at first.
  void allow_ahead(bool allowed) { may_go_ahead_ = allowed; }
  [[nodiscard]] bool goes_ahead() const { return !waiting() && ahead_.goes_on(); }
  void give_up_ahead() {
    if (!waiting()) ahead_.give_up();
  }
  /// A transaction that went ahead has committed, and its sink has not said what became of it.
  [[nodiscard]] bool waiting() const { return waiting_ != nullptr; }
  void look();

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
  struct Committed;

  /// What arrived with a message.
  struct Arrival {
    Lsn lsn;
    Frame& frame;  // moved from when the message's bytes are kept
  };

  std::optional<TransactionSlice> assemble(Lsn lsn, std::span<const std::byte> message, Frame frame);
  std::optional<AheadSlice> add_streamed(Lsn lsn, std::span<const std::byte> message, StreamPlace place, Frame frame);
  std::optional<AheadSlice> take(const StreamStartMessage& start, Arrival arrival);
  std::optional<AheadSlice> take(const StreamStopMessage& stop, Arrival arrival);
  std::optional<AheadSlice> take(const StreamCommitMessage& commit, Arrival arrival);
  std::optional<AheadSlice> take(const StreamAbortMessage& abort, Arrival arrival);
  std::optional<AheadSlice> take(const StreamedMessage& message, Arrival arrival);
  void begin_replay(std::unique_ptr<Committed> committed);

  std::string link_;
  TransactionAssembler assembler_;
  TransactionSpool spool_;
  AheadDecoder ahead_;
  bool may_go_ahead_ = false;
  Lsn reached_;                           // the highest position of a message
  std::unique_ptr<Committed> waiting_;    // went ahead, and may have to be replayed
  std::unique_ptr<Committed> committed_;  // what `replay` reads
};

}  // namespace teal
