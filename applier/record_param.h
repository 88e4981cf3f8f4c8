#pragma once
#include <cstdint>
#include <string>

#include "decoder/tuple.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// Builds one parameter that is an array of a composite type, in the server's binary format: a record for each row.
///
/// `unnest` of several arrays makes a function scan and a tuple store of each; of one array of records, one of all.
/// With 32 columns that is a quarter of the server's time (measured: bench/README.md). Lifetime: the buffer is reused
/// by `reset`; `param()` is valid until then. Source: `array_recv` and `record_recv` (fields, then per field its type,
/// length and bytes).
class RecordParam {
 public:
  /// Begins an array. Units: `type` is the oid of the composite type, whose columns are `fields`; `expected_bytes` is a
  /// hint.
  void reset(std::uint32_t type, std::size_t fields, std::size_t expected_bytes);
  void begin_record();
  /// The next field, of that type; NULL where the value was not sent. Shapes: one call for each field of a record.
  void add(std::uint32_t type, const ColumnValue& value);
  void add_null(std::uint32_t type);
  void end_record();
  [[nodiscard]] BinaryParam param();

 private:
  void append_int(std::uint32_t value);
  void put_int(std::size_t offset, std::uint32_t value);

  std::string buffer_;
  std::uint32_t type_ = 0;
  std::uint32_t fields_ = 0;
  std::uint32_t count_ = 0;
  std::size_t record_ = 0;  // where the open one begins
};

}  // namespace teal
