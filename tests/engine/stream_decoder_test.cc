// Transactions that come in blocks: what goes to the sink before their commit, and that it makes no difference to what
// the sink has in the end (TRAPS C5).
#include "engine/stream_decoder.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/pgoutput_builder.h"
#include "tests/support/random_seed.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("note")});

Bytes row(int id) { return P::insert(kItem.id, {text(std::to_string(id)), text("a note")}); }

StreamCommitMessage commit_of(std::uint32_t xid, std::uint64_t lsn) {
  return {Xid{xid}, Lsn{lsn}, Lsn{lsn + 0x30}, Timestamp{42}};
}

/// The sink's end, which takes what it is given when it likes, and may give up what goes ahead.
class CollectingSink {
 public:
  void give(SourceItem item) { queue_.push_back(std::move(item)); }

  /// Takes the next item. `refuses`: if it goes ahead, that is given up.
  void take(bool refuses = false) {
    if (queue_.empty()) return;
    SourceItem item = std::move(queue_.front());
    queue_.pop_front();
    if (auto* ahead = std::get_if<AheadSlice>(&item)) return take_ahead(*ahead, refuses);
    auto& slice = std::get<TransactionSlice>(item);
    EXPECT_TRUE(!trial_ || trial_->given_up()) << "nothing else may come before the end of what goes ahead";
    trial_.reset();
    if (slice.first) open_.clear();
    collect(slice);
    if (slice.last) end(slice);
  }
  void take_all() {
    while (!queue_.empty()) take();
  }

  std::vector<std::string> committed;
  int went_ahead = 0;

 private:
  void take_ahead(AheadSlice& ahead, bool refuses) {
    if (refuses) ahead.trial->give_up();
    if (ahead.trial->given_up()) return;
    if (trial_ != ahead.trial) {
      EXPECT_TRUE(ahead.slice.first);
      trial_ = ahead.trial;
      open_.clear();
    }
    collect(ahead.slice);
    if (!ahead.slice.last) return;
    end(ahead.slice);
    ++went_ahead;
    ahead.trial->set_done();
    trial_.reset();
  }
  void collect(const TransactionSlice& slice) {
    for (const Change& change : slice.changes) {
      open_ += std::string(change.new_tuple[0].text()) + "@" + to_string(change.lsn) + " ";
    }
  }
  void end(const TransactionSlice& slice) {
    committed.push_back(std::to_string(slice.facts.xid.value) + " " + to_string(slice.facts.final_lsn) + " " +
                        to_string(slice.end_lsn) + " " + std::to_string(slice.facts.commit_time.us) + ": " + open_);
    open_.clear();
  }

  std::deque<SourceItem> queue_;
  std::shared_ptr<AheadTrial> trial_;
  std::string open_;
};

class StreamDecoders : public testing::Test {
 protected:
  std::unique_ptr<StreamDecoder> make(bool ahead, std::size_t slice_bytes = 1) {
    auto decoder = std::make_unique<StreamDecoder>(
        StreamDecoderOptions{"blue_to_green", {"teal_", slice_bytes}, {directory_.string(), std::uint64_t{1} << 30U}});
    decoder->allow_ahead(ahead);
    return decoder;
  }

  std::optional<SourceItem> add(StreamDecoder& decoder, const Bytes& message) {
    Frame frame = frame_of(P::xlogdata(Lsn{lsn_ += 8}, Lsn{0x9000}, Timestamp{1}, message));
    const auto bytes = frame.bytes().last(message.size());
    return decoder.add(Lsn{lsn_}, bytes, std::move(frame));
  }
  /// A block with that many rows.
  std::vector<SourceItem> add_block(StreamDecoder& decoder, std::uint32_t xid, bool first, int rows) {
    std::vector<SourceItem> items;
    EXPECT_FALSE(add(decoder, P::stream_start(Xid{xid}, first)));
    if (first) {
      EXPECT_FALSE(add(decoder, P::streamed(Xid{xid}, P::relation(kItem))));
    }
    for (int i = 0; i < rows; ++i) {
      if (auto item = add(decoder, P::streamed(Xid{xid}, row(i)))) items.push_back(std::move(*item));
    }
    EXPECT_FALSE(add(decoder, P::stream_stop()));
    return items;
  }
  static std::size_t replayed(StreamDecoder& decoder) {
    std::size_t slices = 0;
    while (decoder.replaying()) slices += decoder.replay() ? 1U : 0U;
    return slices;
  }

