// Two sides that write the same rows come to the same rows, whatever the interleaving, the crashes and the clocks
// (invariant I6, TRAPS G1-G5, G7, G8, G10), decided by the code that the links use.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/support/random_seed.h"
#include "tests/support/simulation/two_sides.h"

namespace teal::test {
namespace {

std::string policy_name(ConflictPolicy policy) {
  switch (policy) {
    case ConflictPolicy::kLastUpdateWins:
      return "LastUpdateWins";
    case ConflictPolicy::kFirstUpdateWins:
      return "FirstUpdateWins";
    case ConflictPolicy::kBlueWins:
      return "BlueWins";
    case ConflictPolicy::kGreenWins:
      return "GreenWins";
    case ConflictPolicy::kVersionColumn:
      return "VersionColumn";
    case ConflictPolicy::kError:
      return "Error";
  }
  return "";
}

class Convergence : public testing::TestWithParam<ConflictPolicy> {};

TEST_P(Convergence, I6BothSidesComeToTheSameRows) {
  const std::uint64_t first = random_seed();
  for (std::uint64_t i = 0; i < seeds_to_try(40'000); ++i) {
    TwoSides sides(first + i, {.policy = GetParam()});
    const std::string wrong = sides.run();
    ASSERT_EQ(wrong, "") << "seed " << first + i;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, Convergence,
                         testing::Values(ConflictPolicy::kLastUpdateWins, ConflictPolicy::kFirstUpdateWins,
                                         ConflictPolicy::kBlueWins, ConflictPolicy::kGreenWins,
                                         ConflictPolicy::kVersionColumn),
                         [](const auto& tested) { return policy_name(tested.param); });

// G7: rows claim values that other rows have on the other side.
TEST_P(Convergence, G7UniqueValuesEndWithOneRowOnBothSides) {
  const std::uint64_t first = random_seed();
  for (std::uint64_t i = 0; i < seeds_to_try(40'000); ++i) {
    TwoSides sides(first + i, {.policy = GetParam(), .unique = true});
    const std::string wrong = sides.run();
    ASSERT_EQ(wrong, "") << "seed " << first + i;
  }
}

struct Planted {
  Mistake mistake;
  ConflictPolicy policy;
  const char* name;
  bool unique = false;
};

class ConvergenceFinds : public testing::TestWithParam<Planted> {};

TEST_P(ConvergenceFinds, AMistake) {
  const std::uint64_t first = random_seed();
  constexpr std::uint64_t kRunsMax = 2'000'000;
  std::uint64_t runs = 0;
  while (
      runs < kRunsMax &&
      TwoSides(first + runs, {.policy = GetParam().policy, .mistake = GetParam().mistake, .unique = GetParam().unique})
          .run()
          .empty())
    ++runs;
  EXPECT_LT(runs, kRunsMax);
}

constexpr ConflictPolicy kLast = ConflictPolicy::kLastUpdateWins;
INSTANTIATE_TEST_SUITE_P(Planted, ConvergenceFinds,
                         testing::Values(Planted{Mistake::kTimesAsTheyAre, kLast, "TimesAsTheyAre"},
                                         Planted{Mistake::kTimesAlone, kLast, "TimesAlone"},
                                         Planted{Mistake::kReceiverNotAwaited, kLast, "ReceiverNotAwaited"},
                                         Planted{Mistake::kInsertDeleteIsNothing, kLast, "InsertDeleteIsNothing"},
                                         Planted{Mistake::kPartialRow, kLast, "PartialRow"},
                                         Planted{Mistake::kGoneRowIsWritten, kLast, "GoneRowIsWritten"},
                                         Planted{Mistake::kFetchedKeysForgotten, kLast, "FetchedKeysForgotten"},
                                         Planted{Mistake::kHoldsNothingBack, kLast, "HoldsNothingBack"},
                                         Planted{Mistake::kForgetsSeenAtStart, kLast, "ForgetsSeenAtStart"},
                                         Planted{Mistake::kTruncateTakesAll, kLast, "TruncateTakesAll"},
                                         Planted{Mistake::kPartTakesAll, kLast, "PartTakesAll"},
                                         Planted{Mistake::kTruncateForgotten, kLast, "TruncateForgotten"},
                                         Planted{Mistake::kOldestVersionsForgotten, ConflictPolicy::kFirstUpdateWins,
                                                 "OldestVersionsForgotten"},
                                         Planted{Mistake::kOldestVersionsForgotten, ConflictPolicy::kVersionColumn,
                                                 "OldestVersionsForgottenByVersion"},
                                         Planted{Mistake::kLoserDeletedByLink, kLast, "LoserDeletedByLink", true},
                                         Planted{Mistake::kLoserKept, kLast, "LoserKept", true},
                                         Planted{Mistake::kLoserNotRemembered, kLast, "LoserNotRemembered", true},
                                         Planted{Mistake::kLoserLeavesOldRow, kLast, "LoserLeavesOldRow", true},
                                         Planted{Mistake::kClaimsBySide, kLast, "ClaimsBySide", true}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace teal::test
