#include "engine/failpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>

#include "tests/support/failpoint_counts.h"
#include "tests/support/scratch_directory.h"

namespace teal {
namespace {

using test::FailpointCounts;

// Each test passes points in a process of its own, as the environment decides at the first one.
void pass_in_order(const char* variable, const std::string& value, const std::string& counts, int rounds) {
  if (variable != nullptr) ::setenv(variable, value.c_str(), 1);
  ::setenv("TEAL_FAILPOINT_COUNTS", counts.c_str(), 1);
  for (int i = 0; i < rounds; ++i) {
    TEAL_FAILPOINT("before_begin");
    TEAL_FAILPOINT("commit_sent");
  }
  std::_Exit(0);
}

std::string counts_file() { return test::make_scratch_directory("counts") / "counts"; }

TEST(FailpointDeathTest, OnePointKillsAtItsNthPassAndTheCountSurvives) {
  const std::string path = counts_file();
  EXPECT_EXIT(pass_in_order("TEAL_FAILPOINT", "commit_sent:3", path, 10), testing::KilledBySignal(SIGKILL), "");
  const FailpointCounts counts(path);
  EXPECT_EQ(counts.of("before_begin").passed, 3U);
  EXPECT_EQ(counts.of("commit_sent").passed, 3U);
  EXPECT_EQ(counts.of("commit_sent").killed, 1U);
  EXPECT_EQ(counts.of("before_begin").killed, 0U);
}

TEST(FailpointDeathTest, ProcessesAddToOneFile) {
  const std::string path = counts_file();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EXIT(pass_in_order("TEAL_FAILPOINT", "before_begin", path, 10), testing::KilledBySignal(SIGKILL), "");
  }
  EXPECT_EQ(FailpointCounts(path).of("before_begin").killed, 3U);
  EXPECT_EQ(FailpointCounts(path).of("batch_done").passed, 0U);
}

TEST(FailpointDeathTest, RandomPointsRepeatWithTheirSeed) {
  std::uint64_t passed = 0;
  for (int i = 0; i < 2; ++i) {
    const std::string path = counts_file();
    EXPECT_EXIT(pass_in_order("TEAL_FAILPOINTS_RANDOM", "0.01:7", path, 10'000), testing::KilledBySignal(SIGKILL), "");
    const std::uint64_t count = FailpointCounts(path).of("before_begin").passed;
    EXPECT_TRUE(i == 0 || count == passed) << count;
    passed = count;
  }
  EXPECT_GT(passed, 1U);
}

TEST(FailpointDeathTest, RandomPointsKillAsOftenAsTheyShould) {
  const std::string path = counts_file();
  EXPECT_EXIT(pass_in_order("TEAL_FAILPOINTS_RANDOM", "0:7", path, 1000), testing::ExitedWithCode(0), "");
  std::uint64_t passed = 0;
  constexpr int kProcesses = 40;
  for (int seed = 0; seed < kProcesses; ++seed) {
    const std::string each = counts_file();
    EXPECT_EXIT(pass_in_order("TEAL_FAILPOINTS_RANDOM", "0.02:" + std::to_string(seed), each, 100'000),
                testing::KilledBySignal(SIGKILL), "");
    const FailpointCounts counts(each);
    passed += counts.of("before_begin").passed + counts.of("commit_sent").passed;
  }
  EXPECT_NEAR(static_cast<double>(passed) / kProcesses, 50, 25);
}

TEST(FailpointDeathTest, ValueThatCannotBeReadIsNoRunWithoutFaults) {
  for (const char* value : {"no_such_point", "commit_sent:", "commit_sent:0", "commit_sent:x"}) {
    EXPECT_EXIT(pass_in_order("TEAL_FAILPOINT", value, counts_file(), 1), testing::ExitedWithCode(2), value);
  }
  for (const char* value : {"0.5", "x:1", "2:1", "0.5:"}) {
    EXPECT_EXIT(pass_in_order("TEAL_FAILPOINTS_RANDOM", value, counts_file(), 1), testing::ExitedWithCode(2), value);
  }
  EXPECT_EXIT(pass_in_order(nullptr, "", "/no/such/directory/counts", 1), testing::ExitedWithCode(2), "COUNTS");
}

TEST(Failpoints, HaveDifferentNames) {
  for (const Failpoint& point : kFailpoints) {
    EXPECT_EQ(std::count_if(kFailpoints.begin(), kFailpoints.end(),
                            [&](const Failpoint& other) { return other.name == point.name; }),
              1)
        << point.name;
  }
}

}  // namespace
}  // namespace teal