  std::filesystem::path directory_ = make_scratch_directory("spool");
  std::uint64_t lsn_ = 0x1000;
};

TEST_F(StreamDecoders, C5WhatComesAloneGoesAheadAndIsNotReplayed) {
  const auto decoder = make(true);
  auto items = add_block(*decoder, 700, true, 3);
  ASSERT_EQ(items.size(), 3U);
  EXPECT_TRUE(decoder->goes_ahead());
  const auto& first = std::get<AheadSlice>(items[0]);
  EXPECT_TRUE(first.slice.first);
  EXPECT_FALSE(first.slice.last);
  EXPECT_EQ(first.slice.facts.xid, Xid{700});
  EXPECT_LT(first.slice.facts.final_lsn, first.slice.changes[0].lsn) << "the commit lies above all its changes";
  EXPECT_EQ(add_block(*decoder, 700, false, 1).size(), 1U);
  const auto last = add(*decoder, P::stream_commit(commit_of(700, 0x9000)));
  ASSERT_TRUE(last);
  const auto& end = std::get<AheadSlice>(*last);
  EXPECT_TRUE(end.slice.last);
  EXPECT_EQ(end.slice.facts.final_lsn, Lsn{0x9000});
  EXPECT_EQ(end.slice.end_lsn, Lsn{0x9030});
  decoder->look();
  EXPECT_TRUE(decoder->waiting()) << "the sink has not answered";
  EXPECT_GT(decoder->spooled_bytes(), 0U);
  end.trial->set_done();
  decoder->look();
  EXPECT_FALSE(decoder->waiting());
  EXPECT_FALSE(decoder->replaying());
  EXPECT_EQ(decoder->spooled_bytes(), 0U);
}

TEST_F(StreamDecoders, C5TransactionWithAnOriginBeginsAboveWhatCameBefore) {
  const auto decoder = make(true);
  EXPECT_FALSE(add(*decoder, P::begin(Lsn{0x1100}, Timestamp{1}, Xid{699})));
  (void)add(*decoder, P::relation(kItem));
  (void)add(*decoder, row(1));
  EXPECT_TRUE(add(*decoder, P::commit(Lsn{0x1100}, Lsn{0x1130}, Timestamp{1})));
  const Lsn reached{lsn_};
  lsn_ = 0 - std::uint64_t{8};
  EXPECT_FALSE(add(*decoder, P::stream_start(Xid{700}, true)));
  lsn_ = 0x2000;
  EXPECT_FALSE(add(*decoder, P::streamed(Xid{700}, P::relation(kItem))));
  const auto first = add(*decoder, P::streamed(Xid{700}, row(1)));
  ASSERT_TRUE(first);
  EXPECT_EQ(std::get<AheadSlice>(*first).slice.facts.final_lsn, reached);
}

// The source announces nothing again that a transaction in blocks has announced and committed.
TEST_F(StreamDecoders, C5WhatItAnnouncedIsKnownAfterItsCommit) {
  const auto decoder = make(true);
  (void)add_block(*decoder, 700, true, 1);
  const auto last = add(*decoder, P::stream_commit(commit_of(700, 0x9000)));
  std::get<AheadSlice>(*last).trial->set_done();
  decoder->look();
  EXPECT_FALSE(add(*decoder, P::begin(Lsn{0xa000}, Timestamp{1}, Xid{701})));
  (void)add(*decoder, row(1));
  EXPECT_TRUE(add(*decoder, P::commit(Lsn{0xa000}, Lsn{0xa030}, Timestamp{1})));
}

