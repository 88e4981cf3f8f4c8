#include "engine/stream_reader.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/pg_error.h"
#include "tests/support/pgoutput_builder.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using P = PgoutputBuilder;
using Clock = StreamReader::Clock;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

Frame keepalive(Lsn end, bool reply_requested = false) {
  return frame_of(P::keepalive(end, Timestamp{1}, reply_requested));
}

Frame data(const Bytes& payload) { return frame_of(P::xlogdata(Lsn{0x1000}, Lsn{0x9000}, Timestamp{1}, payload)); }

class StreamReaders : public testing::Test {
 protected:
  StreamReader make(milliseconds sender_timeout = milliseconds(0), std::optional<CommitMark> expected = {}) {
    StreamReaderOptions options;
    options.link = "blue_to_green";
    options.expected = expected;
    options.observer = observer_;
    options.ahead = true;
    options.slice_bytes_max = 1;
    options.spool = {directory_.string(), std::uint64_t{1} << 30U};
    options.for_observer_alone = observer_alone_;
    return {std::move(options), sender_timeout, queue_, progress_, kStart};
  }
  /// Nothing fits any more, until this is taken.
  void fill() {
    SourceItem large = TransactionSlice{};
    std::get<TransactionSlice>(large).bytes = 1'000'000;
    ASSERT_TRUE(queue_.try_push(large));
  }
  std::optional<SourceItem> next() { return queue_.next(milliseconds(0)); }

  Progress progress_;
  TransactionQueue queue_{100'000, progress_};
  std::filesystem::path directory_ = make_scratch_directory("spool");
  StreamObserver* observer_ = nullptr;
  bool observer_alone_ = false;
};

TEST_F(StreamReaders, A8EndOfWalCountsOnlyBetweenTransactions) {
  StreamReader reader = make();
  EXPECT_FALSE(reader.add(data(P::begin(Lsn{0x2000}, Timestamp{1}, Xid{7}))));
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x3000})));
  EXPECT_EQ(queue_.bytes(), 0U);
  EXPECT_EQ(progress_.received(), Lsn{0x3000});
  EXPECT_FALSE(reader.add(data(P::commit(Lsn{0x2000}, Lsn{0x2030}, Timestamp{1}))));
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x3000})));
  EXPECT_TRUE(std::get<TransactionSlice>(*next()).last);
  EXPECT_EQ(std::get<WalEnd>(*next()).lsn, Lsn{0x3000});
}

// One transaction after the other; `end` belongs to the last.
void add(StreamReader& reader, Xid xid, Lsn final_lsn, Lsn end) {
  EXPECT_FALSE(reader.add(data(P::begin(final_lsn, Timestamp{1}, xid))));
  EXPECT_FALSE(reader.add(data(P::commit(final_lsn, end, Timestamp{1}))));
}

TEST_F(StreamReaders, A15SourceThatShowsItsLastCommitAgainGoesOn) {
  StreamReader reader = make({}, CommitMark{Lsn{0x2030}, Xid{7}});
  add(reader, Xid{6}, Lsn{0x1000}, Lsn{0x1030});
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x1800})));
  add(reader, Xid{7}, Lsn{0x2000}, Lsn{0x2030});
  add(reader, Xid{8}, Lsn{0x3000}, Lsn{0x3030});
}

TEST_F(StreamReaders, A15SourceThatHasAnotherCommitThereIsRefusedBeforeAnythingLater) {
  for (const CommitMark& other : {CommitMark{Lsn{0x2030}, Xid{9}}, CommitMark{Lsn{0x2048}, Xid{7}}}) {
    StreamReader reader = make({}, CommitMark{Lsn{0x2030}, Xid{7}});
    if (other.end_lsn == Lsn{0x2030}) add(reader, other.xid, Lsn{0x2000}, other.end_lsn);
    EXPECT_FALSE(reader.add(data(P::begin(Lsn{0x3000}, Timestamp{1}, Xid{10}))));
    EXPECT_THROW((void)reader.add(data(P::commit(Lsn{0x3000}, Lsn{0x3030}, Timestamp{1}))), Stopped);
  }
  StreamReader silent = make({}, CommitMark{Lsn{0x2030}, Xid{7}});
  EXPECT_THROW((void)silent.add(keepalive(Lsn{0x5000})), Stopped);
}

class NotingObserver final : public StreamObserver {
 public:
  void slice(TransactionSlice& slice) override {
    slice.facts.seen = Lsn{0x77};
    seen += "slice " + to_string(slice.end_lsn) + " ";
  }
  void passed(Lsn position) override { seen += "passed " + to_string(position) + " "; }
  [[nodiscard]] bool awaited() const override { return is_awaited; }
  [[nodiscard]] bool full() const override { return is_full; }
  std::string seen;
  bool is_awaited = true;
  bool is_full = false;
};

