#include "decoder/frame.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace teal {
namespace {

int freed = 0;
void note_freed(void*) { ++freed; }

class FrameOwnership : public ::testing::Test {
 protected:
  void SetUp() override { freed = 0; }
  Frame make() { return Frame(memory_.data(), memory_.size(), note_freed); }
  std::array<std::byte, 4> memory_{};
};

TEST_F(FrameOwnership, FreesItsBytesOnce) {
  {
    const Frame frame = make();
  }
  EXPECT_EQ(freed, 1);
}

TEST_F(FrameOwnership, MovesWithoutMovingItsBytes) {
  {
    Frame first = make();
    const std::byte* const data = first.bytes().data();
    const Frame second = std::move(first);
    EXPECT_EQ(second.bytes().data(), data);
    EXPECT_EQ(second.bytes().size(), memory_.size());
    EXPECT_EQ(freed, 0);
  }
  EXPECT_EQ(freed, 1);
}

TEST_F(FrameOwnership, FreesWhatAnAssignmentReplaces) {
  Frame first = make();
  first = make();
  EXPECT_EQ(freed, 1);
  first = Frame();
  EXPECT_EQ(freed, 2);
  EXPECT_TRUE(first.empty());
}

TEST_F(FrameOwnership, SurvivesAssignmentToItself) {
  Frame frame = make();
  Frame& same = frame;
  frame = std::move(same);
  EXPECT_EQ(freed, 0);
  EXPECT_FALSE(frame.empty());
}

TEST_F(FrameOwnership, EmptyFrameFreesNothing) {
  {
    const Frame frame;
  }
  EXPECT_EQ(freed, 0);
}

TEST_F(FrameOwnership, HasMemoryOfItsOwnForWhatIsReadBack) {
  Frame frame = Frame::of_size(3);
  frame.writable_bytes()[2] = std::byte{7};
  const Frame moved = std::move(frame);
  ASSERT_EQ(moved.bytes().size(), 3U);
  EXPECT_EQ(moved.bytes()[2], std::byte{7});
}

TEST_F(FrameOwnership, AFrameOfNoBytesIsNoFailure) { EXPECT_TRUE(Frame::of_size(0).empty()); }

}  // namespace
}  // namespace teal
