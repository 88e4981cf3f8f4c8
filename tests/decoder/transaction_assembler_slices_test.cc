// How a transaction is cut into slices.
#include <gtest/gtest.h>

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
using test::text;
using test::transaction;

const Relation kItem = test::make_relation(RelationId{1}, "public", "item", {test::key("id"), test::column("note")});

std::vector<Bytes> body_of(int rows) {
  std::vector<Bytes> body{P::relation(kItem)};
  for (int i = 0; i < rows; ++i) body.push_back(P::insert(kItem.id, {text(std::to_string(i)), null()}));
  return body;
}

TEST(TransactionSlices, ALargeTransactionIsCutAndOnlyItsEndsAreMarked) {
  TransactionAssembler assembler({.own_origin_prefix = "teal_demo_", .slice_bytes_max = 8192});
  const Origin origin{"other", Lsn{3}};
  const auto slices = feed(assembler, transaction({.end_lsn = Lsn{0x2000}, .origin = origin}, body_of(500)));
  ASSERT_GT(slices.size(), 3U);
  int row = 0;
  std::uint64_t received = 0;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const TransactionSlice& slice = slices[i];
    EXPECT_EQ(slice.first, i == 0);
    EXPECT_EQ(slice.last, i + 1 == slices.size());
    EXPECT_EQ(slice.end_lsn, slice.last ? Lsn{0x2000} : Lsn{});
    EXPECT_EQ(slice.facts.xid, Xid{700});
    ASSERT_TRUE(slice.facts.origin.has_value());
    EXPECT_EQ(slice.facts.origin->name, "other");
    EXPECT_EQ(slice.counts.received, slice.changes.size()) << "counts are of the slice alone";
    EXPECT_EQ(slice.relations.size(), slice.changes.empty() ? 0U : 1U);
    for (const Change& change : slice.changes) EXPECT_EQ(change.new_tuple[0].text(), std::to_string(row++));
    received += slice.counts.received;
  }
  EXPECT_EQ(row, 500) << "every row once, in order";
  EXPECT_EQ(received, 500U);
}

// I7
TEST(TransactionSlices, ASliceExceedsItsLimitByNoMoreThanItsLastRow) {
  constexpr std::size_t kLimit = 16'384;
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = kLimit});
  for (const TransactionSlice& slice : feed(assembler, transaction({}, body_of(1'000)))) {
    EXPECT_LT(slice.bytes, kLimit + 512);
    EXPECT_TRUE(slice.last || slice.bytes >= kLimit);
  }
}

TEST(TransactionSlices, BytesChargeFramesColumnsAndOverhead) {
  const auto charged = [](const std::vector<Bytes>& body) {
    TransactionAssembler assembler({});
    return feed(assembler, transaction({}, body)).at(0).bytes;
  };
  const std::size_t none = charged({P::relation(kItem)});
  EXPECT_GE(none, sizeof(TransactionSlice) + 1024);
  const Bytes row = P::update_full(kItem.id, {text("1"), text("abc")}, {text("1"), null()});
  const std::size_t frame_bytes = P::xlogdata(Lsn{}, Lsn{}, Timestamp{}, row).size();
  EXPECT_EQ(charged({P::relation(kItem), row}) - none, frame_bytes + 48 + sizeof(Change) + 4 * sizeof(ColumnValue));
}

TEST(TransactionSlices, ARowLargerThanTheLimitIsASliceOfItsOwn) {
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = 10'000});
  const Bytes large = P::insert(kItem.id, {text("1"), text(std::string(50'000, 'x'))});
  const auto slices = feed(assembler, transaction({}, {P::relation(kItem), large, large}));
  ASSERT_EQ(slices.size(), 3U);
  EXPECT_EQ(slices[0].changes.size(), 1U);
  EXPECT_EQ(slices[1].changes.size(), 1U);
  EXPECT_TRUE(slices[2].changes.empty());
  EXPECT_TRUE(slices[2].last) << "the commit comes after the slice was full";
}

TEST(TransactionSlices, ALimitBelowAnEmptySliceStillGivesARowEach) {
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = 1});
  const auto slices = feed(assembler, transaction({}, body_of(3)));
  ASSERT_EQ(slices.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(slices[i].changes.size(), 1U);
  EXPECT_TRUE(slices[3].last);
}

TEST(TransactionSlices, TheTransactionAfterACutOneBeginsAnew) {
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = 8192});
  (void)feed(assembler, transaction({.origin = Origin{"other", Lsn{}}}, body_of(200)));
  const auto slices = feed(assembler, transaction({.xid = Xid{701}, .final_lsn = Lsn{0x5000}}, body_of(1)));
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_TRUE(slices[0].first);
  EXPECT_EQ(slices[0].facts.xid, Xid{701});
  EXPECT_FALSE(slices[0].facts.origin.has_value());
}

// A13: whoever stops here must not take what was given for a whole transaction.
TEST(TransactionSlices, HalfATransactionIsNeverMarkedLast) {
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = 8192});
  std::vector<Bytes> half = transaction({}, body_of(500));
  half.pop_back();
  const auto slices = feed(assembler, half);
  ASSERT_FALSE(slices.empty());
  for (const TransactionSlice& slice : slices) {
    EXPECT_FALSE(slice.last);
    EXPECT_FALSE(slice.end_lsn.valid());
  }
  EXPECT_TRUE(assembler.in_transaction());
}

// A13
TEST(TransactionSlices, AnOriginIsRefusedInALaterSliceOfTheTransaction) {
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = 8192});
  std::vector<Bytes> half = transaction({}, body_of(500));
  half.back() = P::origin(Lsn{}, "late");
  EXPECT_THROW((void)feed(assembler, half), std::runtime_error);
}

}  // namespace
}  // namespace teal
