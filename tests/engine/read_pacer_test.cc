#include "engine/read_pacer.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

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

TEST(ReadPacer, NapsShorterTheFasterTheSenderFillsItsOwnBuffer) {
  ReadPacer pacer;
  ReadPacer::Clock::time_point now = ReadPacer::Clock::time_point{} + milliseconds(100);
  const auto window_of = [&](std::size_t bytes) {
    pacer.read(bytes, now);
    now += ReadPacer::kWindow;
    pacer.read(0, now);
  };
  window_of(ReadPacer::kDenseBytes);
  EXPECT_EQ(pacer.nap(), ReadPacer::kNap);
  window_of(2 * ReadPacer::kNapBytes);
  EXPECT_EQ(pacer.nap(), ReadPacer::kNap / 2);
  window_of(100 * ReadPacer::kNapBytes);
  EXPECT_EQ(pacer.nap(), ReadPacer::kNapLeast);
  window_of(0);
  EXPECT_EQ(pacer.nap(), ReadPacer::kNap);
}

}  // namespace
}  // namespace teal
