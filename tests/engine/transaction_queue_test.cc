#include "engine/transaction_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

namespace teal {
namespace {

using std::chrono::milliseconds;

SourceItem slice_of_bytes(std::size_t bytes, std::uint64_t lsn = 0) {
  TransactionSlice slice;
  slice.bytes = bytes;
  slice.end_lsn = Lsn{lsn};
  return slice;
}

std::uint64_t lsn_of(const SourceItem& item) { return std::get<TransactionSlice>(item).end_lsn.value; }

TEST(TransactionQueue, RefusesWhatDoesNotFitAndLeavesItWithTheCaller) {
  const Progress progress;
  TransactionQueue queue(100, progress);
  SourceItem first = slice_of_bytes(60, 1);
  SourceItem second = slice_of_bytes(60, 2);
  EXPECT_TRUE(queue.try_push(first));
  EXPECT_FALSE(queue.try_push(second));
  EXPECT_EQ(lsn_of(second), 2U);
  EXPECT_EQ(queue.bytes(), 60U);
}

TEST(TransactionQueue, CountsWhatGoesAheadOfItsCommitAsWell) {
  const Progress progress;
  TransactionQueue queue(100, progress);
  SourceItem first = AheadSlice{std::get<TransactionSlice>(slice_of_bytes(60)), std::make_shared<AheadTrial>()};
  SourceItem second = slice_of_bytes(60, 2);
  EXPECT_TRUE(queue.try_push(first));
  EXPECT_EQ(queue.bytes(), 60U);
  EXPECT_FALSE(queue.try_push(second));
}

TEST(TransactionQueue, LetsOneOversizedSliceInWhenEmpty) {
  const Progress progress;
  TransactionQueue queue(100, progress);
  SourceItem large = slice_of_bytes(1'000);
  EXPECT_TRUE(queue.try_push(large));
  SourceItem next = slice_of_bytes(1);
  EXPECT_FALSE(queue.try_push(next));
}

TEST(TransactionQueue, TellsTheProducerOnceThereIsSpace) {
  const Progress progress;
  TransactionQueue queue(100, progress);
  int told = 0;
  queue.on_space([&] { ++told; });
  for (int i = 0; i < 10; ++i) {
    SourceItem item = slice_of_bytes(10);
    ASSERT_TRUE(queue.try_push(item));
  }
  SourceItem refused = slice_of_bytes(10);
  ASSERT_FALSE(queue.try_push(refused));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(queue.next(milliseconds(0)));
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(queue.try_push(refused));
}

TEST(TransactionQueue, HandsOutEverythingBeforeTheErrorThatEndedTheStream) {
  const Progress progress;
  TransactionQueue queue(100, progress);
  SourceItem item = slice_of_bytes(10, 1);
  ASSERT_TRUE(queue.try_push(item));
  queue.close(std::make_exception_ptr(std::runtime_error("cut")));
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(lsn_of(*queue.next(milliseconds(0))), 1U);
  EXPECT_TRUE(queue.drained());
  EXPECT_THROW(static_cast<void>(queue.next(milliseconds(0))), std::runtime_error);
}

TEST(TransactionQueue, EndsQuietlyWhenClosedWithoutAnError) {
  const Progress progress;
  TransactionQueue queue(100, progress);
  queue.close(nullptr);
  EXPECT_FALSE(queue.next(milliseconds(1'000)).has_value());
  EXPECT_TRUE(queue.drained());
}

TEST(TransactionQueue, KeepsOrderAndBoundBetweenTwoThreads) {
  constexpr std::uint64_t kItems = 200'000;
  constexpr std::size_t kBound = 1'000;
  const Progress progress;
  TransactionQueue queue(kBound, progress);
  std::atomic<std::size_t> most{0};
  std::jthread producer([&] {
    for (std::uint64_t i = 1; i <= kItems; ++i) {
      SourceItem item = slice_of_bytes(1 + i % 97, i);
      while (!queue.try_push(item)) std::this_thread::yield();
      most = std::max(most.load(), queue.bytes());
    }
    queue.close(nullptr);
  });
  std::uint64_t expected = 1;
  while (!queue.drained()) {
    if (auto item = queue.next(milliseconds(100))) {
      ASSERT_EQ(lsn_of(*item), expected);
      ++expected;
    }
  }
  EXPECT_EQ(expected, kItems + 1);
  EXPECT_LE(most.load(), kBound);
  EXPECT_EQ(queue.bytes(), 0U);
}

}  // namespace
}  // namespace teal
