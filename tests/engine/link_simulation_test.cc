#include "tests/support/simulation/link_simulation.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "engine/log.h"
#include "tests/support/random_seed.h"

namespace teal::test {
namespace {

constexpr int kHappenings = 250;  // some seconds of the link's time

/// What the simulation with that seed finds; "" when nothing.
std::string found(std::uint64_t seed, Mistake mistake) {
  try {
    LinkSimulation simulation(seed, mistake);
    for (int i = 0; i < kHappenings && simulation.happen(); ++i) continue;
    simulation.settle();
  } catch (const Violation& violation) {
    return violation.what();
  }
  return "";
}

/// Links say what breaks them; here that is a hundred thousand times.
class LinkSimulations : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_log(LogLevel::kError, LogFormat::kText); }
  static void TearDownTestSuite() { start_log(LogLevel::kInfo, LogFormat::kText); }
};

TEST_F(LinkSimulations, I1I2I3I4I8A1A3A5A7A8A9A10A11A12A13C5HoldWhateverBreaks) {
  constexpr std::uint64_t kRuns = seeds_to_try(2000);
  const std::uint64_t first = random_seed() % 1'000'000'000;
  for (std::uint64_t seed = first; seed < first + kRuns; ++seed) {
    ASSERT_EQ(found(seed, Mistake::kNone), "") << "TEAL_TEST_SEED=" << seed;
  }
}

// Links of one process share nothing: two that take turns do what each does alone.
TEST_F(LinkSimulations, EachOfTwoLinksDoesWhatItDoesAlone) {
  constexpr std::uint64_t kRuns = seeds_to_try(100);
  const auto run = [](LinkSimulation& one, LinkSimulation* other) {
    for (int i = 0; i < kHappenings; ++i) {
      static_cast<void>(one.happen());
      if (other != nullptr) static_cast<void>(other->happen());
    }
    one.settle();
    if (other != nullptr) other->settle();
  };
  const std::uint64_t first = random_seed() % 1'000'000'000;
  for (std::uint64_t seed = first; seed < first + kRuns; ++seed) {
    LinkSimulation alone(seed, Mistake::kNone);
    run(alone, nullptr);
    LinkSimulation forward(seed, Mistake::kNone);
    LinkSimulation reverse(seed + kRuns, Mistake::kNone);
    run(forward, &reverse);
    ASSERT_EQ(forward.outcome(), alone.outcome()) << "TEAL_TEST_SEED=" << seed;
  }
}

class LinkSimulationsFind : public LinkSimulations, public testing::WithParamInterface<Mistake> {};

TEST_P(LinkSimulationsFind, EachMistakeWithinSomeSeeds) {
  constexpr std::uint64_t kRunsMax = 200;
  constexpr int kEnough = kSanitized ? 1 : 5;
  int caught = 0;
  std::uint64_t runs = 0;
  std::string what;
  while (caught < kEnough && runs < kRunsMax) {
    const std::string here = found(++runs, GetParam());
    if (here.empty()) continue;
    ++caught;
    what = here;
  }
  EXPECT_GT(caught, 0);
  std::printf("caught by %d of %d seeds: %s\n", caught, static_cast<int>(runs), what.c_str());
}

INSTANTIATE_TEST_SUITE_P(Plausible, LinkSimulationsFind,
                         testing::Values(Mistake::kAcknowledgesApplied, Mistake::kAcknowledgesReceived,
                                         Mistake::kAppliesAgain, Mistake::kTakesEveryKeepalive,
                                         Mistake::kIdleOvertakesQueue, Mistake::kNeverIdle, Mistake::kTrustsItsCommit,
                                         Mistake::kTrustsTheOrigin, Mistake::kReadsBeforeAcquiring,
                                         Mistake::kEndsBatchAnywhere, Mistake::kSkipsWhatIsRefused,
                                         Mistake::kMiscountsWhatIsKnown, Mistake::kStaysInBrokenSession,
                                         Mistake::kIgnoresTheGap, Mistake::kDeafWhileApplying, Mistake::kWaitsForRoom,
                                         Mistake::kForgetsWhatWentAhead, Mistake::kForgetsWhatItLetGo));

}  // namespace
}  // namespace teal::test
