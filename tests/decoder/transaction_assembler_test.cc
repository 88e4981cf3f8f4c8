// Order of messages, relations, facts and ownership. Slices by size, own transactions and control rows have files of
// their own.
#include "decoder/transaction_assembler.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/pgoutput_builder.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;
using test::feed;
using test::null;
using test::slice_of;
using test::text;
using test::transaction;

const Relation kItem = test::make_relation(RelationId{1}, "public", "item", {test::key("id"), test::column("note")});
const Relation kLog = test::make_relation(RelationId{2}, "public", "log", {test::column("line")});

Bytes item_row(std::string_view id) { return P::insert(kItem.id, {text(id), null()}); }

/// Feeds all but the last message, which must be refused with `code`.
void expect_refused(const std::vector<Bytes>& messages, DecodeErrc code) {
  TransactionAssembler assembler({});
  const std::vector<Bytes> before(messages.begin(), messages.end() - 1);
  (void)feed(assembler, before);
  const Bytes& last = messages.back();
  Frame frame = test::frame_of(last);
  const auto bytes = frame.bytes();
  const auto added = assembler.add(Lsn{}, bytes, std::move(frame));
  ASSERT_TRUE(added.has_error());
  EXPECT_EQ(added.error(), (DecodeError{code, static_cast<char>(last.at(0)), 0})) << to_string(added.error());
}

const Bytes kBegin = P::begin(Lsn{0x1000}, Timestamp{1}, Xid{7});
const Bytes kCommit = P::commit(Lsn{0x1000}, Lsn{0x1030}, Timestamp{1});

TEST(TransactionAssembler, GivesATransactionWithItsFactsAndChanges) {
  const TransactionSlice slice = slice_of(
      {.xid = Xid{7}, .final_lsn = Lsn{0x1000}, .end_lsn = Lsn{0x1038}, .commit_time = Timestamp{42}}, {kItem},
      {item_row("1"), P::update(kItem.id, {text("1"), text("a")}), P::delete_key(kItem.id, {text("1"), null()})});
  EXPECT_EQ(slice.facts.xid, Xid{7});
  EXPECT_EQ(slice.facts.final_lsn, Lsn{0x1000});
  EXPECT_EQ(slice.facts.commit_time, Timestamp{42});
  EXPECT_FALSE(slice.facts.origin.has_value());
  EXPECT_FALSE(slice.facts.own);
  EXPECT_TRUE(slice.first);
  EXPECT_TRUE(slice.last);
  EXPECT_EQ(slice.end_lsn, Lsn{0x1038});
  EXPECT_EQ(slice.counts.received, 3U);
  EXPECT_EQ(slice.counts.own, 0U);
  ASSERT_EQ(slice.changes.size(), 3U);
  EXPECT_EQ(slice.changes[0].op, ChangeOp::kInsert);
  EXPECT_EQ(slice.changes[1].op, ChangeOp::kUpdate);
  EXPECT_EQ(slice.changes[1].old_kind, OldTupleKind::kNone);
  EXPECT_EQ(slice.changes[1].new_tuple[1].text(), "a");
  EXPECT_EQ(slice.changes[2].op, ChangeOp::kDelete);
  EXPECT_EQ(slice.changes[2].relation->name, "item");
}

// Servers up to 14 send bare pairs, later ones do not.
TEST(TransactionAssembler, C9EmptyTransactionIsOneSliceWithoutChanges) {
  const TransactionSlice slice = slice_of({.end_lsn = Lsn{0x2000}}, {}, {});
  EXPECT_TRUE(slice.first);
  EXPECT_TRUE(slice.last);
  EXPECT_TRUE(slice.changes.empty());
  EXPECT_EQ(slice.end_lsn, Lsn{0x2000});
  EXPECT_EQ(slice.counts.received, 0U);
}

TEST(TransactionAssembler, SaysWhetherATransactionIsOpen) {
  TransactionAssembler assembler({});
  EXPECT_FALSE(assembler.in_transaction());
  (void)feed(assembler, {kBegin});
  EXPECT_TRUE(assembler.in_transaction());
  (void)feed(assembler, {kCommit});
  EXPECT_FALSE(assembler.in_transaction());
}

