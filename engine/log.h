#pragma once
#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace teal {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

/// Errors: nullopt unless `text` is debug, info, warn or error.
[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view text);
/// Errors: nullopt unless `text` is text or json.
[[nodiscard]] std::optional<LogFormat> parse_log_format(std::string_view text);

/// One named value of a log line: an identifier, an LSN, a count, a duration; never a row's value or a secret.
struct LogField {
  std::string key;
  std::variant<std::string, std::int64_t, std::uint64_t, double> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(std::string(v ? "true" : "false")) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <std::signed_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<std::int64_t>(v)) {}
  template <std::unsigned_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<std::uint64_t>(v)) {}
};

/// Sets what is logged and how; before the first call it is `info` as text.
/// Threads: at start, before others log.
void start_log(LogLevel level, LogFormat format);

/// Writes one line to stderr when `level` is not below the level that was set. `event` is a lower-case phrase.
/// Threads: any; lines never mix.
void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

/// The line that `log_event` writes, without its end: pure, for tests and for other places that show events.
/// Shape: text is `TIME LEVEL EVENT key=value...`, values quoted when they hold more than plain characters; JSON is one
/// object with `time`, `level`, `event` and the fields. Times are RFC 3339 in UTC with milliseconds.
[[nodiscard]] std::string format_log_line(LogFormat format, LogLevel level, std::chrono::system_clock::time_point time,
                                          std::string_view event, std::span<const LogField> fields);

}  // namespace teal
