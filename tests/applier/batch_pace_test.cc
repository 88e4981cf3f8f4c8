#include "applier/batch_pace.h"

#include <gtest/gtest.h>

#include <set>

namespace teal::test {
namespace {

using std::chrono::milliseconds;

BatchPace pace() { return {500, 7}; }

void go_through(BatchPace& pace, int times) {
  for (int i = 0; i < times; ++i) pace.went_through();
}

TEST(BatchPace, HasNoLimitUntilSomethingGaveWay) {
  BatchPace free = pace();
  EXPECT_EQ(free.transactions_max(), SIZE_MAX);
  go_through(free, 100);
  EXPECT_EQ(free.transactions_max(), SIZE_MAX);
}

TEST(BatchPace, HalvesWhatWasTriedDownToOne) {
  BatchPace pressed = pace();
  for (const std::size_t half : {10U, 5U, 2U, 1U, 1U}) {
    pressed.gave_way(pressed.transactions_max() == SIZE_MAX ? 20 : pressed.transactions_max());
    EXPECT_EQ(pressed.transactions_max(), half);
  }
  pressed.gave_way(0);  // a progress row alone
  EXPECT_EQ(pressed.transactions_max(), 1U);
}

TEST(BatchPace, GrowsBackSlowlyUntilThereIsNoLimit) {
  BatchPace pressed = pace();
  pressed.gave_way(1);
  go_through(pressed, BatchPace::kGrowAfter - 1);
  EXPECT_EQ(pressed.transactions_max(), 1U);
  go_through(pressed, 1);
  EXPECT_EQ(pressed.transactions_max(), 2U);
  go_through(pressed, 8 * BatchPace::kGrowAfter);
  EXPECT_EQ(pressed.transactions_max(), 512U);
  go_through(pressed, BatchPace::kGrowAfter);
  EXPECT_EQ(pressed.transactions_max(), SIZE_MAX);
}

TEST(BatchPace, GivingWayBeginsTheCountAnew) {
  BatchPace pressed = pace();
  pressed.gave_way(8);
  go_through(pressed, BatchPace::kGrowAfter - 1);
  pressed.gave_way(4);
  go_through(pressed, BatchPace::kGrowAfter - 1);
  EXPECT_EQ(pressed.transactions_max(), 2U);
}

TEST(BatchPace, PausesGrowDifferAndEndWithSuccess) {
  BatchPace pressed = pace();
  milliseconds most{10};
  std::set<milliseconds> seen;
  for (int i = 0; i < 20; ++i, most = std::min(2 * most, milliseconds(640))) {
    pressed.gave_way(1);
    const milliseconds pause = pressed.pause();
    EXPECT_GE(pause, most / 2);
    EXPECT_LE(pause, most);
    seen.insert(pause);
  }
  EXPECT_GT(seen.size(), 10U);
  pressed.went_through();
  pressed.gave_way(1);
  EXPECT_LE(pressed.pause(), milliseconds(10));
}

TEST(BatchPace, LocksTablesMoreAndMoreRarely) {
  BatchPace pressed = pace();
  std::set<int> locked_after;
  for (int given = 1; given <= 20; ++given) {
    pressed.gave_way(1);
    if (pressed.locks_tables()) locked_after.insert(given);
  }
  EXPECT_EQ(locked_after, (std::set{2, 4, 8, 16}));
  pressed.went_through();
  EXPECT_FALSE(pressed.locks_tables());
  for (int i = 0; i < 4; ++i) {
    pressed.gave_way(2);
    EXPECT_FALSE(pressed.locks_tables());
  }
}

TEST(BatchPace, OneTransactionAloneGetsMoreTimeWhenItHadTooLittle) {
  BatchPace pressed = pace();
  EXPECT_EQ(pressed.statement_time(), milliseconds(400));
  pressed.gave_way(2, true);
  pressed.gave_way(1);
  EXPECT_EQ(pressed.statement_time(), milliseconds(400));
  pressed.gave_way(1, true);
  pressed.gave_way(1, true);
  EXPECT_EQ(pressed.statement_time(), milliseconds(1'600));
  pressed.went_through();
  EXPECT_EQ(pressed.statement_time(), milliseconds(400));
}

}  // namespace
}  // namespace teal::test
