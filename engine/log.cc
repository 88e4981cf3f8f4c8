#include "engine/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

namespace teal {
namespace {

using std::chrono::system_clock;

struct Log {
  // spdlog's sink writes each line whole under its own lock; the line itself is made here.
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("teal", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  LogFormat format = LogFormat::kText;

  Log() {
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::info);
    logger->flush_on(spdlog::level::debug);
  }
};

Log& the_log() {
  static Log log;
  return log;
}

constexpr std::array<std::string_view, 4> kLevelNames{"debug", "info", "warn", "error"};

std::string_view level_name(LogLevel level) { return kLevelNames[static_cast<std::size_t>(level)]; }

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string rfc3339(system_clock::time_point time) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  const std::time_t whole = static_cast<std::time_t>(seconds.count());
  std::tm utc{};
  gmtime_r(&whole, &utc);
  std::array<char, 80> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                    utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>((since - seconds).count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

bool plain(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7F) return false;
  }
  return !text.empty();
}

// A JSON string is also what text needs: quotes, and nothing in it that could start a new line or end the value.
std::string json_quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string value_as_text(const LogField& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) return plain(*text) ? *text : json_quoted(*text);
  if (const auto* number = std::get_if<std::int64_t>(&field.value)) return std::to_string(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&field.value)) return std::to_string(*number);
  std::array<char, 40> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.6g", std::get<double>(field.value));
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (text == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return std::nullopt;
}

void start_log(LogLevel level, LogFormat format) {
  the_log().logger->set_level(spdlog_level(level));
  the_log().format = format;
}

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  Log& log = the_log();
  const auto wanted = spdlog_level(level);
  if (!log.logger->should_log(wanted)) return;
  const std::string line =
      format_log_line(log.format, level, system_clock::now(), event, std::span(fields.begin(), fields.size()));
  log.logger->log(wanted, spdlog::string_view_t(line.data(), line.size()));
}

std::string format_log_line(LogFormat format, LogLevel level, system_clock::time_point time, std::string_view event,
                            std::span<const LogField> fields) {
  if (format == LogFormat::kJson) {
    nlohmann::ordered_json line;
    line["time"] = rfc3339(time);
    line["level"] = level_name(level);
    line["event"] = event;
    for (const LogField& field : fields) {
      std::visit([&](const auto& value) { line[field.key] = value; }, field.value);
    }
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  std::string line = rfc3339(time) + " " + std::string(level_name(level));
  line.append(6 - level_name(level).size(), ' ');
  line += event;
  for (const LogField& field : fields) line += " " + field.key + "=" + value_as_text(field);
  return line;
}

}  // namespace teal
