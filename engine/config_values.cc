#include "engine/config_values.h"

#include <array>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <limits>
#include <string>

namespace teal {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};

constexpr std::array kByteUnits{Unit{"", 1},
                                Unit{"B", 1},
                                Unit{"KiB", std::uint64_t{1} << 10},
                                Unit{"MiB", std::uint64_t{1} << 20},
                                Unit{"GiB", std::uint64_t{1} << 30},
                                Unit{"TiB", std::uint64_t{1} << 40}};
constexpr std::array kTimeUnits{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000},
                                Unit{"d", 86'400'000}};

template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units,
                                             std::uint64_t limit) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& unit : units) {
    if (unit.suffix != suffix) continue;
    if (number > limit / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

bool variable_name(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (c < '0' || c > '9')) return false;
  }
  return true;
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  return parse_with_unit(text, kByteUnits, std::numeric_limits<std::int64_t>::max());
}

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string host(text.substr(0, colon));
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  if (error || !address.is_loopback() || address.is_v6() != bracketed) return std::nullopt;
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return ListenAddress{host, port};
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds{0};
  const auto ms = parse_with_unit(text, kTimeUnits, std::numeric_limits<std::int64_t>::max());
  if (!ms) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<bool> parse_boolean(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes") return true;
  if (text == "false" || text == "off" || text == "no") return false;
  return std::nullopt;
}

Expanded expand_variables(std::string_view text,
                          const std::function<std::optional<std::string>(const std::string&)>& lookup) {
  Expanded out;
  for (;;) {
    const std::size_t start = text.find("${");
    out.text += text.substr(0, start);
    if (start == std::string_view::npos) return out;
    const std::size_t end = text.find('}', start);
    const std::string name(end == std::string_view::npos ? "" : text.substr(start + 2, end - start - 2));
    if (!variable_name(name)) {
      out.problem = "\"${\" must be followed by the name of an environment variable and \"}\"";
      return out;
    }
    const std::optional<std::string> value = lookup(name);
    if (!value) {
      out.problem = "the environment variable " + name + " is not set";
      return out;
    }
    out.text += *value;
    text.remove_prefix(end + 1);
  }
}

}  // namespace teal
