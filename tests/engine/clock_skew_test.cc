#include "engine/clock_skew.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class ClockSkewTest : public testing::Test {
 protected:
  // An answer on whose way there and back that much time passed, from a server that is that far ahead.
  void answer(ClockOffset& clock, microseconds ahead, microseconds there, microseconds back) {
    const auto looked = now_ + there;
    clock.add(now_, Timestamp{std::chrono::duration_cast<microseconds>(looked.time_since_epoch() + ahead).count()},
              looked + back);
    now_ = looked + back;
  }

  ClockOffset::Clock::time_point now_{seconds(1000)};
  ClockOffset first_;
  ClockOffset second_;
};

TEST_F(ClockSkewTest, ClocksThatAgreeDifferByNothing) {
  answer(first_, seconds(5), milliseconds(1), milliseconds(1));
  answer(second_, seconds(5), milliseconds(30), milliseconds(30));
  EXPECT_EQ(clock_skew(first_, second_).ahead, microseconds(0));
  EXPECT_EQ(clock_skew(first_, second_).error, milliseconds(31));
}

TEST_F(ClockSkewTest, SecondOneIsAheadOrBehindWhateverThisMachineSays) {
  answer(first_, hours(-1), milliseconds(1), milliseconds(1));
  answer(second_, hours(1), milliseconds(1), milliseconds(1));
  EXPECT_EQ(clock_skew(first_, second_).ahead, hours(2));
  EXPECT_EQ(clock_skew(second_, first_).ahead, hours(-2));
  EXPECT_DOUBLE_EQ(clock_skew(first_, second_).seconds(), 7200.0);
}

TEST_F(ClockSkewTest, QuickestAnswerCounts) {
  answer(first_, seconds(0), milliseconds(1), milliseconds(1));
  answer(second_, seconds(3), milliseconds(900), milliseconds(0));
  answer(second_, seconds(3), milliseconds(2), milliseconds(0));
  answer(second_, seconds(3), milliseconds(0), milliseconds(500));
  EXPECT_EQ(clock_skew(first_, second_).ahead, seconds(3) + milliseconds(1));
  EXPECT_EQ(clock_skew(first_, second_).error, milliseconds(2));
}

TEST_F(ClockSkewTest, TruthLiesWithinTheErrorHoweverUnevenTheWayIs) {
  for (int there = 0; there <= 100; there += 10) {
    ClockOffset first;
    ClockOffset second;
    answer(first, seconds(0), milliseconds(there), milliseconds(100 - there));
    answer(second, seconds(2), milliseconds(100 - there), milliseconds(there));
    const ClockSkew skew = clock_skew(first, second);
    EXPECT_LE(std::chrono::abs(skew.ahead - seconds(2)), skew.error) << there;
  }
}

}  // namespace
}  // namespace teal
