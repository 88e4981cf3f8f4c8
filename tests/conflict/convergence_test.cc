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
  WrongRule mistake;
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
                         testing::Values(Planted{WrongRule::kTimesAsTheyAre, kLast, "TimesAsTheyAre"},
                                         Planted{WrongRule::kTimesAlone, kLast, "TimesAlone"},
                                         Planted{WrongRule::kReceiverNotAwaited, kLast, "ReceiverNotAwaited"},
                                         Planted{WrongRule::kInsertDeleteIsNothing, kLast, "InsertDeleteIsNothing"},
                                         Planted{WrongRule::kPartialRow, kLast, "PartialRow"},
                                         Planted{WrongRule::kGoneRowIsWritten, kLast, "GoneRowIsWritten"},
                                         Planted{WrongRule::kFetchedKeysForgotten, kLast, "FetchedKeysForgotten"},
                                         Planted{WrongRule::kHoldsNothingBack, kLast, "HoldsNothingBack"},
                                         Planted{WrongRule::kForgetsSeenAtStart, kLast, "ForgetsSeenAtStart"},
                                         Planted{WrongRule::kTruncateTakesAll, kLast, "TruncateTakesAll"},
                                         Planted{WrongRule::kPartTakesAll, kLast, "PartTakesAll"},
                                         Planted{WrongRule::kTruncateForgotten, kLast, "TruncateForgotten"},
                                         Planted{WrongRule::kOldestVersionsForgotten, ConflictPolicy::kFirstUpdateWins,
                                                 "OldestVersionsForgotten"},
                                         Planted{WrongRule::kOldestVersionsForgotten, ConflictPolicy::kVersionColumn,
                                                 "OldestVersionsForgottenByVersion"},
                                         Planted{WrongRule::kLoserDeletedByLink, kLast, "LoserDeletedByLink", true},
                                         Planted{WrongRule::kLoserKept, kLast, "LoserKept", true},
                                         Planted{WrongRule::kLoserNotRemembered, kLast, "LoserNotRemembered", true},
                                         Planted{WrongRule::kLoserLeavesOldRow, kLast, "LoserLeavesOldRow", true},
                                         Planted{WrongRule::kClaimsBySide, kLast, "ClaimsBySide", true}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace teal::test
