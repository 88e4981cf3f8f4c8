// Transactions that teal wrote itself, foreign ones, and rows of teal's control tables.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "decoder/transaction_assembler.h"
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
const Relation kProgress =
    test::make_relation(RelationId{9}, "teal", "progress", {test::key("link", test::kText), test::column("applied")});

const AssemblerOptions kOptions{.own_origin_prefix = "teal_demo_"};
const Origin kOwn{"teal_demo_blue_to_green", Lsn{0x77}};

Bytes item_row(std::string_view id) { return P::insert(kItem.id, {text(id), null()}); }
Bytes progress_row(std::string_view applied) {
  return P::update_full(kProgress.id, {text("l"), text("0/1")}, {text("l"), text(applied)});
}

TEST(OwnTransaction, RowsAreCountedAndNotKept) {
  const TransactionSlice slice =
      slice_of({.origin = kOwn}, {kItem},
               {item_row("1"), P::update(kItem.id, {text("1"), null()}), P::delete_key(kItem.id, {text("1"), null()})},
               kOptions);
  EXPECT_TRUE(slice.facts.own);
  ASSERT_TRUE(slice.facts.origin.has_value());
  EXPECT_EQ(slice.facts.origin->lsn, Lsn{0x77});
  EXPECT_TRUE(slice.first && slice.last);
  EXPECT_TRUE(slice.changes.empty());
  EXPECT_TRUE(slice.frames.empty());
  EXPECT_TRUE(slice.relations.empty());
  EXPECT_EQ(slice.counts.received, 3U);
  EXPECT_EQ(slice.counts.own, 3U);
}

TEST(OwnTransaction, KeepsProgressRowsThatEchoOutsideTheCounts) {
  const TransactionSlice slice =
      slice_of({.origin = kOwn}, {kItem, kProgress},
               {item_row("1"), progress_row("0/2A"), item_row("2"), progress_row("0/2B"), item_row("3")}, kOptions);
  ASSERT_EQ(slice.changes.size(), 2U);
  EXPECT_EQ(slice.changes[0].relation->name, "progress");
  EXPECT_EQ(slice.changes[0].old_kind, OldTupleKind::kFull);
  EXPECT_EQ(slice.changes[0].old_tuple[1].text(), "0/1");
  EXPECT_EQ(slice.changes[0].new_tuple[1].text(), "0/2A") << "rows after it must not reuse its columns' memory";
  EXPECT_EQ(slice.changes[1].new_tuple[1].text(), "0/2B");
  EXPECT_EQ(slice.counts.received, 3U);
  EXPECT_EQ(slice.counts.own, 3U);
  EXPECT_EQ(slice.frames.size(), 2U);
}

TEST(OwnTransaction, RelationsInsideItAreKnownToTheNextTransaction) {
  TransactionAssembler assembler(kOptions);
  (void)feed(assembler, transaction({.final_lsn = Lsn{0x1000}, .origin = kOwn}, {P::relation(kItem), item_row("1")}));
  const auto slices = feed(assembler, transaction({.final_lsn = Lsn{0x2000}}, {item_row("2")}));
  ASSERT_EQ(slices.size(), 1U);
  ASSERT_EQ(slices[0].changes.size(), 1U);
  EXPECT_EQ(slices[0].changes[0].relation->name, "item");
}

// B5
TEST(OwnTransaction, ItsOriginDoesNotLeakIntoTheNext) {
  TransactionAssembler assembler(kOptions);
  (void)feed(assembler, transaction({.final_lsn = Lsn{0x1000}, .origin = kOwn}, {}));
  const auto slices = feed(assembler, transaction({.final_lsn = Lsn{0x2000}}, {P::relation(kItem), item_row("1")}));
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_FALSE(slices[0].facts.own);
  EXPECT_FALSE(slices[0].facts.origin.has_value());
  EXPECT_EQ(slices[0].counts.own, 0U);
}

