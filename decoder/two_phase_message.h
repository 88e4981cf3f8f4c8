#pragma once
#include <cstddef>
#include <span>
#include <string_view>
#include <variant>

#include "decoder/decode_error.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

// What a slot with two-phase decoding adds to pgoutput (protocol 3): a transaction is sent at its PREPARE TRANSACTION,
// between BeginPrepare and Prepare, and what becomes of it is said later. Without two-phase decoding, which is how teal
// opens its slots, a prepared transaction is sent at COMMIT PREPARED as an ordinary one. Fields are in the wire's
// order. `gid` is the name that PREPARE TRANSACTION gave, and may be empty. Lifetime of every view: the message's
// bytes. Source: PostgreSQL manual, "Logical Replication Message Formats" and "Two-phase Commit Support for Logical
// Decoding".

namespace teal {

/// A prepared transaction opens.
struct BeginPrepareMessage {
  static constexpr char kTag = 'b';
  Lsn prepare_lsn;  ///< start of the prepare record
  Lsn end_lsn;      ///< end of the prepare record
  Timestamp prepare_time;
  Xid xid;
  std::string_view gid;
};

/// The prepared transaction is complete; same facts as its BeginPrepare.
struct PrepareMessage {
  static constexpr char kTag = 'P';
  Lsn prepare_lsn;
  Lsn end_lsn;
  Timestamp prepare_time;
  Xid xid;
  std::string_view gid;
};

/// What a Prepare says, of a transaction that was streamed in blocks.
struct StreamPrepareMessage {
  static constexpr char kTag = 'p';
  Lsn prepare_lsn;
  Lsn end_lsn;
  Timestamp prepare_time;
  Xid xid;
  std::string_view gid;
};

/// A transaction that was prepared has committed.
struct CommitPreparedMessage {
  static constexpr char kTag = 'K';
  Lsn commit_lsn;  ///< start of the commit record
  Lsn end_lsn;     ///< end of the commit record
  Timestamp commit_time;
  Xid xid;
  std::string_view gid;
};

/// A transaction that was prepared was rolled back.
struct RollbackPreparedMessage {
  static constexpr char kTag = 'r';
  Lsn prepare_end_lsn;   ///< end of the prepare record: which of several transactions of one gid it was
  Lsn rollback_end_lsn;  ///< end of the rollback record
  Timestamp prepare_time;
  Timestamp rollback_time;
  Xid xid;
  std::string_view gid;
};

using TwoPhaseMessage = std::variant<BeginPrepareMessage, PrepareMessage, StreamPrepareMessage, CommitPreparedMessage,
                                     RollbackPreparedMessage>;

/// Parses one message of the two-phase family.
/// Shape: `bytes` is exactly one message, tag byte first, big-endian fields.
/// Lifetime: views in the result point into `bytes`.
/// Errors: kTruncated, kTrailingBytes, kUnterminatedString, kBadValue (a position of 0/0, xid 0, a flag), kUnknownTag
/// for messages of other families; offset is from the tag byte.
[[nodiscard]] Result<TwoPhaseMessage> parse_two_phase_message(std::span<const std::byte> bytes);

}  // namespace teal
