#include "engine/link_core.h"

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/pg_error.h"
#include "engine/spill_file.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using Clock = LinkCore::Clock;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

/// Notes what it is told, and is durable when it is told so.
class NotingSink final : public TransactionSink {
 public:
  void begin(const TransactionFacts& /*facts*/) override { calls += "begin "; }
  void append(TransactionSlice /*slice*/) override { calls += "append "; }
  void commit(Lsn end_lsn) override {
    calls += "commit ";
    ended = end_lsn;
  }
  void ahead(AheadSlice piece) override {
    calls += "ahead ";
    if (!piece.slice.last) return;
    ended = piece.slice.end_lsn;
    piece.trial->set_done();
  }
  void flush() override {
    calls += "flush ";
    is_applied = ended;
  }
  void idle(Lsn /*wal_end*/, Timestamp /*time*/) override { calls += "idle "; }
  [[nodiscard]] Lsn applied() const override { return is_applied; }
  [[nodiscard]] Lsn held() const override { return is_applied; }
  [[nodiscard]] Lsn durable() override { return is_durable; }

  std::string calls;
  Lsn ended;
  Lsn is_applied;
  Lsn is_durable;
};

TransactionSlice slice_of(bool first, bool last) {
  TransactionSlice slice;
  slice.first = first;
  slice.last = last;
  slice.end_lsn = last ? Lsn{0x2000} : Lsn{};
  slice.bytes = 10;
  return slice;
}

class LinkCores : public testing::Test {
 protected:
  void begin() { core_.begin_session(queue_, sink_, Lsn{0x1000}, kStart); }
  template <class Error>
  void fail(Error error) {
    core_.failed(std::make_exception_ptr(std::move(error)), kStart);
  }

