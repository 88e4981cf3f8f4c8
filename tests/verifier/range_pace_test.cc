#include "verifier/range_pace.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

using std::chrono::milliseconds;

TEST(RangePace, AsksForNothingUntilItKnows) {
  EXPECT_EQ(RangePace(milliseconds(100)).rows(), SIZE_MAX);
  RangePace few(milliseconds(100));
  few.took(10, milliseconds(500));
  EXPECT_EQ(few.rows(), SIZE_MAX) << "a few rows say nothing of many";
}

TEST(RangePace, GivesAsManyRowsAsFitIntoTheTime) {
  RangePace pace(milliseconds(100));
  pace.took(10'000, milliseconds(1'000));
  EXPECT_EQ(pace.rows(), 1'000U);
  pace.took(1'000, milliseconds(300));  // it has become slower
  EXPECT_EQ(pace.rows(), 500U);
}

TEST(RangePace, ZeroIsNoLimit) {
  RangePace pace(milliseconds(0));
  pace.took(10'000, milliseconds(100'000));
  EXPECT_EQ(pace.rows(), SIZE_MAX);
}

TEST(RangePace, ReadsSomeRowsHoweverSlowTheyAre) {
  RangePace pace(milliseconds(1));
  pace.took(1'000, milliseconds(100'000));
  EXPECT_EQ(pace.rows(), 500U);
}

}  // namespace
}  // namespace teal