TEST_F(StreamDecoders, C5WhatTheSinkGivesUpIsReplayedWhole) {
  for (const bool at_the_end : {false, true}) {
    const auto decoder = make(true);
    const auto items = add_block(*decoder, 700, true, 3);
    const auto trial = std::get<AheadSlice>(items[0]).trial;
    if (!at_the_end) trial->give_up();
    EXPECT_EQ(add_block(*decoder, 700, false, 2).size(), at_the_end ? 2U : 0U) << "nothing more goes ahead";
    EXPECT_EQ(add(*decoder, P::stream_commit(commit_of(700, 0x9000))).has_value(), at_the_end);
    trial->give_up();
    decoder->look();
    EXPECT_FALSE(decoder->waiting());
    EXPECT_EQ(replayed(*decoder), 6U) << "five rows and the end";
  }
}

// It is given up before anything else is handed out, and not tried again.
TEST_F(StreamDecoders, C5WhateverElseComesGivesItUp) {
  const std::map<std::string, std::vector<Bytes>> others{
      {"a transaction", {P::begin(Lsn{0x5000}, Timestamp{1}, Xid{701})}},
      {"another one in blocks", {P::stream_start(Xid{701}, true)}},
      {"a rollback of a part of it", {P::stream_abort({Xid{700}, Xid{705}, {}})}},
      {"its rollback", {P::stream_abort({Xid{700}, Xid{700}, {}})}},
  };
  for (const auto& [what, messages] : others) {
    SCOPED_TRACE(what);
    const auto decoder = make(true);
    const auto items = add_block(*decoder, 700, true, 1);
    const auto trial = std::get<AheadSlice>(items[0]).trial;
    for (const Bytes& message : messages) (void)add(*decoder, message);
    EXPECT_TRUE(trial->given_up());
    EXPECT_FALSE(decoder->goes_ahead());
  }
  const auto decoder = make(true);
  (void)add_block(*decoder, 700, true, 1);
  (void)add_block(*decoder, 701, true, 1);
  EXPECT_TRUE(add_block(*decoder, 700, false, 1).empty());
  EXPECT_TRUE(add_block(*decoder, 701, false, 1).empty());
}

// Of a subtransaction that no block has brought, servers of 18 tell too.
TEST_F(StreamDecoders, C5RollbackOfWhatNoBlockHasBroughtDoesNotDisturb) {
  const auto decoder = make(true);
  (void)add_block(*decoder, 700, true, 1);
  EXPECT_FALSE(add(*decoder, P::stream_abort({Xid{800}, Xid{801}, {}})));
  EXPECT_TRUE(decoder->goes_ahead());
}

TEST_F(StreamDecoders, C5NothingGoesAheadWhereItIsNotAllowed) {
  const auto decoder = make(false);
  EXPECT_TRUE(add_block(*decoder, 700, true, 3).empty());
  EXPECT_FALSE(add(*decoder, P::stream_commit(commit_of(700, 0x9000))));
  EXPECT_EQ(replayed(*decoder), 4U);
}

