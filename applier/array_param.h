#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "decoder/tuple.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// OID of `text` and `text[]`: built in, the same on every server.
inline constexpr std::uint32_t kTextOid = 25;
inline constexpr std::uint32_t kTextArrayOid = 1009;

/// Builds one array parameter in the server's binary format by copying column bytes: nothing is escaped or parsed.
/// Of text, which the server turns into the column's type with a cast, so that an array column travels as its text; or,
/// where the source sends a type's binary form, of that type.
/// Lifetime: the buffer is reused by `reset`; `param()` is valid until then.
/// Source: `array_recv` (dimensions, null flag, element type, then per dimension length and lower bound).
class ArrayParam {
 public:
  /// Begins an array. Units: `element` is the elements' oid, binary ones unless it is kTextOid with `binary` false;
  /// `expected_bytes` is a hint.
  void reset(std::uint32_t element, bool binary, std::size_t expected_bytes);
  /// Errors: Stopped(kBug) for a value of the other form, or one that was not sent (unchanged TOAST).
  void add(const ColumnValue& value);
  [[nodiscard]] BinaryParam param();

 private:
  void append_int(std::int32_t value);
  void put_int(std::size_t offset, std::int32_t value);

  std::string buffer_;
  std::uint32_t element_ = kTextOid;
  ColumnKind form_ = ColumnKind::kText;
  std::int32_t count_ = 0;
  bool has_null_ = false;
};

}  // namespace teal
