#include "decoder/lsn.h"

#include <array>
#include <charconv>

namespace teal {
namespace {

std::optional<std::uint32_t> parse_half(std::string_view text) {
  std::uint32_t value = 0;
  if (text.empty() || text.size() > 8) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void append_hex(std::string& out, std::uint32_t value) {
  std::array<char, 8> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  for (const char* c = digits.data(); c != end; ++c) out.push_back(*c >= 'a' ? static_cast<char>(*c - 'a' + 'A') : *c);
}

}  // namespace

std::string to_string(Lsn lsn) {
  std::string out;
  append_hex(out, static_cast<std::uint32_t>(lsn.value >> 32U));
  out.push_back('/');
  append_hex(out, static_cast<std::uint32_t>(lsn.value));
  return out;
}

std::optional<Lsn> parse_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = parse_half(text.substr(0, slash));
  const auto low = parse_half(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(static_cast<std::uint64_t>(*high) << 32U) | *low};
}

}  // namespace teal