TEST(TransactionAssembler, EveryChangeCarriesItsMessagesLsn) {
  TransactionAssembler assembler({});
  (void)feed(assembler, {kBegin, P::relation(kItem)});
  (void)feed(assembler, {item_row("1")}, Lsn{0x900});
  (void)feed(assembler, {item_row("2")}, Lsn{0x900});
  const auto slices = feed(assembler, {P::truncate({kItem.id}), kCommit}, Lsn{0x910});
  ASSERT_EQ(slices.size(), 1U);
  ASSERT_EQ(slices[0].changes.size(), 3U);
  EXPECT_EQ(slices[0].changes[0].lsn, Lsn{0x900});
  EXPECT_EQ(slices[0].changes[1].lsn, Lsn{0x900}) << "rows of one COPY share an LSN";
  EXPECT_EQ(slices[0].changes[2].lsn, Lsn{0x910});
}

// LSNs of messages order nothing. Begin shares its LSN with the first row, and rows of the later commit are older.
TEST(TransactionAssembler, A6InterleavedTransactionsStayWholeAndInCommitOrder) {
  TransactionAssembler assembler({});
  auto slices = feed(assembler, {P::begin(Lsn{0x2000}, Timestamp{1}, Xid{8})}, Lsn{0x1500});
  for (auto& slice : feed(assembler, {P::relation(kItem)}, Lsn{0x1500})) slices.push_back(std::move(slice));
  for (const char* id : {"1", "2", "3"}) (void)feed(assembler, {item_row(id)}, Lsn{0x1500});
  for (auto& slice : feed(assembler, {P::commit(Lsn{0x2000}, Lsn{0x2030}, Timestamp{1})}, Lsn{0x2030})) {
    slices.push_back(std::move(slice));
  }
  (void)feed(assembler, {P::begin(Lsn{0x3000}, Timestamp{2}, Xid{7})}, Lsn{0x1000});
  for (const char* id : {"4", "5"}) (void)feed(assembler, {item_row(id)}, Lsn{0x1000});
  for (auto& slice : feed(assembler, {P::commit(Lsn{0x3000}, Lsn{0x3030}, Timestamp{2})}, Lsn{0x3030})) {
    slices.push_back(std::move(slice));
  }
  ASSERT_EQ(slices.size(), 2U);
  EXPECT_EQ(slices[0].facts.xid, Xid{8});
  EXPECT_EQ(slices[0].changes.size(), 3U);
  EXPECT_EQ(slices[1].facts.xid, Xid{7});
  EXPECT_EQ(slices[1].changes.size(), 2U);
  EXPECT_LT(slices[1].changes[0].lsn, slices[0].changes[0].lsn);
  EXPECT_LT(slices[0].end_lsn, slices[1].end_lsn);
}

TEST(TransactionAssembler, RejectsMessagesOutsideATransaction) {
  for (const Bytes& message : {kCommit, P::origin(Lsn{1}, "o"), P::relation(kItem), P::type(TypeId{1}, "s", "t"),
                               item_row("1"), P::update(kItem.id, {text("1"), null()}),
                               P::delete_key(kItem.id, {text("1"), null()}), P::truncate({kItem.id})}) {
    expect_refused({message}, DecodeErrc::kUnexpectedMessage);
    expect_refused({kBegin, kCommit, message}, DecodeErrc::kUnexpectedMessage);
  }
}

TEST(TransactionAssembler, RejectsABeginInsideATransaction) {
  expect_refused({kBegin, kBegin}, DecodeErrc::kUnexpectedMessage);
}

TEST(TransactionAssembler, RejectsAnOriginAfterTheFirstRow) {
  const Bytes origin = P::origin(Lsn{1}, "other");
  expect_refused({kBegin, P::relation(kItem), item_row("1"), origin}, DecodeErrc::kUnexpectedMessage);
  expect_refused({kBegin, P::relation(kItem), P::truncate({kItem.id}), origin}, DecodeErrc::kUnexpectedMessage);
}

