#pragma once
#include <cstddef>
#include <memory_resource>
#include <span>

#include "decoder/decode_error.h"
#include "decoder/message.h"

namespace teal {

/// The most columns that a table can have. Source: PostgreSQL's MaxHeapAttributeNumber.
inline constexpr int kColumnCountMax = 1600;

/// Parses one pgoutput message of protocol version 1.
/// Shape: `bytes` is exactly one message, tag byte first, big-endian fields.
/// Lifetime: views in the result point into `bytes`; column and relation lists live in `arena`, which is the only
/// memory taken, but for the names in a Relation. A rejected message may leave unused bytes in `arena`.
/// Errors: kTruncated, kTrailingBytes, kUnknownTag, kBadValue, kUnterminatedString; offset is from the tag byte.
/// Counts are checked against the bytes that are left before memory is taken for them. Streaming and two-phase kinds
/// belong to later protocol versions: kUnknownTag.
/// Source: PostgreSQL manual, "Logical Replication Message Formats".
[[nodiscard]] Result<Message> parse_message(std::span<const std::byte> bytes, std::pmr::memory_resource& arena);

}  // namespace teal
