#include <gtest/gtest.h>

#include "tools/source_watch.h"

namespace teal {
namespace {

using std::chrono::seconds;

class SlotForecastTest : public testing::Test {
 protected:
  void note(int second, std::int64_t bytes) { forecast_.note(start_ + seconds(second), bytes); }

  SlotForecast::Clock::time_point start_{};
  SlotForecast forecast_;
};

TEST_F(SlotForecastTest, SaysNothingBeforeItHasSeenEnough) {
  EXPECT_FALSE(forecast_.lost_in());
  note(0, 1000);
  EXPECT_FALSE(forecast_.lost_in());
  note(4, 500);
  EXPECT_FALSE(forecast_.lost_in());
  note(5, 500);
  EXPECT_EQ(forecast_.lost_in(), seconds(5));
}

TEST_F(SlotForecastTest, RoomThatDoesNotShrinkIsNoDanger) {
  note(0, 1000);
  note(10, 1000);
  EXPECT_FALSE(forecast_.lost_in());
  note(20, 2000);
  EXPECT_FALSE(forecast_.lost_in());
}

TEST_F(SlotForecastTest, TheRateIsThatOfTheLastMinute) {
  for (int i = 0; i <= 100; ++i) note(i, 1'000'000);
  for (int i = 1; i <= 60; ++i) note(100 + i, 1'000'000 - i * 100);
  EXPECT_EQ(forecast_.lost_in(), seconds(9940));
}

TEST_F(SlotForecastTest, NoRoomIsNow) {
  note(0, -5);
  EXPECT_EQ(forecast_.lost_in(), seconds(0));
}

}  // namespace
}  // namespace teal