/// Transactions at random as a source sends them: small ones, and some in blocks, which take turns, with
/// subtransactions that are rolled back. Announces a table as pgoutput does.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t seed) : random_(seed) {}

  /// The messages of the next step.
  std::vector<Bytes> next() {
    const int what = below(100);
    if (open_.empty() || what < 15) return below(3) == 0 ? small() : block(next_xid_, true);
    auto one = open_.begin();
    std::advance(one, below(static_cast<int>(open_.size())));
    if (what < 65) return block(one->first, false);
    if (what < 75 && one->second.subxid != 0) return abort_part(one->first, one->second);
    const std::uint32_t xid = one->first;
    const bool commits = what < 95;
    if (commits && one->second.announced) announced_ = true;
    open_.erase(one);
    if (commits) return {P::stream_commit(commit_of(xid, position_ += 0x100))};
    return {P::stream_abort({Xid{xid}, Xid{xid}, {}})};
  }
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }

 private:
  struct Open {
    bool announced = false;
    std::uint32_t subxid = 0;  // that writes now; 0: none
  };

  std::vector<Bytes> small() {
    const Xid xid{next_xid_++};
    const Lsn commit{position_ += 0x100};
    std::vector<Bytes> messages{P::begin(commit, Timestamp{7}, xid)};
    if (!std::exchange(announced_, true)) messages.push_back(P::relation(kItem));
    for (int i = below(4); i >= 0; --i) messages.push_back(row(next_row_++));
    messages.push_back(P::commit(commit, Lsn{commit.value + 0x30}, Timestamp{7}));
    return messages;
  }

  std::vector<Bytes> block(std::uint32_t xid, bool first) {
    if (first) ++next_xid_;
    Open& open = open_[xid];
    std::vector<Bytes> messages{P::stream_start(Xid{xid}, first)};
    if (below(3) == 0) open.subxid = open.subxid == 0 ? next_xid_++ : 0;
    const std::uint32_t writer = open.subxid == 0 ? xid : open.subxid;
    if (!std::exchange(open.announced, true)) messages.push_back(P::streamed(Xid{writer}, P::relation(kItem)));
    for (int i = below(6); i >= 0; --i) messages.push_back(P::streamed(Xid{writer}, row(next_row_++)));
    messages.push_back(P::stream_stop());
    return messages;
  }

  // What the part had announced goes with it.
  static std::vector<Bytes> abort_part(std::uint32_t xid, Open& open) {
    const std::uint32_t part = std::exchange(open.subxid, 0);
    open.announced = false;
    return {P::stream_abort({Xid{xid}, Xid{part}, {}})};
  }

  std::mt19937_64 random_;
  std::map<std::uint32_t, Open> open_;
  std::uint32_t next_xid_ = 700;
  int next_row_ = 1;
  std::uint64_t position_ = 0x100'0000;
  bool announced_ = false;
};

TEST_F(StreamDecoders, C5SinkHasTheSameInTheEndWhateverWentAhead) {
  const std::uint64_t base = random_seed();
  int went_ahead = 0;
  for (std::uint64_t seed = base; seed < base + seeds_to_try(300); ++seed) {
    SCOPED_TRACE(seed);
    RandomStream stream(seed);
    std::mt19937_64 luck(seed + 1);
    const auto once_in = [&luck](std::uint64_t count) { return luck() % count == 0; };
    CollectingSink plain;
    CollectingSink ahead;
    const auto one = make(false, 200);
    const auto other = make(true, 200);
    for (int step = 0; step < 60; ++step) {
      for (const Bytes& message : stream.next()) {
        const std::uint64_t at = lsn_;
        if (auto item = add(*one, message)) plain.give(std::move(*item));
        while (one->replaying()) {
          if (auto slice = one->replay()) plain.give(std::move(*slice));
        }
        lsn_ = at;
        if (auto item = add(*other, message)) ahead.give(std::move(*item));
        while (other->waiting()) {
          ahead.take(once_in(10));
          other->look();
        }
        while (other->replaying()) {
          if (auto slice = other->replay()) ahead.give(std::move(*slice));
        }
        if (once_in(3)) ahead.take(once_in(20));
        if (once_in(100)) other->give_up_ahead();
      }
    }
    plain.take_all();
    ahead.take_all();
    EXPECT_EQ(ahead.committed, plain.committed);
    EXPECT_EQ(plain.went_ahead, 0);
    went_ahead += ahead.went_ahead;
    if (HasFailure()) break;
  }
  EXPECT_GT(went_ahead, 0);
}

}  // namespace
}  // namespace teal::test
