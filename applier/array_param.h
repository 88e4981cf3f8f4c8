#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "decoder/tuple.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// OID of `text[]`: built in, the same on every server.
inline constexpr std::uint32_t kTextArrayOid = 1009;

/// Builds one `text[]` parameter in the server's binary format by copying column bytes: nothing is escaped or parsed.
/// The server turns each element into the column's type with a cast, so an array column travels as its text.
/// Lifetime: the buffer is reused by `reset`; `param()` is valid until then.
/// Source: `array_recv` (dimensions, null flag, element type, then per dimension length and lower bound).
class TextArrayParam {
 public:
  /// Begins an array. Units: `expected_bytes` is a hint.
  void reset(std::size_t expected_bytes);
  /// Errors: Stopped(kBug) for a value that has no text form (binary, unchanged TOAST).
  void add(const ColumnValue& value);
  [[nodiscard]] BinaryParam param();

 private:
  void append_int(std::int32_t value);
  void put_int(std::size_t offset, std::int32_t value);

  std::string buffer_;
  std::int32_t count_ = 0;
  bool has_null_ = false;
};

}  // namespace teal
