#include "engine/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace teal {
namespace {

// 2026-11-20 12:00:00.123 UTC
const std::chrono::system_clock::time_point kTime{std::chrono::milliseconds(1'795'176'000'123)};

std::string line(LogFormat format, LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  return format_log_line(format, level, kTime, event, fields);
}

TEST(LogText, PutsTimeLevelEventThenFields) {
  EXPECT_EQ(line(LogFormat::kText, LogLevel::kInfo, "slot created", {{"link", "blue_to_green"}, {"lsn", "0/1A"}}),
            "2026-11-20T12:00:00.123Z info  slot created link=blue_to_green lsn=0/1A");
  EXPECT_EQ(line(LogFormat::kText, LogLevel::kError, "stopped", {}), "2026-11-20T12:00:00.123Z error stopped");
}

TEST(LogText, WritesNumbersPlainly) {
  EXPECT_EQ(line(LogFormat::kText, LogLevel::kWarn, "x",
                 {{"a", -5}, {"b", std::uint64_t{18446744073709551615U}}, {"c", 0.5}, {"d", true}}),
            "2026-11-20T12:00:00.123Z warn  x a=-5 b=18446744073709551615 c=0.5 d=true");
}

TEST(LogText, QuotesWhatWouldEndAValueOrALine) {
  const std::pair<const char*, const char*> cases[] = {
      {"a b", R"("a b")"}, {"", R"("")"}, {"a\nb", R"("a\nb")"}, {"say \"x\"", R"("say \"x\"")"}, {"a=b", R"("a=b")"}};
  for (const auto& [value, written] : cases) {
    EXPECT_EQ(line(LogFormat::kText, LogLevel::kInfo, "x", {{"v", value}}),
              std::string("2026-11-20T12:00:00.123Z info  x v=") + written);
  }
}

TEST(LogJson, HoldsTheSameAsOneObject) {
  const auto json = nlohmann::json::parse(
      line(LogFormat::kJson, LogLevel::kWarn, "link stopped", {{"table", "we\"ird\n"}, {"ms", 12}, {"rate", 1.5}}));
  EXPECT_EQ(json["time"], "2026-11-20T12:00:00.123Z");
  EXPECT_EQ(json["level"], "warn");
  EXPECT_EQ(json["event"], "link stopped");
  EXPECT_EQ(json["table"], "we\"ird\n");
  EXPECT_EQ(json["ms"], 12);
  EXPECT_EQ(json["rate"], 1.5);
}

TEST(LogJson, SurvivesBytesThatAreNoUtf8) {
  const std::string written = line(LogFormat::kJson, LogLevel::kInfo, "x", {{"v", "a\xff"}});
  EXPECT_EQ(nlohmann::json::parse(written)["v"], "a\xEF\xBF\xBD");
  EXPECT_EQ(written.find('\n'), std::string::npos);
}

TEST(LogEvent, WritesOnlyFromTheLevelThatWasSet) {
  start_log(LogLevel::kWarn, LogFormat::kText);
  testing::internal::CaptureStderr();
  log_event(LogLevel::kInfo, "hidden");
  log_event(LogLevel::kWarn, "shown", {{"n", 1}});
  const std::string written = testing::internal::GetCapturedStderr();
  start_log(LogLevel::kInfo, LogFormat::kText);
  EXPECT_EQ(written.find("hidden"), std::string::npos);
  EXPECT_NE(written.find("warn  shown n=1\n"), std::string::npos);
}

TEST(LogEvent, KeepsLinesOfManyThreadsWhole) {
  testing::internal::CaptureStderr();
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 50; ++i) log_event(LogLevel::kInfo, "event", {{"v", "0123456789"}});
      });
    }
  }
  std::istringstream written(testing::internal::GetCapturedStderr());
  int lines = 0;
  for (std::string text; std::getline(written, text); ++lines) EXPECT_EQ(text.substr(25), "info  event v=0123456789");
  EXPECT_EQ(lines, 200);
}

TEST(LogNames, AcceptOnlyWhatIsDocumented) {
  EXPECT_EQ(parse_log_level("debug"), LogLevel::kDebug);
  EXPECT_EQ(parse_log_level("error"), LogLevel::kError);
  EXPECT_EQ(parse_log_level("INFO"), std::nullopt);
  EXPECT_EQ(parse_log_format("json"), LogFormat::kJson);
  EXPECT_EQ(parse_log_format(""), std::nullopt);
}

}  // namespace
}  // namespace teal
