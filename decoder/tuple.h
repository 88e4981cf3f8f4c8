#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace teal {

/// How a column arrived. The values are the wire's tags. Source: PostgreSQL manual, "TupleData".
enum class ColumnKind : std::uint8_t {
  kNull = 'n',
  kUnchangedToast = 'u',  ///< the value is not in the message: it must never be taken for NULL
  kText = 't',
  kBinary = 'b',
};

/// One column of a row image.
/// Lifetime: `data` points into the Frame that the message was parsed from.
struct ColumnValue {
  const std::byte* data = nullptr;
  std::uint32_t size = 0;
  ColumnKind kind = ColumnKind::kNull;

  [[nodiscard]] bool has_value() const { return kind == ColumnKind::kText || kind == ColumnKind::kBinary; }
  [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(data), size}; }
};

/// A row image in the relation's column order.
/// Lifetime: the columns live in the arena given to the parser, their bytes in the frame.
using TupleView = std::span<const ColumnValue>;

/// What the old image of an UPDATE or DELETE holds.
enum class OldTupleKind : std::uint8_t {
  kNone,  ///< none was sent: the identity did not change
  kKey,   ///< 'K': only identity columns; every other slot is null and means "not sent", not NULL
  kFull,  ///< 'O': the whole old row (REPLICA IDENTITY FULL)
};

}  // namespace teal
