#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <variant>

#include "decoder/decode_error.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

namespace teal {

/// A piece of the WAL stream; with pgoutput, exactly one message.
/// Lifetime: `payload` points into the bytes it was parsed from.
struct XLogData {
  static constexpr char kTag = 'w';
  Lsn start;    ///< of the WAL record that the payload was decoded from; 0/0 where there is none
  Lsn wal_end;  ///< how far the server's WAL reached when it sent this
  Timestamp send_time;
  std::span<const std::byte> payload;
};

/// The server is alive, and may want to know that we are.
struct PrimaryKeepalive {
  static constexpr char kTag = 'k';
  Lsn wal_end;  ///< how far the server has decoded; inside a transaction it is not that transaction's end
  Timestamp send_time;
  bool reply_requested = false;  ///< answer soon or be disconnected
};

using CopyData = std::variant<XLogData, PrimaryKeepalive>;

/// Parses the envelope of one COPY message from the server.
/// Shape: `bytes` is exactly one CopyData body, tag byte first.
/// Errors: kTruncated, kTrailingBytes, kUnknownTag, kBadValue; offset is from the tag byte.
/// Source: PostgreSQL manual, "Streaming Replication Protocol".
[[nodiscard]] Result<CopyData> parse_copy_data(std::span<const std::byte> bytes);

/// Our positions, sent to the server.
/// Units: ends of what is written, flushed, applied, plus one, as the manual says: the first byte not yet needed.
struct StandbyStatusUpdate {
  static constexpr char kTag = 'r';
  static constexpr std::size_t kBytes = 34;
  Lsn written;
  Lsn flushed;  ///< the slot's WAL before it may be removed
  Lsn applied;
  Timestamp send_time;
  bool reply_requested = false;  ///< ask the server for a keepalive at once
};

/// The CopyData body of `update`.
/// Source: PostgreSQL manual, "Streaming Replication Protocol", Standby status update.
[[nodiscard]] std::array<std::byte, StandbyStatusUpdate::kBytes> encode(const StandbyStatusUpdate& update);

}  // namespace teal
