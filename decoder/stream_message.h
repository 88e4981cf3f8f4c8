#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "decoder/decode_error.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

// What `streaming` adds to pgoutput (protocol 2 and later): a large transaction is sent in blocks while it is still
// running, so its end, and whether it has one, comes later. Blocks of several transactions alternate, and whole
// ordinary transactions come between two of them; inside a block there is nothing but messages of its transaction.
// Each streamed transaction announces the relations that it uses for itself, and again after an abort of a part of it:
// so what is aborted goes with its Relation messages, and none of the rest counts before the transaction's commit.
// Source: PostgreSQL manual, "Logical Replication Message Formats" and "Streaming of Large Transactions".

namespace teal {

/// A block opens.
struct StreamStartMessage {
  static constexpr char kTag = 'S';
  Xid xid;                     ///< of the top-level transaction
  bool first_segment = false;  ///< nothing of this transaction was sent on this connection before
};

/// The block ends.
struct StreamStopMessage {
  static constexpr char kTag = 'E';
};

/// A streamed transaction has committed: what Begin and Commit say of an ordinary one.
struct StreamCommitMessage {
  static constexpr char kTag = 'c';
  Xid xid;
  Lsn commit_lsn;  ///< start of the commit record
  Lsn end_lsn;     ///< end of the commit record
  Timestamp commit_time;
};

/// A streamed transaction, or one of its subtransactions, was rolled back: what was sent of it never happened. Each
/// subtransaction that was streamed gets a message of its own, also when an outer one takes it along. Servers of 18
/// send it for some that were not streamed as well, of transactions that no StreamStart named: nothing is to be taken
/// back.
struct StreamAbortMessage {
  struct Record {
    Lsn lsn;  ///< of the abort record
    Timestamp time;
  };

  static constexpr char kTag = 'A';
  Xid xid;                       ///< of the top-level transaction
  Xid subxid;                    ///< equal to `xid` when all of it was rolled back
  std::optional<Record> record;  ///< sent with `streaming 'parallel'` (protocol 4) only

  [[nodiscard]] bool whole_transaction() const { return subxid == xid; }
};

/// A message inside a block, taken apart: `tag`, then `body`, is the same message of protocol 1, for `parse_message`.
/// Shape: `body` is not looked at. Lifetime: `body` points into the bytes it was parsed from.
struct StreamedMessage {
  Xid subxid;    ///< that made the change, the top-level one included; 0 of an Origin, which is the transaction's
  char tag = 0;  ///< one of R, Y, O, I, U, D, T, M
  std::span<const std::byte> body;
};

using StreamMessage =
    std::variant<StreamStartMessage, StreamStopMessage, StreamCommitMessage, StreamAbortMessage, StreamedMessage>;

/// Where in the stream a message arrived.
enum class StreamPlace : std::uint8_t {
  kBetween,        ///< neither in a block nor in a transaction
  kInBlock,        ///< a StreamStart came, and its StreamStop did not
  kInTransaction,  ///< an ordinary transaction is open; see TransactionAssembler::in_transaction
};

/// Whether `parse_stream_message` is for messages of this kind wherever they come. In a block it is for every message.
[[nodiscard]] constexpr bool is_stream_tag(char tag) {
  return tag == StreamStartMessage::kTag || tag == StreamStopMessage::kTag || tag == StreamCommitMessage::kTag ||
         tag == StreamAbortMessage::kTag;
}

/// Parses one message of the streaming family, or any message of a block.
/// Shape: `bytes` is exactly one pgoutput message, tag byte first, big-endian fields.
/// Lifetime: a StreamedMessage's body points into `bytes`.
/// Errors: kTruncated, kTrailingBytes, kBadValue (xid 0, an unknown flag), kUnknownTag for what no protocol version
/// has, kUnexpectedMessage for a message that does not belong at `place`: a block in a block, an ordinary message
/// outside of one. Offset is from the tag byte.
[[nodiscard]] Result<StreamMessage> parse_stream_message(std::span<const std::byte> bytes, StreamPlace place);

}  // namespace teal
