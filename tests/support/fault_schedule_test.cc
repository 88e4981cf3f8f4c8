#include "tests/support/chaos/fault_schedule.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "engine/failpoint.h"

namespace teal::test {
namespace {

std::vector<std::string> drawn(std::uint64_t seed, int count) {
  FaultSchedule schedule(seed);
  std::vector<std::string> faults;
  for (int i = 0; i < count; ++i) {
    const Fault fault = schedule.next();
    faults.push_back(std::to_string(fault.gap.count()) + " " + fault.text());
  }
  return faults;
}

TEST(FaultSchedule, SameSeedGivesTheSameFaults) {
  EXPECT_EQ(drawn(7, 500), drawn(7, 500));
  EXPECT_NE(drawn(7, 500), drawn(8, 500));
}

TEST(FaultSchedule, HasEveryKindAndEverySteadyFailpointWithinTenMinutesOfFaults) {
  FaultSchedule schedule(7);
  std::set<FaultKind> kinds;
  std::set<std::size_t> points;
  int deadly = 0;
  int settled = 0;
  std::chrono::milliseconds time{0};
  while (time < std::chrono::minutes(10)) {
    const Fault fault = schedule.next();
    EXPECT_GE(fault.gap.count(), 200);
    EXPECT_LE(fault.gap.count(), 3000);
    time += fault.gap;
    kinds.insert(fault.kind);
    if (fault.kind == FaultKind::kFailpoint) points.insert(fault.failpoint);
    if (kills_or_cuts(fault.kind)) ++deadly;
    if (fault.settles_after) ++settled;
  }
  EXPECT_EQ(kinds.size(), kFaultKinds);
  std::size_t steady = 0;
  for (const Failpoint& point : kFailpoints) steady += point.in == FailpointIn::kStream ? 1U : 0U;
  EXPECT_EQ(points.size(), steady);
  EXPECT_GT(deadly, 300);
  EXPECT_GT(settled, 30);
}

}  // namespace
}  // namespace teal::test
