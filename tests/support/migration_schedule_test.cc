#include "tests/support/chaos/migration_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/failpoint.h"

namespace teal::test {
namespace {

constexpr std::size_t kWorkloads = 5;

std::vector<std::string> drawn(std::uint64_t seed, int count) {
  MigrationSchedule schedule(seed, kWorkloads);
  std::vector<std::string> plans;
  plans.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) plans.push_back(schedule.next().text());
  return plans;
}

TEST(MigrationSchedule, SameSeedGivesTheSameMigrations) {
  EXPECT_EQ(drawn(7, 100), drawn(7, 100));
  EXPECT_NE(drawn(7, 100), drawn(8, 100));
}

TEST(MigrationSchedule, HasEveryFailpointThatIsNotSteadyWithinThreeMigrations) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    MigrationSchedule schedule(seed, kWorkloads);
    std::set<std::size_t> points;
    for (int i = 0; i < 3; ++i) {
      for (const MigrationKill& kill : schedule.next().kills) points.insert(kill.failpoint);
    }
    for (std::size_t i = 0; i < kFailpoints.size(); ++i) {
      EXPECT_EQ(points.contains(i), kFailpoints[i].in == FailpointIn::kSetUp)
          << kFailpoints[i].name << ", seed " << seed;
    }
  }
}

TEST(MigrationSchedule, KillsComeInTheOrderOfAMigrationsLife) {
  MigrationSchedule schedule(7, kWorkloads);
  for (int i = 0; i < 100; ++i) {
    const MigrationPlan plan = schedule.next();
    std::vector<MigrationPhase> phases;
    phases.reserve(plan.kills.size());
    for (const MigrationKill& kill : plan.kills) phases.push_back(phase_of(kFailpoints[kill.failpoint].name));
    EXPECT_TRUE(std::is_sorted(phases.begin(), phases.end())) << plan.text();
  }
}

}  // namespace
}  // namespace teal::test
