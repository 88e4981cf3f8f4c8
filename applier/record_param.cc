#include "applier/record_param.h"

#include <bit>
#include <cstring>

namespace teal {
namespace {

constexpr std::size_t kHeaderBytes = 20;  // dimensions, flags, element type, length, lower bound

}  // namespace

void RecordParam::append_int(std::uint32_t value) {
  const std::uint32_t bytes = __builtin_bswap32(value);
  static_assert(std::endian::native == std::endian::little);
  buffer_.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
}

void RecordParam::put_int(std::size_t offset, std::uint32_t value) {
  const std::uint32_t bytes = __builtin_bswap32(value);
  std::memcpy(buffer_.data() + offset, &bytes, sizeof bytes);
}

void RecordParam::reset(std::uint32_t type, std::size_t fields, std::size_t expected_bytes) {
  type_ = type;
  fields_ = static_cast<std::uint32_t>(fields);
  count_ = 0;
  buffer_.clear();
  buffer_.reserve(kHeaderBytes + expected_bytes);
  buffer_.append(kHeaderBytes, '\0');
}

void RecordParam::begin_record() {
  ++count_;
  record_ = buffer_.size();
  append_int(0);  // its length, see `end_record`
  append_int(fields_);
}

void RecordParam::add(std::uint32_t type, const ColumnValue& value) {
  if (!value.has_value()) {
    add_null(type);
    return;
  }
  append_int(type);
  append_int(value.size);
  buffer_.append(value.text());  // its bytes, whatever their form
}

void RecordParam::add_null(std::uint32_t type) {
  append_int(type);
  append_int(UINT32_MAX);
}

void RecordParam::end_record() {
  put_int(record_, static_cast<std::uint32_t>(buffer_.size() - record_ - sizeof(std::uint32_t)));
}

BinaryParam RecordParam::param() {
  put_int(0, 1);  // one dimension
  put_int(4, 0);  // no NULL among the records
  put_int(8, type_);
  put_int(12, count_);
  put_int(16, 1);  // lower bound
  return {buffer_.data(), buffer_.size()};
}

}  // namespace teal