// Whoever waits for what the observer learns must never wait for room in the queue.
TEST_F(StreamReaders, I6ObserverSeesEachItemOnceAlsoWhileTheQueueIsFull) {
  NotingObserver observer;
  observer_ = &observer;
  StreamReader reader = make();
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x1000})));
  EXPECT_TRUE(next());
  fill();
  add(reader, Xid{7}, Lsn{0x2000}, Lsn{0x2030});
  EXPECT_TRUE(reader.ready());
  EXPECT_EQ(observer.seen, "passed 0/1000 slice 0/2030 ");
  ASSERT_TRUE(next());
  EXPECT_FALSE(reader.refill(kStart));
  EXPECT_EQ(std::get<TransactionSlice>(*next()).facts.seen, Lsn{0x77}) << "what it writes goes along";
  EXPECT_EQ(observer.seen, "passed 0/1000 slice 0/2030 ");
}

TEST_F(StreamReaders, I7WaitsForAnObserverThatIsFullOnlyWhereNobodyElseWantsTheStream) {
  NotingObserver observer;
  observer.is_full = true;
  observer_ = &observer;
  for (const bool alone : {false, true}) {
    observer_alone_ = alone;
    StreamReader reader = make();
    EXPECT_EQ(reader.ready(), !alone);
    reader.go_on(kStart);
    EXPECT_EQ(reader.ready(), !alone);
  }
  StreamReader reader = make();
  EXPECT_TRUE(reader.held_up());
  observer.is_full = false;
  EXPECT_TRUE(reader.ready());
}

TEST_F(StreamReaders, I8KeepaliveThatAsksIsAnsweredAlsoInsideATransactionAndWithoutRoom) {
  StreamReader reader = make();
  EXPECT_TRUE(reader.add(keepalive(Lsn{0x1000}, true)));
  EXPECT_FALSE(reader.add(data(P::begin(Lsn{0x2000}, Timestamp{1}, Xid{7}))));
  EXPECT_TRUE(reader.add(keepalive(Lsn{0x3000}, true)));
  EXPECT_FALSE(reader.add(data(P::commit(Lsn{0x2000}, Lsn{0x2030}, Timestamp{1}))));
  while (next()) continue;
  fill();
  EXPECT_TRUE(reader.add(keepalive(Lsn{0x4000}, true)));
}

TEST_F(StreamReaders, I7OneItemWaitsForRoomAndNothingElseIsTaken) {
  StreamReader reader = make();
  fill();
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x2000})));
  EXPECT_TRUE(reader.held_up());
  EXPECT_FALSE(reader.ready());
  EXPECT_TRUE(progress_.behind());
  EXPECT_GT(progress_.stalled_for().count(), 0);
  reader.go_on(kStart);
  EXPECT_FALSE(reader.ready()) << "there is no room yet";
  ASSERT_TRUE(next());
  reader.go_on(kStart);
  EXPECT_TRUE(reader.ready());
  EXPECT_EQ(progress_.stalled_for().count(), 0);
  EXPECT_EQ(std::get<WalEnd>(*next()).lsn, Lsn{0x2000}) << "and it was kept";
}

TEST_F(StreamReaders, WhatWaitsForRoomIsLetGoWhenReadingEnds) {
  StreamReader reader = make();
  fill();
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x2000})));
  reader.stop();
  EXPECT_TRUE(reader.stopped());
  EXPECT_FALSE(reader.held_up());
  ASSERT_TRUE(next());
  EXPECT_FALSE(next());
}

TEST_F(StreamReaders, I4AcknowledgesWhatIsDurableWhenItMovedOrTheTimeHasCome) {
  StreamReader reader = make();
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x3000})));
  EXPECT_FALSE(reader.status_due(kStart, false));
  progress_.set_durable(Lsn{0x2000});
  const auto moved = reader.status_due(kStart, false);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->flushed, Lsn{0x2000});
  EXPECT_EQ(moved->applied, Lsn{0x2000});
  EXPECT_EQ(moved->written, Lsn{0x3000});
  EXPECT_FALSE(moved->reply_requested);
  EXPECT_FALSE(reader.status_due(kStart + milliseconds(999), false));
  const auto due = reader.status_due(kStart + seconds(1), false);
  ASSERT_TRUE(due);
  EXPECT_TRUE(due->reply_requested) << "it proves that somebody is there";
  EXPECT_TRUE(reader.status_due(kStart + seconds(1), true)) << "the last one always goes";
}