  Progress progress_;
  std::stop_source stop_;
  std::stop_source abort_;
  LinkCore core_{{.name = "blue_to_green", .backoff = {}}, progress_, stop_.get_token(), abort_.get_token()};
  TransactionQueue queue_{1'000, progress_};
  NotingSink sink_;
};

TEST_F(LinkCores, C5GivesTheSinkWhatGoesAheadPieceByPieceAndNothingAroundIt) {
  begin();
  const auto trial = std::make_shared<AheadTrial>();
  core_.apply(AheadSlice{slice_of(true, false), trial});
  core_.apply(AheadSlice{slice_of(false, true), trial});
  EXPECT_EQ(sink_.calls, "ahead ahead ");
}

TEST_F(LinkCores, GivesWholeTransactionsToTheSinkAndFlushesOnceNothingMoreComes) {
  begin();
  core_.apply(slice_of(true, false));
  core_.apply(slice_of(false, true));
  core_.apply(WalEnd{Lsn{0x2000}, {}});
  EXPECT_EQ(sink_.calls, "begin append append commit idle ");
  EXPECT_EQ(core_.wait(), milliseconds(0));
  core_.apply(std::nullopt);
  EXPECT_TRUE(sink_.calls.ends_with("idle flush ")) << sink_.calls;
  EXPECT_GT(core_.wait(), milliseconds(0)) << "what was flushed is not flushed again at once";
  core_.apply(std::nullopt);
  EXPECT_TRUE(sink_.calls.ends_with("idle flush ")) << sink_.calls;
  EXPECT_EQ(core_.wait(), milliseconds(0));
}

TEST_F(LinkCores, GathersOnlyWhileItIsBehind) {
  begin();
  EXPECT_EQ(core_.wait(), milliseconds(0));
  progress_.set_behind(true);
  EXPECT_EQ(core_.wait(), LinkCoreOptions{}.linger);
}

TEST_F(LinkCores, I4TellsTheReceiverWhatIsDurableAndNoMore) {
  begin();
  core_.apply(slice_of(true, true));
  core_.apply(std::nullopt);
  EXPECT_EQ(progress_.durable(), Lsn{});
  sink_.is_durable = Lsn{0x2000};
  core_.apply(std::nullopt);
  EXPECT_EQ(progress_.durable(), Lsn{0x2000});
}

TEST_F(LinkCores, I1WhatTheReceiverLetGoIsReadAgainOnceAllBeforeItIsApplied) {
  begin();
  core_.apply(slice_of(true, true));
  queue_.cut_short();
  SourceItem last = slice_of(true, true);
  ASSERT_TRUE(queue_.try_push(last));
  core_.apply(std::nullopt);
  core_.apply(queue_.next(milliseconds(0)));
  sink_.calls.clear();
  EXPECT_THROW(core_.apply(std::nullopt), ReplayNeeded);
  EXPECT_EQ(sink_.calls, "flush ");
}

TEST_F(LinkCores, SessionThatLetGoOfSomethingInVainMakesTheNextOneMorePatient) {
  const milliseconds first = core_.patience();
  const auto session = [this](bool in_vain) {
    TransactionQueue queue(1'000, progress_);
    progress_.reset();
    core_.begin_session(queue, sink_, Lsn{0x1000}, kStart);
    if (!in_vain) sink_.ended.value += 0x1000;
    queue.cut_short();
    EXPECT_THROW(core_.apply(std::nullopt), ReplayNeeded);
    fail(ReplayNeeded("again"));
  };
  session(true);
  session(true);
  EXPECT_EQ(core_.patience(), 4 * first);
  for (int i = 0; i < 20; ++i) session(true);
  EXPECT_EQ(core_.patience(), 64 * first);
  session(false);
  EXPECT_EQ(core_.patience(), first);
}

TEST_F(LinkCores, EachErrorHasItsConsequence) {
  const auto after = [this](auto error) {
    begin();
    fail(std::move(error));
    const LinkPhase phase = core_.phase();
    core_.backed_off();
    return phase;
  };
  EXPECT_EQ(after(ReplayNeeded("again")), LinkPhase::kConnecting);
  EXPECT_EQ(after(SpillFailed("no space")), LinkPhase::kConnecting);
  EXPECT_EQ(after(PgError("apply", "deadlock detected", "40P01")), LinkPhase::kBackingOff);
  EXPECT_EQ(after(PgError("apply", "the connection is gone", "")), LinkPhase::kBackingOff);
  EXPECT_EQ(after(PgError("apply", "disk full", "53100")), LinkPhase::kBackingOff);
  EXPECT_EQ(after(PgError("apply", "permission denied", "42501")), LinkPhase::kBackingOff);
  EXPECT_EQ(core_.stopped_by(), nullptr);
  EXPECT_EQ(core_.sessions(), 6);
}

TEST_F(LinkCores, StopsForWhatOnlyTheOperatorCanMend) {
  begin();
  fail(Stopped(StopCode::kData, "the target refuses row 1"));
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
  ASSERT_NE(core_.stopped_by(), nullptr);
  EXPECT_THROW(std::rethrow_exception(core_.stopped_by()), Stopped);
}

TEST_F(LinkCores, StopsForWhatTryingAgainCouldHideAlsoWhileItDrains) {
  begin();
  stop_.request_stop();
  core_.apply(std::nullopt);
  EXPECT_EQ(core_.phase(), LinkPhase::kDraining);
  fail(PgError("apply", "invalid page", "XX001"));
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
  ASSERT_NE(core_.stopped_by(), nullptr);
  EXPECT_THROW(std::rethrow_exception(core_.stopped_by()), PgError);
}

TEST_F(LinkCores, StopsForWhatNobodyForesaw) {
  begin();
  fail(std::out_of_range("a bug"));
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
  ASSERT_NE(core_.stopped_by(), nullptr);
  EXPECT_THROW(std::rethrow_exception(core_.stopped_by()), std::out_of_range);
}

TEST_F(LinkCores, FailureThatPassesEndsALinkThatWasAskedToStop) {
  stop_.request_stop();
  fail(PgError("connect", "the server is starting up", "57P03"));
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
  EXPECT_EQ(core_.stopped_by(), nullptr);
}

TEST_F(LinkCores, StopEndsTheBackingOff) {
  fail(PgError("connect", "the server is starting up", "57P03"));
  EXPECT_GT(core_.backoff(), milliseconds(0));
  stop_.request_stop();
  core_.backed_off();
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
}

TEST_F(LinkCores, C5OneSessionAfterASpillThatFailedLeavesLargeTransactionsToTheSource) {
  EXPECT_TRUE(core_.takes_streamed());
  begin();
  fail(SpillFailed("no space"));
  EXPECT_FALSE(core_.takes_streamed());
  EXPECT_TRUE(core_.takes_streamed());
}

// Internal errors stop a link, but for one that the source may only have while the transaction is open.
TEST_F(LinkCores, C5SourceThatFailsAtAnOpenTransactionIsAskedForItOnceItHasEnded) {
  const StreamError failure("read the stream", "could not map filenode", "XX000");
  EXPECT_TRUE(core_.takes_streamed());
  begin();
  fail(failure);
  EXPECT_EQ(core_.phase(), LinkPhase::kBackingOff);
  core_.backed_off();
  EXPECT_FALSE(core_.takes_streamed());
  begin();
  fail(failure);
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
}

TEST_F(LinkCores, StopsForInternalErrorsOfTheTargetAndForCorruption) {
  const auto after = [](const auto& error) {
    Progress progress;
    LinkCore core({.name = "link", .backoff = {}, .seed = 1}, progress, {}, {});
    (void)core.takes_streamed();
    core.failed(std::make_exception_ptr(error), kStart);
    return core.phase();
  };
  EXPECT_EQ(after(PgError("apply", "internal error", "XX000")), LinkPhase::kStopped);
  EXPECT_EQ(after(StreamError("read the stream", "invalid page", "XX001")), LinkPhase::kStopped);
}

TEST_F(LinkCores, NewSessionIsBegunOncePerRequest) {
  begin();
  core_.request_new_session();
  EXPECT_THROW(core_.apply(std::nullopt), ReplayNeeded);
  EXPECT_NO_THROW(core_.apply(std::nullopt));
}

TEST_F(LinkCores, DrainsUntilEverythingQueuedIsAppliedAndDurable) {
  begin();
  stop_.request_stop();
  core_.apply(slice_of(true, false));
  SourceItem rest = slice_of(false, true);
  ASSERT_TRUE(queue_.try_push(rest));
  queue_.close(nullptr);
  core_.drain(std::nullopt, kStart);
  EXPECT_EQ(sink_.calls, "begin append ") << "nothing is flushed before the queue has given everything";
  core_.drain(queue_.next(milliseconds(0)), kStart);
  EXPECT_EQ(sink_.calls, "begin append append commit flush ");
  EXPECT_EQ(core_.phase(), LinkPhase::kDraining);
  sink_.is_durable = Lsn{0x2000};
  core_.drain(std::nullopt, kStart);
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
  EXPECT_EQ(progress_.durable(), Lsn{0x2000}) << "for the last acknowledgement";
}

TEST_F(LinkCores, DrainsNoLongerThanItMay) {
  begin();
  stop_.request_stop();
  core_.apply(slice_of(true, true));
  queue_.close(nullptr);
  core_.drain(std::nullopt, kStart);
  core_.drain(std::nullopt, kStart + LinkCoreOptions{}.drain_timeout - milliseconds(1));
  EXPECT_EQ(core_.phase(), LinkPhase::kDraining);
  core_.drain(std::nullopt, kStart + LinkCoreOptions{}.drain_timeout);
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
}

TEST_F(LinkCores, SecondStopGivesUpDraining) {
  begin();
  stop_.request_stop();
  core_.apply(std::nullopt);
  abort_.request_stop();
  core_.drain(std::nullopt, kStart);
  EXPECT_EQ(core_.phase(), LinkPhase::kStopped);
}

}  // namespace
}  // namespace teal
