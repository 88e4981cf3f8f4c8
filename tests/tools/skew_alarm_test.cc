#include <gtest/gtest.h>

#include "tools/sides_watch.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using News = SkewAlarm::News;

TEST(SkewAlarmTest, TellsOnceThatClocksDifferAndOnceThatTheyAgreeAgain) {
  SkewAlarm alarm;
  EXPECT_EQ(alarm.note({milliseconds(900), milliseconds(1)}), News::kNone);
  EXPECT_EQ(alarm.note({milliseconds(1100), milliseconds(1)}), News::kApart);
  EXPECT_EQ(alarm.note({milliseconds(5000), milliseconds(1)}), News::kNone);
  EXPECT_EQ(alarm.note({milliseconds(900), milliseconds(1)}), News::kNone) << "it would come and go";
  EXPECT_EQ(alarm.note({milliseconds(100), milliseconds(1)}), News::kTogether);
  EXPECT_EQ(alarm.note({milliseconds(100), milliseconds(1)}), News::kNone);
}

TEST(SkewAlarmTest, ClockThatIsBehindDiffersToo) {
  SkewAlarm alarm;
  EXPECT_EQ(alarm.note({milliseconds(-1100), milliseconds(1)}), News::kApart);
  EXPECT_EQ(alarm.note({milliseconds(-100), milliseconds(1)}), News::kTogether);
}

TEST(SkewAlarmTest, SlowAnswersAreNoDifference) {
  SkewAlarm alarm;
  EXPECT_EQ(alarm.note({milliseconds(3000), milliseconds(2500)}), News::kNone);
  EXPECT_EQ(alarm.note({milliseconds(3000), milliseconds(1000)}), News::kApart);
  EXPECT_EQ(alarm.note({milliseconds(0), milliseconds(2500)}), News::kNone) << "nor proof of the contrary";
}

}  // namespace
}  // namespace teal
