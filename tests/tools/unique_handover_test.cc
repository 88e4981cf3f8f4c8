#include "tools/unique_handover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace teal {
namespace {

using Groups = std::vector<std::vector<std::size_t>>;

Groups sorted(Groups groups) {
  for (auto& group : groups) std::sort(group.begin(), group.end());
  std::sort(groups.begin(), groups.end());
  return groups;
}

TEST(UniqueHandover, F1RowsThatWaitForEachOtherAreWrittenTogether) {
  const std::vector<HandoverRow> rows{{"a", {"b"}}, {"b", {"a"}}, {"c", {}}, {"", {"c"}}, {"e", {}}};
  const Handover plan = plan_handover(rows, 10);
  EXPECT_EQ(sorted(plan.together), (Groups{{0, 1}, {2, 3}, {4}}));
  EXPECT_TRUE(plan.held.empty());
  EXPECT_TRUE(plan.circles.empty());
}

TEST(UniqueHandover, F1WhatWaitsForARowThatStaysWaitsWithIt) {
  const std::vector<HandoverRow> rows{{"a", {"stays"}}, {"b", {"a"}}, {"c", {"b", "d"}}, {"d", {}}};
  const Handover plan = plan_handover(rows, 10);
  EXPECT_EQ(plan.together, (Groups{{3}}));
  EXPECT_EQ(plan.held, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(UniqueHandover, F1LongChainIsWrittenFromItsEnd) {
  std::vector<HandoverRow> rows;
  rows.reserve(101);
  for (int i = 0; i < 100; ++i) rows.push_back({std::to_string(i), {std::to_string(i + 1)}});
  rows.push_back({"100", {}});
  const Handover plan = plan_handover(rows, 10);
  ASSERT_EQ(plan.together.size(), 11U);
  std::size_t next = 101;
  for (const auto& group : plan.together) {
    for (const std::size_t row : group) EXPECT_EQ(row, --next);
  }
  EXPECT_TRUE(plan.circles.empty());
}

TEST(UniqueHandover, F1CircleThatIsTooLargeIsTold) {
  std::vector<HandoverRow> rows;
  rows.reserve(20);
  for (int i = 0; i < 20; ++i) rows.push_back({std::to_string(i), {std::to_string((i + 1) % 20)}});
  const Handover plan = plan_handover(rows, 10);
  EXPECT_TRUE(plan.together.empty());
  EXPECT_EQ(plan.circles.size(), 20U);
}

}  // namespace
}  // namespace teal