TEST(OwnTransaction, StaysOneSliceOfBoundedMemoryHoweverManyRowsItSkips) {
  const AssemblerOptions small{.own_origin_prefix = "teal_demo_", .slice_bytes_max = 4096};
  std::vector<Bytes> rows(5'000, item_row("1"));
  const TransactionSlice slice = slice_of({.origin = kOwn}, {kItem}, rows, small);
  EXPECT_EQ(slice.counts.own, 5'000U);
  EXPECT_LT(slice.bytes, 4096U);
}

TEST(OwnTransaction, SkippedRowsAreStillChecked) {
  EXPECT_THROW((void)slice_of({.origin = kOwn}, {kItem}, {P::insert(kItem.id, {text("1")})}, kOptions),
               std::runtime_error);
  EXPECT_THROW((void)slice_of({.origin = kOwn}, {}, {item_row("1")}, kOptions), std::runtime_error);
}

int freed = 0;
void free_and_count(void* memory) {
  ++freed;
  std::free(memory);
}

TEST(OwnTransaction, FramesOfSkippedRowsAreFreedAtOnce) {
  TransactionAssembler assembler(kOptions);
  (void)feed(assembler,
             {P::begin(Lsn{0x1000}, Timestamp{}, Xid{1}), P::origin(Lsn{}, "teal_demo_x"), P::relation(kItem)});
  freed = 0;
  const Bytes row = item_row("1");
  auto* memory = static_cast<std::byte*>(std::malloc(row.size()));
  std::copy(row.begin(), row.end(), memory);
  Frame frame(memory, row.size(), free_and_count);
  const auto bytes = frame.bytes();
  EXPECT_TRUE(assembler.add(Lsn{}, bytes, std::move(frame)).has_value());
  EXPECT_EQ(freed, 1);
}

// B2, I5: a foreign change must be forwarded.
TEST(ForeignTransaction, RowsAreKept) {
  for (const char* name : {"pg_16384", "teal_other_blue_to_green", "teal_demo", "", "x_teal_demo_"}) {
    const TransactionSlice slice = slice_of({.origin = Origin{name, Lsn{}}}, {kItem}, {item_row("1")}, kOptions);
    EXPECT_FALSE(slice.facts.own) << name;
    EXPECT_EQ(slice.changes.size(), 1U) << name;
    EXPECT_EQ(slice.counts.own, 0U) << name;
    ASSERT_TRUE(slice.facts.origin.has_value()) << name;
    EXPECT_EQ(slice.facts.origin->name, name);
  }
}

TEST(ForeignTransaction, NothingIsOwnWithoutAPrefix) {
  EXPECT_FALSE(slice_of({.origin = kOwn}, {kItem}, {item_row("1")}).facts.own);
}

TEST(ControlRow, IsKeptAndNotCountedInOrdinaryTransactions) {
  const TransactionSlice slice = slice_of({}, {kItem, kProgress}, {item_row("1"), progress_row("0/5")}, kOptions);
  EXPECT_EQ(slice.changes.size(), 2U);
  EXPECT_EQ(slice.counts.received, 1U);
}

TEST(ControlRow, IsRecognisedByItsSchemaAlone) {
  Relation other = kProgress;
  other.schema = "teal2";
  const TransactionSlice slice = slice_of({}, {other}, {progress_row("0/5")}, kOptions);
  EXPECT_EQ(slice.counts.received, 1U);
}

TEST(ControlTruncate, IsAChangeOfItsOwnAndNotCounted) {
  const Bytes both = P::truncate({kProgress.id, kItem.id}, kTruncateCascade);
  const TransactionSlice slice = slice_of({}, {kItem, kProgress}, {both}, kOptions);
  ASSERT_EQ(slice.changes.size(), 2U);
  EXPECT_EQ(slice.changes[0].relation->name, "item");
  EXPECT_EQ(slice.changes[0].ledger_count(), 1U);
  EXPECT_EQ(slice.changes[1].relation->name, "progress");
  EXPECT_EQ(slice.changes[1].truncate_flags, kTruncateCascade);
  EXPECT_EQ(slice.counts.received, 1U);
}

TEST(ControlTruncate, IsAllThatAnOwnTruncateKeeps) {
  const Bytes both = P::truncate({kItem.id, kProgress.id});
  const TransactionSlice slice = slice_of({.origin = kOwn}, {kItem, kProgress}, {both}, kOptions);
  ASSERT_EQ(slice.changes.size(), 1U);
  ASSERT_EQ(slice.changes[0].truncated.size(), 1U);
  EXPECT_EQ(slice.changes[0].truncated[0]->name, "progress");
  EXPECT_EQ(slice.counts.received, 1U);
  EXPECT_EQ(slice.counts.own, 1U);
}

}  // namespace
}  // namespace teal
