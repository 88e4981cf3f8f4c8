// The arithmetic of interleaved sequences (TRAPS J6, J7).
#include "tools/sequence_series.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <set>

#include "tools/sequence_facts.h"

namespace teal {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

SequenceNumbers drawn(std::int64_t last, std::int64_t increment = 1) {
  SequenceNumbers numbers{.last = last, .called = true, .increment = increment};
  if (increment < 0) numbers = {last, true, increment, -1, kLeast, -1, false};
  return numbers;
}
SequenceNumbers fresh() { return {}; }

/// As the side is once the plan was carried out.
SequenceNumbers placed(SequenceNumbers numbers, const SeriesPlan& plan, const SeriesSide& side) {
  if (side.placed) return numbers;
  numbers.last = side.next;
  numbers.called = false;
  numbers.increment = plan.increment;
  numbers.start = side.start;
  return numbers;
}

void expect_apart(const SequenceNumbers& blue, const SequenceNumbers& green) {
  const SeriesPlan plan = plan_series(blue, green);
  ASSERT_EQ(plan.problem, SeriesProblem::kNone);
  EXPECT_FALSE(may_draw_same(placed(blue, plan, plan.blue), placed(green, plan, plan.green)));
}

TEST(SequenceSeries, J6BlueKeepsTheNumbersOfItsStartAndGreenHasThoseBetween) {
  const SeriesPlan plan = plan_series(drawn(7), fresh());
  EXPECT_EQ(plan.problem, SeriesProblem::kNone);
  EXPECT_EQ(plan.increment, 2);
  EXPECT_EQ(plan.blue.next, 9);
  EXPECT_EQ(plan.green.next, 8);
  EXPECT_EQ(plan.blue.start, 1);
  EXPECT_EQ(plan.green.start, 2);
}

TEST(SequenceSeries, J6BothBeginBehindWhatEitherHasDrawn) {
  for (const auto& [blue, green] : {std::pair{drawn(7), drawn(100)}, std::pair{drawn(100), drawn(7)}}) {
    const SeriesPlan plan = plan_series(blue, green);
    EXPECT_EQ(plan.blue.next, 101);
    EXPECT_EQ(plan.green.next, 102);
  }
}

TEST(SequenceSeries, DescendingAndWideOnesAreInterleavedToo) {
  const SeriesPlan down = plan_series(drawn(-7, -1), drawn(-1, -1));
  EXPECT_EQ(down.increment, -2);
  EXPECT_EQ(down.blue.next, -9);
  EXPECT_EQ(down.green.next, -8);
  const SeriesPlan wide = plan_series(drawn(33, 10), drawn(13, 10));
  EXPECT_EQ(wide.increment, 20);
  EXPECT_EQ(wide.blue.next, 43);
  EXPECT_EQ(wide.green.next, 53);
  EXPECT_FALSE(may_draw_same(drawn(33, 10), drawn(14, 10))) << "different numbers already";
}

TEST(SequenceSeries, RandomOnesNeverMeetAndNeverGoBack) {
  std::mt19937_64 random(7);
  const auto number = [&random](std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random);
  };
  for (int i = 0; i < 2'000; ++i) {
    const std::int64_t increment = number(0, 1) == 0 ? number(1, 50) : -number(1, 50);
    SequenceNumbers blue{number(-5000, 5000), number(0, 1) == 0, increment, number(-5000, 5000), kLeast, kMost, false};
    SequenceNumbers green = blue;
    green.last += increment * number(-100, 100);
    green.called = number(0, 1) == 0;
    const SeriesPlan plan = plan_series(blue, green);
    ASSERT_EQ(plan.problem, SeriesProblem::kNone);
    std::set<std::int64_t> seen;
    for (std::int64_t k = 0; k < 50; ++k) {
      ASSERT_TRUE(seen.insert(plan.blue.next + k * plan.increment).second);
      ASSERT_TRUE(seen.insert(plan.green.next + k * plan.increment).second);
    }
    for (const SequenceNumbers& side : {blue, green}) {
      for (const std::int64_t next : {plan.blue.next, plan.green.next}) {
        if (increment > 0) {
          ASSERT_GE(next, side.called ? side.last + 1 : side.last);
        } else {
          ASSERT_LE(next, side.called ? side.last - 1 : side.last);
        }
      }
    }
    expect_apart(blue, green);
  }
}

