// What is known of a row's versions is found in few steps, however many there are, and nothing else is found.
#include "conflict/local_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/random_seed.h"

namespace teal {
namespace {

constexpr KeyHash kTable{7, 7};

constexpr KeyHash kParts[] = {{7, 8}, {7, 9}};

KeyHash key(std::uint64_t number) { return {number, 1000 + number}; }
TableHash table_of(std::uint64_t number) { return {kTable, kParts[number % 2]}; }

LocalCommit commit_at(std::uint64_t number) {
  return {Lsn{16 * number}, Timestamp{static_cast<std::int64_t>(number)}, Lsn{}};
}

// All versions, looked through one by one.
class PlainChanges {
 public:
  void add(const LocalCommit& commit, const LocalChange& change) { versions_.push_back({commit, change}); }
  void forget(Lsn position) {
    std::erase_if(versions_, [&](const Version& version) { return version.commit.lsn < position; });
  }
  [[nodiscard]] std::optional<UnseenVersions> unseen(const KeyHash& of, const TableHash& table, Lsn after,
                                                     Lsn upto) const {
    std::optional<UnseenVersions> found;
    for (const auto& [commit, change] : versions_) {
      const bool concerned = change.key == of || change.key == table.whole || change.key == table.part;
      if (!concerned || commit.lsn < after || commit.lsn > upto) continue;
      if (!found) found = UnseenVersions{.last = commit, .first_time = commit.time};
      found->last = commit;
      found->removed = change.removed;
      found->version_max = std::max(found->version_max, change.version);
    }
    return found;
  }

 private:
  struct Version {
    LocalCommit commit;
    LocalChange change;
  };
  std::vector<Version> versions_;
};

TEST(LocalChangesTest, FindsWhatALookThroughAllVersionsFinds) {
  const std::uint64_t seed = test::random_seed();
  std::mt19937_64 random(seed);
  const auto below = [&random](std::uint64_t end) { return random() % end; };
  int hits = 0;
  for (int round = 0; round < 200; ++round) {
    LocalChanges changes;
    PlainChanges plain;
    const std::uint64_t keys = 1 + below(4);
    std::uint64_t now = 1;
    std::uint64_t forgotten = 0;
    for (int step = 0; step < 400; ++step) {
      const LocalCommit commit = commit_at(now += below(2));
      LocalChange change{kTable, kTable, below(3) == 0,
                         below(5) == 0 ? kNoVersion : static_cast<std::int64_t>(below(1000))};
      const std::uint64_t changed = below(keys);
      if (below(40) != 0) {
        change.table = table_of(changed);
        change.key = below(20) == 0 ? change.table.part : key(changed);
      }
      changes.add(commit, std::vector{change});
      plain.add(commit, change);
      if (below(20) == 0) {
        forgotten += below(now - forgotten + 1);
        changes.forget(Lsn{16 * forgotten});
        plain.forget(Lsn{16 * forgotten});
      }
      const std::uint64_t number = below(keys);
      const KeyHash asked = key(number);
      const Lsn after{16 * below(now + 2)};
      const Lsn upto{after.value + 16 * below(now + 2)};
      const auto found = changes.unseen(asked, table_of(number), after, upto);
      const auto expected = plain.unseen(asked, table_of(number), after, upto);
      ASSERT_EQ(found.has_value(), expected.has_value()) << "seed " << seed;
      if (!found) continue;
      ++hits;
      ASSERT_EQ(found->last.lsn, expected->last.lsn) << "seed " << seed;
      ASSERT_EQ(found->removed, expected->removed) << "seed " << seed;
      ASSERT_EQ(found->first_time, expected->first_time) << "seed " << seed;
      ASSERT_EQ(found->version_max, expected->version_max) << "seed " << seed;
    }
  }
  EXPECT_GT(hits, 10'000);
}

// What a TRUNCATE may have to spare: of the table, or of the one partition that it empties.
TEST(LocalChangesTest, G5KeysOfOnePartitionAreKnownFromThoseOfItsTable) {
  LocalChanges changes;
  for (std::uint64_t i = 1; i <= 4; ++i) {
    changes.add(commit_at(i), std::vector{LocalChange{key(i), table_of(i), false, kNoVersion}});
  }
  changes.add(commit_at(5), std::vector{LocalChange{kParts[1], table_of(1), true, kNoVersion}});
  const auto keys = [&](const TableHash& table, std::uint64_t after) {
    std::vector<std::uint64_t> numbers;
    for (const ChangedKey& changed : changes.changed_keys(table, commit_at(after).lsn)) {
      numbers.push_back(changed.key.high);
      EXPECT_EQ(changed.table, table_of(changed.key.high));
    }
    return numbers;
  };
  EXPECT_THAT(keys(kTable, 1), testing::ElementsAre(4, 3, 2, 1));
  EXPECT_THAT(keys(table_of(1), 1), testing::ElementsAre(3, 1));
  EXPECT_THAT(keys(table_of(2), 3), testing::ElementsAre(4));
  EXPECT_EQ(changes.table_of(key(3)), table_of(3));
  EXPECT_FALSE(changes.unseen(key(2), table_of(2), commit_at(3).lsn));
  EXPECT_TRUE(changes.unseen(key(3), table_of(3), commit_at(4).lsn)->removed);
}

// Two sides that write one counter for an hour: a look through all versions took longer than they did to be made, and
// nobody was ever caught up.
TEST(LocalChangesTest, RowThatIsWrittenAllTheTimeIsLookedUpAtOnce) {
#if defined(TEAL_SANITIZED)
  constexpr std::uint64_t kVersions = 20'000;  // ten times as slow
#else
  constexpr std::uint64_t kVersions = 150'000;
#endif
  LocalChanges changes;
  for (std::uint64_t i = 1; i <= kVersions; ++i)
    changes.add(commit_at(i), std::vector{LocalChange{key(1), kTable, false, static_cast<std::int64_t>(i)}});
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 1; i <= kVersions; ++i) {
    const auto found = changes.unseen(key(1), kTable, commit_at(i / 2).lsn, commit_at(i).lsn);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->version_max, static_cast<std::int64_t>(i));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

}  // namespace
}  // namespace teal
