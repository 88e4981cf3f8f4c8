#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace teal {

/// A byte position in a server's write-ahead log.
/// Units: bytes since the cluster was made; 0/0 is "no position". Only comparable within one cluster.
/// Source: PostgreSQL manual, "pg_lsn Type".
struct Lsn {
  std::uint64_t value = 0;

  constexpr auto operator<=>(const Lsn&) const = default;
  [[nodiscard]] constexpr bool valid() const { return value != 0; }
};

/// Bytes from `from` to `to`; 0 when `to` is not ahead.
[[nodiscard]] constexpr std::uint64_t bytes_between(Lsn from, Lsn to) {
  return to.value > from.value ? to.value - from.value : 0;
}

/// The server's own notation, two hexadecimal halves: `16/B374D848`.
[[nodiscard]] std::string to_string(Lsn lsn);

/// Reads `X/X`. Errors: nullopt for anything that the server would not print or accept.
[[nodiscard]] std::optional<Lsn> parse_lsn(std::string_view text);

}  // namespace teal
