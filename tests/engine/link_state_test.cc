#include "engine/link_state.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

using std::chrono::milliseconds;
using Clock = LinkState::Clock;

constexpr Clock::time_point kStart{};

LinkState make() {
  return LinkState({.first = milliseconds(100), .most = milliseconds(10'000), .healthy_after = milliseconds(10'000)},
                   7);
}

TEST(LinkState, WaitsLongerAfterEachFailureUpToTheMost) {
  LinkState state = make();
  milliseconds expected{100};
  for (int i = 0; i < 40; ++i) {
    state.failed(kStart);
    EXPECT_EQ(state.phase(), LinkPhase::kBackingOff);
    EXPECT_GE(state.backoff(), expected * 8 / 10);
    EXPECT_LE(state.backoff(), expected * 12 / 10);
    expected = std::min(expected * 2, milliseconds(10'000));
    state.waited();
    EXPECT_EQ(state.phase(), LinkPhase::kConnecting);
  }
  EXPECT_EQ(state.reconnects(), 40U);
}

TEST(LinkState, BeginsWithTheShortestWaitAfterAHealthyStream) {
  LinkState state = make();
  for (int i = 0; i < 8; ++i) {
    state.failed(kStart);
    state.waited();
  }
  state.connected(kStart);
  state.failed(kStart + milliseconds(10'000));
  EXPECT_LE(state.backoff(), milliseconds(120));
}

TEST(LinkState, KeepsBackingOffWhenStreamsDieYoung) {
  LinkState state = make();
  for (int i = 0; i < 8; ++i) {
    state.failed(kStart);
    state.waited();
    state.connected(kStart);
  }
  state.failed(kStart + milliseconds(9'999));
  EXPECT_GE(state.backoff(), milliseconds(8'000));
}

TEST(LinkState, BeginsWithTheShortestWaitAfterSomethingWasApplied) {
  LinkState state = make();
  for (int i = 0; i < 8; ++i) {
    state.failed(kStart);
    state.waited();
  }
  state.connected(kStart);
  state.progressed();
  state.failed(kStart);
  EXPECT_LE(state.backoff(), milliseconds(120));
  state.waited();
  state.failed(kStart);
  EXPECT_GE(state.backoff(), milliseconds(160)) << "once";
}

TEST(LinkState, M3KeepsBackingOffWhenTheServerLacksSomething) {
  LinkState state = make();
  for (int i = 0; i < 8; ++i) {
    state.connected(kStart);
    state.failed(kStart + milliseconds(60'000), true);
    state.waited();
  }
  EXPECT_GE(state.backoff(), milliseconds(8'000));
}

TEST(LinkState, ReplaysAtOnce) {
  LinkState state = make();
  state.connected(kStart);
  state.replay();
  EXPECT_EQ(state.phase(), LinkPhase::kConnecting);
}

TEST(LinkState, DrainsOnlyAStream) {
  LinkState streaming = make();
  streaming.connected(kStart);
  streaming.stop_requested();
  EXPECT_EQ(streaming.phase(), LinkPhase::kDraining);
  streaming.drained();
  EXPECT_EQ(streaming.phase(), LinkPhase::kStopped);

  LinkState connecting = make();
  connecting.stop_requested();
  EXPECT_EQ(connecting.phase(), LinkPhase::kStopped);

  LinkState waiting = make();
  waiting.failed(kStart);
  waiting.stop_requested();
  EXPECT_EQ(waiting.phase(), LinkPhase::kStopped);
}

TEST(LinkState, EndsWhenItFailsWhileDraining) {
  LinkState state = make();
  state.connected(kStart);
  state.stop_requested();
  state.failed(kStart);
  EXPECT_EQ(state.phase(), LinkPhase::kStopped);
}

TEST(LinkState, StaysStopped) {
  LinkState state = make();
  state.stopped();
  state.failed(kStart);
  state.waited();
  state.connected(kStart);
  state.replay();
  state.stop_requested();
  EXPECT_EQ(state.phase(), LinkPhase::kStopped);
}

}  // namespace
}  // namespace teal
