// Transactions that were streamed in blocks, kept, and are given to the assembler when they have committed.
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "decoder/transaction_assembler.h"
#include "tests/support/pgoutput_builder.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;
using test::feed;
using test::null;
using test::text;

const Relation kItem = test::make_relation(RelationId{1}, "public", "item", {test::key("id"), test::column("note")});
const Relation kControl = test::make_relation(RelationId{2}, "teal", "progress", {test::key("id")});
const StreamCommitMessage kCommit{Xid{700}, Lsn{0x1000}, Lsn{0x1030}, Timestamp{42}};

Bytes item_row(std::string_view id, std::string_view note = "") { return P::insert(kItem.id, {text(id), text(note)}); }

/// What is kept of one message of a block: tag and body in memory of its own.
Frame kept(const Bytes& streamed) {
  const auto parsed = parse_stream_message(streamed, StreamPlace::kInBlock);
  if (parsed.has_error()) throw std::runtime_error(to_string(parsed.error()));
  return test::frame_of(test::without_xid(std::get<StreamedMessage>(*parsed)));
}

/// Replays `body` as one streamed transaction, at LSNs from 0x800 on.
std::vector<TransactionSlice> replay(TransactionAssembler& assembler, const std::vector<Bytes>& body,
                                     const StreamCommitMessage& facts = kCommit) {
  std::vector<TransactionSlice> slices;
  if (const auto error = assembler.begin(facts)) throw std::runtime_error(to_string(*error));
  Lsn lsn{0x800};
  for (const Bytes& message : body) {
    Frame frame = kept(P::streamed(facts.xid, message));
    const auto bytes = frame.bytes();
    auto added = assembler.add(lsn, bytes, std::move(frame));
    if (added.has_error()) throw std::runtime_error(to_string(added.error()));
    if (added->has_value()) slices.push_back(*std::move(*added));
    lsn.value += 8;
  }
  auto last = assembler.commit(facts);
  if (last.has_error()) throw std::runtime_error(to_string(last.error()));
  slices.push_back(std::move(*last));
  return slices;
}

void expect_same(const TransactionSlice& a, const TransactionSlice& b) {
  EXPECT_EQ(a.facts.xid, b.facts.xid);
  EXPECT_EQ(a.facts.final_lsn, b.facts.final_lsn);
  EXPECT_EQ(a.facts.commit_time, b.facts.commit_time);
  EXPECT_EQ(a.facts.own, b.facts.own);
  EXPECT_EQ(a.facts.origin.has_value(), b.facts.origin.has_value());
  EXPECT_EQ(a.first, b.first);
  EXPECT_EQ(a.last, b.last);
  EXPECT_EQ(a.end_lsn, b.end_lsn);
  EXPECT_EQ(a.counts.received, b.counts.received);
  EXPECT_EQ(a.counts.own, b.counts.own);
  ASSERT_EQ(a.changes.size(), b.changes.size());
  for (std::size_t i = 0; i < a.changes.size(); ++i) {
    EXPECT_EQ(a.changes[i].op, b.changes[i].op);
    EXPECT_EQ(*a.changes[i].relation, *b.changes[i].relation);
    ASSERT_EQ(a.changes[i].new_tuple.size(), b.changes[i].new_tuple.size());
    for (std::size_t k = 0; k < a.changes[i].new_tuple.size(); ++k) {
      EXPECT_EQ(a.changes[i].new_tuple[k].text(), b.changes[i].new_tuple[k].text());
    }
  }
}

