#include "decoder/value_text.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace teal {
namespace {

constexpr std::uint32_t kBool = 16;
constexpr std::uint32_t kInt8 = 20;
constexpr std::uint32_t kInt2 = 21;
constexpr std::uint32_t kInt4 = 23;
constexpr std::uint32_t kUuid = 2950;

bool is_text(std::uint32_t type) {
  return type == 18 || type == 19 || type == 25 || type == 114 || type == 1042 || type == 1043;
}

std::int64_t signed_number(const ColumnValue& value) {
  std::uint64_t bits =
      value.size > 0 && (std::to_integer<unsigned>(value.data[0]) & 0x80U) != 0 ? ~std::uint64_t{0} : 0;
  for (std::uint32_t i = 0; i < value.size; ++i) bits = (bits << 8U) | std::to_integer<std::uint64_t>(value.data[i]);
  return static_cast<std::int64_t>(bits);
}

std::string hex(const ColumnValue& value, bool uuid) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = uuid ? "" : "\\x";
  for (std::uint32_t i = 0; i < value.size; ++i) {
    if (uuid && (i == 4 || i == 6 || i == 8 || i == 10)) out.push_back('-');
    const auto byte = std::to_integer<unsigned>(value.data[i]);
    out.push_back(kDigits[byte >> 4U]);
    out.push_back(kDigits[byte & 0xFU]);
  }
  return out;
}

}  // namespace

std::string value_text(TypeId type, const ColumnValue& value) {
  if (value.kind == ColumnKind::kNull) return "NULL";
  if (value.kind == ColumnKind::kUnchangedToast) return "unchanged";
  if (value.kind == ColumnKind::kText || is_text(type.value)) return std::string(value.text());
  const bool number = (type.value == kInt2 && value.size == 2) || (type.value == kInt4 && value.size == 4) ||
                      (type.value == kInt8 && value.size == 8);
  if (number) return std::to_string(signed_number(value));
  if (type.value == kBool && value.size == 1) return value.data[0] == std::byte{0} ? "f" : "t";
  return hex(value, type.value == kUuid && value.size == 16);
}

}  // namespace teal
