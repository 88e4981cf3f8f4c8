#include "tools/cutover_watch.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

using Kind = WatchCondition::Kind;

TEST(WatchConditions, AreReadAsTheyAreWritten) {
  const auto lag = parse_watch_condition("lag>5s");
  ASSERT_TRUE(lag);
  EXPECT_EQ(lag->kind, Kind::kLag);
  EXPECT_EQ(lag->limit, 5000);
  const auto errors = parse_watch_condition("errors>2.5%");
  ASSERT_TRUE(errors);
  EXPECT_EQ(errors->kind, Kind::kErrors);
  EXPECT_EQ(errors->limit, 2.5);
  const auto latency = parse_watch_condition("latency>50ms");
  ASSERT_TRUE(latency);
  EXPECT_EQ(latency->kind, Kind::kLatency);
  EXPECT_EQ(latency->limit, 50);
  const auto command = parse_watch_condition("command:./healthy.sh > /dev/null");
  ASSERT_TRUE(command);
  EXPECT_EQ(command->command, "./healthy.sh > /dev/null");
}

TEST(WatchConditions, OthersAreRefused) {
  for (const char* text : {"", "lag", "lag>", "lag>5", "lag<5s", "errors>2", "errors>%", "errors>101%", "errors>-1%",
                           "errors>2%%", "latency>fast", "command:", "rows>5s"}) {
    EXPECT_FALSE(parse_watch_condition(text)) << text;
  }
}

}  // namespace
}  // namespace teal