TEST(StreamedTransaction, HasTheFactsOfItsCommitAndTheLsnsOfItsMessages) {
  TransactionAssembler assembler({});
  const auto slices = replay(assembler, {P::relation(kItem), item_row("1"), item_row("2")});
  ASSERT_EQ(slices.size(), 1U);
  const TransactionSlice& slice = slices[0];
  EXPECT_EQ(slice.facts.xid, kCommit.xid);
  EXPECT_EQ(slice.facts.final_lsn, kCommit.commit_lsn);
  EXPECT_EQ(slice.facts.commit_time, kCommit.commit_time);
  EXPECT_EQ(slice.end_lsn, kCommit.end_lsn);
  EXPECT_TRUE(slice.first);
  EXPECT_TRUE(slice.last);
  ASSERT_EQ(slice.changes.size(), 2U);
  EXPECT_EQ(slice.changes[1].lsn, Lsn{0x810});
  EXPECT_EQ(slice.changes[1].new_tuple[0].text(), "2");
  EXPECT_FALSE(assembler.in_transaction());
}

TEST(StreamedTransaction, MakesTheSlicesThatItWouldHaveMadeAtItsCommit) {
  const std::string note(500, 'x');
  const std::vector<std::vector<Bytes>> bodies = {
      {},
      {P::relation(kItem), item_row("1", note), P::update_key(kItem.id, {text("1"), null()}, {text("2"), text(note)}),
       P::truncate({kItem.id}), P::message(true, Lsn{1}, "p", "c")},
      {P::origin(Lsn{}, "other"), P::relation(kItem), item_row("1")},
      {P::origin(Lsn{}, "teal_demo_x"), P::relation(kItem), P::relation(kControl), item_row("1"),
       P::insert(kControl.id, {text("1")})},
      {P::relation(kItem), item_row("1", note), item_row("2", note), item_row("3", note), item_row("4", note)}};
  for (const std::vector<Bytes>& body : bodies) {
    const AssemblerOptions options{.own_origin_prefix = "teal_demo_", .slice_bytes_max = 2'500};
    TransactionAssembler streaming(options);
    const auto streamed = replay(streaming, body);
    TransactionAssembler ordinary(options);
    const auto whole = feed(ordinary, test::transaction({.xid = kCommit.xid,
                                                         .final_lsn = kCommit.commit_lsn,
                                                         .end_lsn = kCommit.end_lsn,
                                                         .commit_time = kCommit.commit_time},
                                                        body));
    ASSERT_EQ(streamed.size(), whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) expect_same(streamed[i], whole[i]);
  }
}

TEST(StreamedTransaction, B7TheOriginOfItsFirstBlockCountsForAllOfIt) {
  TransactionAssembler assembler({.own_origin_prefix = "teal_demo_"});
  const auto slices = replay(assembler, {P::origin(Lsn{}, "teal_demo_blue_to_green"), P::relation(kItem), item_row("1"),
                                         item_row("2"), P::relation(kControl), P::insert(kControl.id, {text("1")})});
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_TRUE(slices[0].facts.own);
  EXPECT_EQ(slices[0].counts.received, 2U);
  EXPECT_EQ(slices[0].counts.own, 2U);
  ASSERT_EQ(slices[0].changes.size(), 1U);
  EXPECT_EQ(slices[0].changes[0].relation->name, "progress");
}

TEST(StreamedTransaction, ASliceOwnsAllThatItsChangesPointTo) {
  std::optional<TransactionSlice> slice;
  {
    TransactionAssembler assembler({});
    auto slices = replay(assembler, {P::relation(kItem), item_row("1", "kept")});
    slice.emplace(std::move(slices.at(0)));
  }
  EXPECT_EQ(slice->changes.at(0).new_tuple[1].text(), "kept");
  EXPECT_EQ(slice->changes.at(0).relation->name, "item");
}

TEST(StreamedTransaction, StandsBetweenOrdinaryOnes) {
  TransactionAssembler assembler({});
  const auto before = feed(assembler, test::transaction({}, {P::relation(kItem), item_row("1")}));
  const auto streamed = replay(assembler, {P::relation(kItem), item_row("2")});
  const auto after = feed(assembler, test::transaction({.final_lsn = Lsn{0x2000}}, {item_row("3")}));
  ASSERT_EQ(before.size() + streamed.size() + after.size(), 3U);
  EXPECT_EQ(streamed[0].changes.at(0).new_tuple[0].text(), "2");
  EXPECT_EQ(after[0].changes.at(0).new_tuple[0].text(), "3");
}

// PostgreSQL 18 sends them with protocol 1 too, for transactions of which it sent nothing.
TEST(StreamedTransaction, C5TheAbortOfASubtransactionThatNeverCameChangesNothing) {
  TransactionAssembler assembler({});
  const Bytes abort = P::stream_abort({Xid{700}, Xid{701}, {}});
  const auto slices = feed(assembler, {abort, P::begin(Lsn{0x1000}, Timestamp{1}, Xid{7}), P::relation(kItem),
                                       item_row("1"), P::commit(Lsn{0x1000}, Lsn{0x1030}, Timestamp{1}), abort});
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_EQ(slices[0].changes.size(), 1U);
  EXPECT_FALSE(assembler.in_transaction());
}

TEST(StreamedTransaction, C8TheAssemblerRefusesEveryOtherMessageOfStreaming) {
  const Bytes begin = P::begin(Lsn{0x1000}, Timestamp{1}, Xid{7});
  const Bytes part = P::stream_abort({Xid{700}, Xid{701}, {}});
  Bytes cut = part;
  cut.pop_back();
  const struct {
    std::vector<Bytes> before;
    Bytes message;
    DecodeError error;
  } refused[] = {
      {{}, P::stream_abort({Xid{700}, Xid{700}, {}}), {DecodeErrc::kUnexpectedMessage, 'A', 0}},
      {{begin}, part, {DecodeErrc::kUnexpectedMessage, 'A', 0}},
      {{}, cut, {DecodeErrc::kTruncated, 'A', 5}},
      {{}, P::stream_start(Xid{700}, true), {DecodeErrc::kUnknownTag, 'S', 0}},
      {{}, P::stream_stop(), {DecodeErrc::kUnknownTag, 'E', 0}},
      {{}, P::stream_commit(kCommit), {DecodeErrc::kUnknownTag, 'c', 0}},
  };
  for (const auto& [before, message, error] : refused) {
    TransactionAssembler assembler({});
    (void)feed(assembler, before);
    Frame frame = test::frame_of(message);
    const auto bytes = frame.bytes();
    const auto added = assembler.add(Lsn{}, bytes, std::move(frame));
    ASSERT_TRUE(added.has_error());
    EXPECT_EQ(added.error(), error) << to_string(added.error());
  }
}

TEST(StreamedTransaction, MayNotOpenOrEndInsideAnotherOne) {
  const DecodeError unexpected{DecodeErrc::kUnexpectedMessage, 'c', 0};
  TransactionAssembler assembler({});
  auto ended = assembler.commit(kCommit);
  ASSERT_TRUE(ended.has_error());
  EXPECT_EQ(ended.error(), unexpected);

  TransactionAssembler inside({});
  (void)feed(inside, {P::begin(Lsn{0x1000}, Timestamp{1}, Xid{7})});
  EXPECT_EQ(inside.begin(kCommit), unexpected);

  TransactionAssembler twice({});
  EXPECT_EQ(twice.begin(kCommit), std::nullopt);
  EXPECT_EQ(twice.begin(kCommit), unexpected);
}

TEST(StreamedTransaction, EndsOnlyWithTheCommitThatItWasBegunWith) {
  for (const StreamCommitMessage& other :
       {StreamCommitMessage{Xid{701}, kCommit.commit_lsn, kCommit.end_lsn, kCommit.commit_time},
        StreamCommitMessage{kCommit.xid, Lsn{0x1001}, kCommit.end_lsn, kCommit.commit_time},
        StreamCommitMessage{kCommit.xid, kCommit.commit_lsn, kCommit.commit_lsn, kCommit.commit_time}}) {
    TransactionAssembler assembler({});
    EXPECT_EQ(assembler.begin(kCommit), std::nullopt);
    const auto ended = assembler.commit(other);
    ASSERT_TRUE(ended.has_error());
    EXPECT_EQ(ended.error(), (DecodeError{DecodeErrc::kBadValue, 'c', 0}));
  }
}

}  // namespace
}  // namespace teal