TEST(SequenceSeries, SideThatIsInPlaceIsLeftThere) {
  SequenceNumbers blue = drawn(9, 2);
  const SeriesPlan plan = plan_series(blue, drawn(4));
  EXPECT_TRUE(plan.blue.placed);
  EXPECT_FALSE(plan.green.placed);
  EXPECT_EQ(plan.increment, 2);
  EXPECT_EQ(plan.green.next % 2, 0);
  EXPECT_GE(plan.green.next, 11);
  expect_apart(blue, drawn(4));
}

TEST(SequenceSeries, OneThatSomebodySetIntoTheOthersNumbersIsPutBackIntoItsOwn) {
  const SeriesPlan plan = plan_series(drawn(9, 2), drawn(21, 2), 1, 9);
  EXPECT_TRUE(plan.blue.placed);
  EXPECT_FALSE(plan.green.placed);
  EXPECT_EQ(plan.increment, 2);
  EXPECT_EQ(plan.green.next, 24);
}

TEST(SequenceSeries, WhatCannotBeInterleavedSaysWhy) {
  SequenceNumbers cycling = drawn(5);
  cycling.cycles = true;
  EXPECT_EQ(plan_series(cycling, fresh()).problem, SeriesProblem::kCycles);
  EXPECT_EQ(plan_series(drawn(5), drawn(5, 3)).problem, SeriesProblem::kIncrements);
  SequenceNumbers last = drawn(kMost);
  EXPECT_EQ(plan_series(last, fresh()).problem, SeriesProblem::kRoom);
  last.max = 32767;
  last.last = 32000;
  EXPECT_EQ(plan_series(last, fresh()).problem, SeriesProblem::kRoom);
  last.last = 30000;
  EXPECT_EQ(plan_series(last, fresh()).problem, SeriesProblem::kNone);
}

TEST(SequenceSeries, RangesThatDoNotMeetAreApart) {
  SequenceNumbers low = drawn(5);
  low.max = 1000;
  SequenceNumbers high = drawn(1000);
  EXPECT_FALSE(may_draw_same(low, high));
  EXPECT_TRUE(may_draw_same(drawn(5), high));
  EXPECT_FALSE(may_draw_same(drawn(5), drawn(-5, -1)));
  low.cycles = true;
  high.min = 1001;
  EXPECT_FALSE(may_draw_same(low, high));
}

TEST(SequenceSeries, J7WhatIsPutBackGoesOnBehindTheOther) {
  EXPECT_EQ(next_behind(drawn(7, 2), 1, 4), 8);
  EXPECT_EQ(next_behind(drawn(7, 2), 1, 20), 21);
  EXPECT_EQ(next_behind(drawn(33, 20), 10, 53), 63);
  EXPECT_EQ(next_behind(drawn(-7, -2), -1, -20), -21);
  SequenceNumbers full = drawn(7, 2);
  full.max = 20;
  EXPECT_EQ(next_behind(full, 1, 20), std::nullopt);
}

// Keys that the application makes itself, from blocks of fifty: the numbers between are not free.
TEST(SequencePairs, J6EvenIncrementOfTheApplicationsOwnIsNotTakenForHalfOfIt) {
  SequencePair pair;
  pair.blue.numbers = drawn(101, 50);
  pair.green.numbers = drawn(101, 50);
  pair.green.owned = true;
  const SeriesPlan plan = pair.plan();
  EXPECT_FALSE(plan.blue.placed);
  EXPECT_EQ(plan.increment, 100);
  pair.blue.numbers.increment = pair.green.numbers.increment = 2;
  EXPECT_TRUE(pair.plan().blue.placed) << "its owner has doubled one, and green was made after it";
}

}  // namespace
}  // namespace teal
