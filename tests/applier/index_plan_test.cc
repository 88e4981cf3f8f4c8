#include "applier/index_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "applier/index_units.h"

namespace teal::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kMiB = 1U << 20U;

// Two large tables, 10 with a key and two indexes, 20 with a key; 30 and 40 are small.
const std::string kListed =
    ";\n; Archive created at 2026-11-22\n;\n"
    "7; 2606 110 CONSTRAINT public a a_pkey owner\n"
    "8; 2606 120 CONSTRAINT public b b_pkey owner\n"
    "9; 2606 130 CONSTRAINT public c c_pkey owner\n"
    "10; 2606 140 CONSTRAINT public d d_pkey owner\n"
    "11; 1259 211 INDEX public a_n owner\n"
    "12; 1259 212 INDEX public a_v owner\n"
    "13; 1259 213 INDEX public d_n owner\n"
    "14; 2606 300 FK CONSTRAINT public c c_a_fkey owner\n"
    "15; 0 0 COMMENT public INDEX a_n owner\n";

std::vector<IndexFacts> facts() {
  return {{1, 110, 10, true, true, 0, "a_pkey"}, {2, 120, 20, true, true, 0, "b_pkey"},
          {3, 130, 30, true, true, 0, "c_pkey"}, {4, 140, 40, true, true, 0, "d_pkey"},
          {211, 0, 10, false, false, 0, "a_n"},  {212, 0, 10, false, false, 50 * kMiB, "a_v"},
          {213, 0, 40, false, false, 10, "d_n"}};
}

PostDataOptions options() {
  return {.jobs = 2, .apart = true, .held_back = 40, .table_bytes = {{10, 100 * kMiB}, {20, 200 * kMiB}, {30, 10}}};
}

// By its number in the dump.
std::vector<int> numbers(const std::vector<DumpEntry>& entries) {
  std::vector<int> out;
  out.reserve(entries.size());
  for (const DumpEntry& entry : entries) out.push_back(std::stoi(entry.line));
  return out;
}

TEST(IndexPlan, LargeTablesConstraintsAreOneUnitAndEachIndexAnotherTheHeaviestFirst) {
  const IndexPlan plan = plan_indexes(parse_contents(kListed), facts(), {}, options());
  ASSERT_EQ(plan.units.size(), 5U);
  EXPECT_THAT(numbers(plan.units[0].entries), ElementsAre(7)) << "two more wait for it";
  EXPECT_TRUE(plan.units[0].exclusive);
  EXPECT_THAT(numbers(plan.units[1].entries), ElementsAre(8));
  EXPECT_THAT(numbers(plan.units[2].entries), ElementsAre(12)) << "of two of one table, the larger one";
  EXPECT_FALSE(plan.units[2].exclusive);
  EXPECT_THAT(numbers(plan.units[3].entries), ElementsAre(11));
  EXPECT_THAT(numbers(plan.units[4].entries), ElementsAre(9, 13)) << "small tables, in the list's order";
}

TEST(IndexPlan, UniqueIndexesOfOneTableAndWhatIsNoIndexComeLast) {
  EXPECT_THAT(numbers(plan_indexes(parse_contents(kListed), facts(), {}, options()).rest), ElementsAre(10, 14, 15));
}

TEST(IndexPlan, WhatIsPresentIsLeftOut) {
  const IndexPlan plan = plan_indexes(parse_contents(kListed), facts(), {"a_pkey", "a_v", "d_n", "d_pkey"}, options());
  ASSERT_EQ(plan.units.size(), 3U);
  EXPECT_THAT(numbers(plan.units[1].entries), ElementsAre(11));
  EXPECT_THAT(numbers(plan.units[2].entries), ElementsAre(9));
  EXPECT_THAT(numbers(plan.rest), ElementsAre(14, 15));
}

TEST(IndexPlan, WithoutAKeyToHoldBackEverythingIsOneTransaction) {
  PostDataOptions together = options();
  together.apart = false;
  const IndexPlan plan = plan_indexes(parse_contents(kListed), facts(), {}, together);
  EXPECT_THAT(plan.units, IsEmpty());
  EXPECT_EQ(plan.rest.size(), 9U);
}

TEST(IndexPlan, ManySmallTablesAreGathered) {
  std::string listed;
  std::vector<IndexFacts> indexes;
  for (std::uint32_t i = 1; i <= 2000; ++i) {
    listed += std::to_string(i) + "; 2606 " + std::to_string(i) + " CONSTRAINT public t t_pkey owner\n";
    indexes.push_back({i, i, i, true, true, 0, std::to_string(i)});
  }
  const IndexPlan plan = plan_indexes(parse_contents(listed), indexes, {}, {.jobs = 2, .apart = true});
  EXPECT_EQ(plan.units.size(), 10U);
}

// A constraint takes a lock that nobody else's index of the table gets by.
TEST(IndexUnits, NothingIsMadeBesideATablesConstraint) {
  std::vector<IndexUnit> units;
  units.reserve(60);
  for (int i = 0; i < 60; ++i) units.push_back({static_cast<std::uint32_t>(1 + i % 3), i % 4 == 0, 1, {DumpEntry{}}});
  std::mutex mutex;
  std::multiset<std::uint32_t> tables;
  std::multiset<std::uint32_t> alone;
  std::atomic<int> wrong = 0;
  std::size_t made = 0;
  run_index_units(
      units, 8, {},
      [&](const IndexUnit& unit, int, const std::stop_token&) {
        {
          const std::scoped_lock lock(mutex);
          if (alone.contains(unit.table) || (unit.exclusive && tables.contains(unit.table))) ++wrong;
          tables.insert(unit.table);
          if (unit.exclusive) alone.insert(unit.table);
        }
        std::this_thread::yield();
        const std::scoped_lock lock(mutex);
        tables.erase(tables.find(unit.table));
        if (unit.exclusive) alone.erase(unit.table);
      },
      made);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(made, 60U);
}

TEST(IndexUnits, AfterAFailureNoMoreIsBegunAndWhatWasMadeIsCounted) {
  const std::vector<IndexUnit> units(5, IndexUnit{0, false, 1, {DumpEntry{}, DumpEntry{}}});
  int begun = 0;
  std::size_t made = 0;
  EXPECT_THROW(run_index_units(
                   units, 1, {},
                   [&](const IndexUnit&, int, const std::stop_token&) {
                     if (++begun == 3) throw std::runtime_error("refused");
                   },
                   made),
               std::runtime_error);
  EXPECT_EQ(begun, 3);
  EXPECT_EQ(made, 4U);
}

}  // namespace
}  // namespace teal::test