TEST(TransactionAssembler, RejectsASecondOrigin) {
  const Bytes origin = P::origin(Lsn{1}, "other");
  expect_refused({kBegin, origin, origin}, DecodeErrc::kUnexpectedMessage);
}

TEST(TransactionAssembler, TakesAnOriginAfterARelation) {
  TransactionAssembler assembler({});
  const auto slices = feed(assembler, {kBegin, P::relation(kItem), P::origin(Lsn{5}, "other"), item_row("1"), kCommit});
  ASSERT_EQ(slices.size(), 1U);
  ASSERT_TRUE(slices[0].facts.origin.has_value());
  EXPECT_EQ(slices[0].facts.origin->name, "other");
  EXPECT_EQ(slices[0].facts.origin->lsn, Lsn{5});
}

TEST(TransactionAssembler, RejectsACommitOfAnotherBegin) {
  expect_refused({kBegin, P::commit(Lsn{0x1001}, Lsn{0x1030}, Timestamp{1})}, DecodeErrc::kBadValue);
}

TEST(TransactionAssembler, RejectsACommitThatEndsBeforeItStarts) {
  expect_refused({kBegin, P::commit(Lsn{0x1000}, Lsn{0x1000}, Timestamp{1})}, DecodeErrc::kBadValue);
}

TEST(TransactionAssembler, RejectsRowsOfUnannouncedRelations) {
  for (const Bytes& row : {item_row("1"), P::update(kItem.id, {text("1"), null()}),
                           P::delete_key(kItem.id, {text("1"), null()}), P::truncate({kItem.id})}) {
    expect_refused({kBegin, row}, DecodeErrc::kUnknownRelation);
  }
  expect_refused({kBegin, P::relation(kItem), P::truncate({kItem.id, kLog.id})}, DecodeErrc::kUnknownRelation);
}

TEST(TransactionAssembler, RejectsRowsWithAnotherNumberOfColumns) {
  const Bytes relation = P::relation(kItem);
  for (const Bytes& row : {P::insert(kItem.id, {text("1")}), P::insert(kItem.id, {text("1"), null(), null()}),
                           P::insert(kItem.id, {}), P::update_key(kItem.id, {text("1")}, {text("1"), null()}),
                           P::update_key(kItem.id, {text("1"), null()}, {text("1")}),
                           P::delete_key(kItem.id, {text("1")}), P::delete_full(kItem.id, {})}) {
    expect_refused({kBegin, relation, row}, DecodeErrc::kColumnCount);
  }
}

// The parser's errors come through with their own offset.
TEST(TransactionAssembler, C10PassesOnWhatTheParserRefuses) {
  TransactionAssembler assembler({});
  Bytes cut = kBegin;
  cut.pop_back();
  Frame frame = test::frame_of(cut);
  const auto bytes = frame.bytes();
  const auto added = assembler.add(Lsn{}, bytes, std::move(frame));
  ASSERT_TRUE(added.has_error());
  EXPECT_EQ(added.error(), (DecodeError{DecodeErrc::kTruncated, 'B', 17}));
}

TEST(TransactionAssembler, C7IgnoresLogicalMessagesEverywhere) {
  const Bytes message = P::message(true, Lsn{1}, "prefix", "content");
  TransactionAssembler assembler({});
  const auto slices = feed(
      assembler, {message, kBegin, message, P::relation(kItem), message, item_row("1"), message, kCommit, message});
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_EQ(slices[0].changes.size(), 1U);
  EXPECT_EQ(slices[0].counts.received, 1U);
  EXPECT_FALSE(assembler.in_transaction());
}

