#include "engine/read_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace teal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(ReadPacer, NeverNapsOnAThinStream) {
  ReadPacer pacer;
  ReadPacer::Clock::time_point now{};
  for (int i = 0; i < 10'000; ++i) {
    now += milliseconds(1);
    pacer.read(1'000, now);
    ASSERT_FALSE(pacer.dense());
  }
}

TEST(ReadPacer, NapsOnceSmallReadsAddUpToADenseStream) {
  ReadPacer pacer;
  const ReadPacer::Clock::time_point now = ReadPacer::Clock::time_point{} + milliseconds(100);
  for (std::size_t i = 0; i < ReadPacer::kDenseBytes / 100; ++i) pacer.read(100, now);
  EXPECT_FALSE(pacer.dense());
  pacer.read(100, now + milliseconds(9));
  EXPECT_TRUE(pacer.dense());
}

TEST(ReadPacer, StopsNappingWhenTheStreamThinsOut) {
  ReadPacer pacer;
  ReadPacer::Clock::time_point now = ReadPacer::Clock::time_point{} + milliseconds(100);
  pacer.read(ReadPacer::kDenseBytes, now);
  EXPECT_TRUE(pacer.dense());
  now += ReadPacer::kNap;
  pacer.read(0, now);
  EXPECT_FALSE(pacer.dense());
}

TEST(ReadPacer, RestsShorterTheFasterTheSenderFillsItsOwnBuffer) {
  const auto rest_after = [](std::size_t bytes) {
    ReadPacer pacer;
    ReadPacer::Clock::time_point now = ReadPacer::Clock::time_point{} + milliseconds(100);
    pacer.read(bytes, now);
    now += ReadPacer::kWindow;
    pacer.read(ReadPacer::kDenseBytes, now);
    pacer.read(1, now);
    EXPECT_FALSE(pacer.rest(now)) << "one small read may be between two windows";
    pacer.read(1, now);
    return pacer.rest(now);
  };
  EXPECT_EQ(rest_after(ReadPacer::kDenseBytes), ReadPacer::kNap);
  EXPECT_EQ(rest_after(2 * ReadPacer::kNapBytes), ReadPacer::kNap / 2);
  EXPECT_EQ(rest_after(100 * ReadPacer::kNapBytes), ReadPacer::kNapLeast);
}

TEST(ReadPacer, RowsLargerThanARestBringsAreNoEmptySender) {
  ReadPacer pacer;
  ReadPacer::Clock::time_point now = ReadPacer::Clock::time_point{} + milliseconds(100);
  for (int row = 0; row < 100; ++row) {
    pacer.read(1'000'000, now);
    for (int look = 0; look < 60; ++look) {
      ASSERT_FALSE(pacer.rest(now)) << row << " " << look;
      pacer.read(0, now);
    }
    now += milliseconds(5);
  }
}

// A sender that makes rows at a rate of its own, and a reader that takes 160 us for 16 KiB of them.
class PacedStream : public testing::Test {
 protected:
  using Clock = ReadPacer::Clock;

  void run_for(milliseconds time, double made_per_ms) {
    for (const auto until = now_ + time; now_ < until;) {
      const double bytes = std::min(waiting_, 16384.0);
      pass(microseconds(20 + static_cast<int>(bytes / 100)), made_per_ms);
      waiting_ -= bytes;
      pacer_.read(static_cast<std::size_t>(bytes), now_);
      const auto rest = pacer_.rest(now_);
      if (!rest) continue;
      ++rests_;
      if (waiting_ < 100'000) ++with_an_open_window_;
      pass(*rest, made_per_ms);
    }
  }
  void pass(Clock::duration time, double made_per_ms) {
    now_ += time;
    waiting_ += made_per_ms * std::chrono::duration<double, std::milli>(time).count();
    most_waiting_ = std::max(most_waiting_, waiting_);
  }

  ReadPacer pacer_;
  Clock::time_point now_ = Clock::time_point{} + milliseconds(100);
  double waiting_ = 0;  // bytes, with the sender or on the way
  double most_waiting_ = 0;
  int rests_ = 0;
  int with_an_open_window_ = 0;
};

TEST_F(PacedStream, MostRestsBeginBeforeTheSenderHasNothingLeft) {
  run_for(milliseconds(3'000), 33'000);
  EXPECT_GT(rests_, 150);
  EXPECT_LT(with_an_open_window_ * 4, rests_);
  EXPECT_LT(most_waiting_, 1.5e6) << "the sender's buffer";
}

TEST_F(PacedStream, SenderThatBecomesFasterOrSlowerIsFollowed) {
  run_for(milliseconds(1'000), 15'000);
  run_for(milliseconds(1'000), 45'000);
  most_waiting_ = 0;
  run_for(milliseconds(1'000), 45'000);
  EXPECT_LT(most_waiting_, 2e6);
  run_for(milliseconds(1'000), 10'000);
  rests_ = 0;
  run_for(milliseconds(1'000), 10'000);
  EXPECT_GT(rests_, 50) << "and it still rests";
}

TEST_F(PacedStream, ThinStreamIsReadAsItComes) {
  run_for(milliseconds(1'000), 3'000);
  EXPECT_EQ(rests_, 0);
  EXPECT_LT(most_waiting_, 2'000);
}

}  // namespace
}  // namespace teal
