#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace teal {

/// `4096`, `64KiB`, `16MiB`, `1GiB`, `2TiB`. Units: bytes.
/// Errors: nullopt for anything else, and for what does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// `200ms`, `1s`, `5m`, `2h`, `30d`; a plain number only when it is 0.
/// Errors: nullopt for anything else, and for what does not fit.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// A whole number with an optional minus.
/// Errors: nullopt for anything else, and for what does not fit.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);

/// true or false, on or off, yes or no.
[[nodiscard]] std::optional<bool> parse_boolean(std::string_view text);

/// Where a server listens.
struct ListenAddress {
  std::string host;  ///< an IP address
  std::uint16_t port = 0;
};

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (which is the first); port 0: one that is free.
/// Errors: nullopt for anything else, also for an address that other machines reach.
[[nodiscard]] std::optional<ListenAddress> parse_listen_address(std::string_view text);

/// A value with its `${VAR}` replaced, or what is wrong with it.
struct Expanded {
  std::string text;
  std::string problem;  ///< empty: `text` is good
};

/// Replaces each `${VAR}` by what `lookup` finds; what was put in is not looked at again.
[[nodiscard]] Expanded expand_variables(std::string_view text,
                                        const std::function<std::optional<std::string>(const std::string&)>& lookup);

}  // namespace teal