// ALTER TABLE inside a transaction. Rows before it keep the shape that they were written with.
TEST(TransactionAssembler, C4ARelationChangeInMidTransactionAppliesFromThereOn) {
  Relation altered = kItem;
  altered.name = "item2";
  altered.columns.push_back(test::column("added"));
  const TransactionSlice slice =
      slice_of({}, {kItem},
               {item_row("1"), P::relation(altered), P::insert(kItem.id, {text("2"), null(), text("x")}),
                P::insert(kItem.id, {text("3"), null(), text("y")})});
  ASSERT_EQ(slice.changes.size(), 3U);
  EXPECT_EQ(slice.changes[0].relation->name, "item");
  EXPECT_EQ(slice.changes[0].relation->columns.size(), 2U);
  EXPECT_EQ(slice.changes[1].relation->name, "item2");
  EXPECT_EQ(slice.changes[1].relation->columns.size(), 3U);
  EXPECT_EQ(slice.changes[2].relation, slice.changes[1].relation);
  EXPECT_EQ(slice.relations.size(), 2U) << "each shape is held once";
}

TEST(TransactionAssembler, C4ARelationOutlivesItsTransactionOnTheConnection) {
  TransactionAssembler assembler({});
  (void)feed(assembler, transaction({.final_lsn = Lsn{0x1000}}, {P::relation(kItem), item_row("1")}));
  const auto slices = feed(assembler, transaction({.final_lsn = Lsn{0x2000}}, {item_row("2")}));
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_EQ(slices[0].changes[0].relation->name, "item");
  EXPECT_EQ(slices[0].relations.size(), 1U) << "a later slice holds its own share";
}

// What 'K' leaves out is not NULL; the change says which of the two old images it carries.
TEST(TransactionAssembler, D7ARelationHasTheNamesOfTheTypesThatWereAnnounced) {
  Relation typed = kItem;
  typed.columns.push_back({"mood", TypeId{50000}, -1, false, "public", "mood"});
  const TransactionSlice slice =
      test::slice_of({}, {typed}, {P::insert(kItem.id, {text("1"), text("a"), text("fine")})});
  EXPECT_EQ(slice.relations.at(0)->columns, typed.columns);
}

TEST(TransactionAssembler, C3ChangesTellOldKeyFromOldRow) {
  const TransactionSlice slice =
      slice_of({}, {kItem},
               {P::update_key(kItem.id, {text("1"), null()}, {text("2"), null()}),
                P::update_full(kItem.id, {text("1"), null()}, {text("2"), null()}),
                P::delete_key(kItem.id, {text("1"), null()}), P::delete_full(kItem.id, {text("1"), null()})});
  EXPECT_EQ(slice.changes[0].old_kind, OldTupleKind::kKey);
  EXPECT_EQ(slice.changes[1].old_kind, OldTupleKind::kFull);
  EXPECT_EQ(slice.changes[2].old_kind, OldTupleKind::kKey);
  EXPECT_EQ(slice.changes[3].old_kind, OldTupleKind::kFull);
}

TEST(TransactionAssembler, ASliceOwnsAllThatItsChangesPointTo) {
  std::optional<TransactionSlice> slice;
  {
    TransactionAssembler assembler({});
    auto slices = feed(assembler, transaction({}, {P::relation(kItem), P::relation(kLog), item_row("1"),
                                                   P::truncate({kItem.id, kLog.id}, kTruncateCascade)}));
    slice.emplace(std::move(slices.at(0)));
  }
  ASSERT_EQ(slice->changes.size(), 2U);
  EXPECT_EQ(slice->changes[0].new_tuple[0].text(), "1");
  EXPECT_EQ(slice->changes[0].relation->columns[1].name, "note");
  ASSERT_EQ(slice->changes[1].truncated.size(), 2U);
  EXPECT_EQ(slice->changes[1].truncated[1]->name, "log");
  EXPECT_EQ(slice->changes[1].relation, slice->changes[1].truncated[0]);
  EXPECT_EQ(slice->changes[1].truncate_flags, kTruncateCascade);
}

// The ledger counts a TRUNCATE once per table.
TEST(TransactionAssembler, J1CountsATruncateOncePerTable) {
  const TransactionSlice slice = slice_of({}, {kItem, kLog}, {item_row("1"), P::truncate({kItem.id, kLog.id})});
  EXPECT_EQ(slice.counts.received, 3U);
  EXPECT_EQ(slice.changes[1].ledger_count(), 2U);
}

}  // namespace
}  // namespace teal
