#include "applier/array_param.h"

#include <array>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::size_t kHeaderBytes = 20;  // dimensions, flags, element type, length, lower bound

std::array<char, 4> big_endian(std::int32_t value) {
  const auto bits = static_cast<std::uint32_t>(value);
  return {static_cast<char>(bits >> 24U), static_cast<char>(bits >> 16U), static_cast<char>(bits >> 8U),
          static_cast<char>(bits)};
}

}  // namespace

void ArrayParam::reset(std::uint32_t element, bool binary, std::size_t expected_bytes) {
  element_ = element;
  form_ = binary ? ColumnKind::kBinary : ColumnKind::kText;
  buffer_.clear();
  buffer_.reserve(kHeaderBytes + expected_bytes);
  buffer_.append(kHeaderBytes, '\0');
  count_ = 0;
  has_null_ = false;
}

void ArrayParam::append_int(std::int32_t value) {
  const auto bytes = big_endian(value);
  buffer_.append(bytes.data(), bytes.size());
}

void ArrayParam::put_int(std::size_t offset, std::int32_t value) {
  const auto bytes = big_endian(value);
  buffer_.replace(offset, bytes.size(), bytes.data(), bytes.size());
}

void ArrayParam::add(const ColumnValue& value) {
  ++count_;
  if (value.kind == ColumnKind::kNull) {
    has_null_ = true;
    append_int(-1);
    return;
  }
  if (value.kind != form_) throw Stopped(StopCode::kBug, "a column value of another form reached a statement");
  append_int(static_cast<std::int32_t>(value.size));
  buffer_.append(value.text());  // its bytes, whatever their form
}

BinaryParam ArrayParam::param() {
  put_int(0, 1);  // one dimension
  put_int(4, has_null_ ? 1 : 0);
  put_int(8, static_cast<std::int32_t>(element_));
  put_int(12, count_);
  put_int(16, 1);  // lower bound
  return {buffer_.data(), buffer_.size()};
}

}  // namespace teal
