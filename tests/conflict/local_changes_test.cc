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

KeyHash key(std::uint64_t number) { return {number, 1000 + number}; }

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
  [[nodiscard]] std::optional<UnseenVersions> unseen(const KeyHash& of, Lsn after, Lsn upto) const {
    std::optional<UnseenVersions> found;
    for (const auto& [commit, change] : versions_) {
      if ((change.key != of && change.key != kTable) || commit.lsn < after || commit.lsn > upto) continue;
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
      const LocalChange change{below(40) == 0 ? kTable : key(below(keys)), kTable, below(3) == 0,
                               below(5) == 0 ? kNoVersion : static_cast<std::int64_t>(below(1000))};
      changes.add(commit, std::vector{change});
      plain.add(commit, change);
      if (below(20) == 0) {
        forgotten += below(now - forgotten + 1);
        changes.forget(Lsn{16 * forgotten});
        plain.forget(Lsn{16 * forgotten});
      }
      const KeyHash asked = key(below(keys));
      const Lsn after{16 * below(now + 2)};
      const Lsn upto{after.value + 16 * below(now + 2)};
      const auto found = changes.unseen(asked, kTable, after, upto);
      const auto expected = plain.unseen(asked, after, upto);
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

// Two sides that write one counter for an hour: a look through all versions took longer than they did to be made, and
// nobody was ever caught up.
TEST(LocalChangesTest, RowThatIsWrittenAllTheTimeIsLookedUpAtOnce) {
  constexpr std::uint64_t kVersions = 300'000;
  LocalChanges changes;
  for (std::uint64_t i = 1; i <= kVersions; ++i)
    changes.add(commit_at(i), std::vector{LocalChange{key(1), kTable, false, static_cast<std::int64_t>(i)}});
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 1; i <= kVersions; ++i) {
    const auto found = changes.unseen(key(1), kTable, commit_at(i / 2).lsn, commit_at(i).lsn);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->version_max, static_cast<std::int64_t>(i));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace teal