TEST_F(StreamReaders, K1AsksForTheEndOfTheLogThoughWhatIsDurableMovesAllTheTime) {
  StreamReader reader = make();
  for (std::uint64_t i = 1; i <= 4; ++i) {
    progress_.set_durable(Lsn{0x1000 * i});
    const auto moved = reader.status_due(kStart + milliseconds(240) * i, false);
    ASSERT_TRUE(moved);
    EXPECT_FALSE(moved->reply_requested) << i;
  }
  progress_.set_durable(Lsn{0x5000});
  const auto asks = reader.status_due(kStart + milliseconds(1'200), false);
  ASSERT_TRUE(asks);
  EXPECT_TRUE(asks->reply_requested);
}

// A keepalive gives the time of now to what the source has read, which may be far behind what it has written.
TEST_F(StreamReaders, K1SourceThatSendsWorkOfApplicationsIsNotAskedForTheEndOfTheLog) {
  StreamReader reader = make();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    add(reader, Xid{static_cast<std::uint32_t>(i)}, Lsn{0x1000 * i}, Lsn{(0x1000 * i) + 0x30});
    progress_.set_durable(Lsn{0x1000 * i});
    reader.heard(kStart + milliseconds(240) * i);
    const auto moved = reader.status_due(kStart + milliseconds(240) * i, false);
    ASSERT_TRUE(moved);
    EXPECT_FALSE(moved->reply_requested) << i;
  }
  for (std::uint64_t i = 1; i <= 10; ++i) {
    progress_.set_durable(Lsn{(0x1000 * 20) + i});
    const auto moved = reader.status_due(kStart + milliseconds(4'800) + milliseconds(240) * i, false);
    if (moved && moved->reply_requested) return;
  }
  FAIL() << "it is asked again when nothing but teal's own comes";
}

TEST_F(StreamReaders, I8SourceThatFallsSilentAfterABurstIsAskedThoughWhatIsDurableMovesOn) {
  StreamReader reader = make();
  reader.heard(kStart);
  add(reader, Xid{7}, Lsn{0x1000}, Lsn{0x1030});
  for (std::uint64_t i = 1; i <= 10; ++i) {
    progress_.set_durable(Lsn{i});
    const auto moved = reader.status_due(kStart + milliseconds(240) * i, false);
    if (moved && moved->reply_requested) return;
  }
  FAIL() << "silence alone would end the stream";
}

TEST_F(StreamReaders, I8TellsThreeTimesWithinTheSourcesTimeout) {
  const StreamReader reader = make(milliseconds(600));
  EXPECT_EQ(reader.status_interval(), milliseconds(200));
  EXPECT_EQ(make(seconds(60)).status_interval(), seconds(1));
}

TEST_F(StreamReaders, LongSilenceEndsTheStream) {
  StreamReader reader = make();
  EXPECT_NO_THROW(reader.check_source(kStart + seconds(30)));
  EXPECT_THROW(reader.check_source(kStart + milliseconds(30'001)), PgError);
  reader.heard(kStart + seconds(1));
  EXPECT_NO_THROW(reader.check_source(kStart + seconds(31)));
  reader.stop();
  EXPECT_NO_THROW(reader.check_source(kStart + seconds(100))) << "nobody listens any more";
}

TEST_F(StreamReaders, SilenceProvesNothingWhileNobodyListens) {
  StreamReader reader = make();
  fill();
  EXPECT_FALSE(reader.add(keepalive(Lsn{0x2000})));
  reader.go_on(kStart + seconds(29));
  EXPECT_NO_THROW(reader.check_source(kStart + seconds(31)));
}

TEST_F(StreamReaders, M6SourceThatShutsDownIsLetGo) {
  StreamReader reader = make();
  progress_.set_source_leaves();
  EXPECT_THROW(reader.check_source(kStart), PgError);
}

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id")});

// The first block of a transaction, with a row, and no end.
void add_block(StreamReader& reader, Xid xid) {
  for (const Bytes& message : {P::stream_start(xid, true), P::streamed(xid, P::relation(kItem)),
                               P::streamed(xid, P::insert(kItem.id, {text("1")}))}) {
    EXPECT_FALSE(reader.add(data(message)));
  }
}

void add_commit(StreamReader& reader, Xid xid) {
  EXPECT_FALSE(reader.add(data(P::stream_stop())));
  EXPECT_FALSE(reader.add(data(P::stream_commit({xid, Lsn{0x5000}, Lsn{0x5030}, Timestamp{1}}))));
}

TEST_F(StreamReaders, C5WaitsForTheSinksAnswerToWhatWentAhead) {
  StreamReader reader = make();
  add_block(reader, Xid{7});
  EXPECT_FALSE(std::get<AheadSlice>(*next()).slice.last);
  add_commit(reader, Xid{7});
  const auto last = next();
  EXPECT_FALSE(reader.ready());
  EXPECT_TRUE(reader.held_up());
  EXPECT_LE(reader.hold_up_pause(), milliseconds(10)) << "the answer is soon there, and nobody calls";
  reader.go_on(kStart);
  EXPECT_FALSE(reader.ready());
  std::get<AheadSlice>(*last).trial->set_done();
  reader.go_on(kStart);
  EXPECT_TRUE(reader.ready());
  EXPECT_FALSE(next());
}

// A target that stands still in a commit must not cost the source its slot either.
TEST_F(StreamReaders, I8WaitingForTheSinksAnswerIsStandingStill) {
  StreamReader reader = make();
  add_block(reader, Xid{7});
  ASSERT_TRUE(next());
  EXPECT_EQ(progress_.stalled_for().count(), 0);
  fill();
  add_commit(reader, Xid{7});
  ASSERT_TRUE(next());
  reader.go_on(kStart);
  const auto last = next();
  EXPECT_GT(progress_.stalled_for().count(), 0) << "also once the queue has taken the last slice";
  reader.go_on(kStart);
  EXPECT_GT(progress_.stalled_for().count(), 0);
  std::get<AheadSlice>(*last).trial->set_done();
  reader.go_on(kStart);
  EXPECT_EQ(progress_.stalled_for().count(), 0);
}

TEST_F(StreamReaders, C5WhatTheSinkGaveUpFollowsAsAnOrdinaryTransaction) {
  StreamReader reader = make();
  add_block(reader, Xid{7});
  add_commit(reader, Xid{7});
  std::get<AheadSlice>(*next()).trial->give_up();
  ASSERT_TRUE(next());
  for (int i = 0; i < 10 && !reader.ready(); ++i) reader.go_on(kStart);
  EXPECT_TRUE(reader.ready());
  EXPECT_TRUE(std::get<TransactionSlice>(*next()).first);
  EXPECT_TRUE(std::get<TransactionSlice>(*next()).last);
}

// They are in the spool too: whoever comes behind them must not wait long for their being written.
TEST_F(StreamReaders, I7RowsThatGoAheadHoldTheStreamUpForAWhileAndAreLetGoThen) {
  StreamReader reader = make();
  fill();
  add_block(reader, Xid{7});
  EXPECT_TRUE(reader.held_up());
  reader.go_on(kStart + seconds(1));
  reader.go_on(kStart + seconds(2));
  ASSERT_TRUE(next());
  reader.go_on(kStart + seconds(2));
  EXPECT_FALSE(std::get<AheadSlice>(*next()).trial->given_up());
  fill();
  EXPECT_FALSE(reader.add(data(P::streamed(Xid{7}, P::insert(kItem.id, {text("2")})))));
  reader.go_on(kStart + seconds(3));
  ASSERT_TRUE(next());
  reader.go_on(kStart + seconds(3));
  EXPECT_TRUE(std::get<AheadSlice>(*next()).trial->given_up());
}

TEST_F(StreamReaders, A15NothingGoesAheadBeforeTheSourceHasShownItsLastCommit) {
  StreamReader reader = make({}, CommitMark{Lsn{0x2030}, Xid{7}});
  add_block(reader, Xid{8});
  EXPECT_FALSE(reader.add(data(P::stream_stop())));
  EXPECT_FALSE(next());
  add(reader, Xid{7}, Lsn{0x2000}, Lsn{0x2030});
  ASSERT_TRUE(next());
  EXPECT_FALSE(reader.add(data(P::stream_abort({Xid{8}, Xid{8}, {}}))));
  add_block(reader, Xid{9});
  EXPECT_TRUE(next()) << "from then on it does";
}

TEST_F(StreamReaders, I6NothingGoesAheadOfWhatAnObserverHasToSeeWithItsCommit) {
  NotingObserver observer;
  observer_ = &observer;
  StreamReader reader = make();
  add_block(reader, Xid{7});
  EXPECT_FALSE(next());
  EXPECT_EQ(observer.seen, "");
}

TEST_F(StreamReaders, C10MessageThatIsCutShortStopsTheLink) {
  StreamReader reader = make();
  Bytes message = P::keepalive(Lsn{0x2000}, Timestamp{1}, false);
  message.pop_back();
  EXPECT_THROW(static_cast<void>(reader.add(frame_of(message))), Stopped);
}

}  // namespace
}  // namespace teal::test
