#include "engine/slice_spill.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/pgoutput_builder.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("note")});
const Relation kWider = make_relation(RelationId{1}, "public", "item", {key("id"), column("note"), column("more")});
const Relation kOther = make_relation(RelationId{2}, "shop", "other", {key("id")}, ReplicaIdentity::kFull);

std::string text_of(TupleView row) {
  std::string text;
  for (const ColumnValue& value : row) {
    text += static_cast<char>(value.kind);
    if (value.has_value()) text += "(" + std::string(value.text()) + ")";
  }
  return text;
}

/// Everything that a slice says, of its relations too.
std::string text_of(const TransactionSlice& slice) {
  const TransactionFacts& facts = slice.facts;
  std::string text = std::to_string(facts.xid.value) + " " + to_string(facts.final_lsn) + " " +
                     std::to_string(facts.commit_time.us) + " " + std::to_string(facts.effective_time.us) + " " +
                     to_string(facts.seen) + (facts.own ? " own" : "") + (slice.first ? " first" : "") +
                     (slice.last ? " last " : " ") + to_string(slice.end_lsn) + " " +
                     std::to_string(slice.counts.received) + "/" + std::to_string(slice.counts.own) + " " +
                     std::to_string(slice.bytes);
  if (facts.origin) text += " " + facts.origin->name + "@" + to_string(facts.origin->lsn);
  for (const Change& change : slice.changes) {
    text += "\n" + std::to_string(static_cast<int>(change.op)) + std::to_string(static_cast<int>(change.old_kind)) +
            std::to_string(change.truncate_flags) + " " + to_string(change.lsn) + " " + change.relation->name + "/" +
            std::to_string(change.relation->columns.size()) + " " + text_of(change.old_tuple) + ">" +
            text_of(change.new_tuple);
    for (const Relation* table : change.truncated) text += " " + table->name;
  }
  return text;
}

class SliceSpills : public testing::Test {
 protected:
  void push(const TransactionSlice& slice) {
    spill_.push(slice);
    expected_.push_back(text_of(slice));
  }
  void expect_all() {
    for (const std::string& expected : expected_) {
      ASSERT_FALSE(spill_.empty());
      EXPECT_EQ(text_of(spill_.pop()), expected);
    }
    EXPECT_TRUE(spill_.empty());
    expected_.clear();
  }
  static TransactionSlice small(std::uint32_t number, std::size_t size = 10) {
    return slice_of({.xid = Xid{number}}, {kItem}, {P::insert(kItem.id, {text("1"), text(std::string(size, 'x'))})},
                    {.own_origin_prefix = "", .slice_bytes_max = 10U << 20U});
  }

  SpoolOptions options_{make_scratch_directory("spill").string(), 1U << 30U};
  SliceSpill spill_{options_};
  std::vector<std::string> expected_;
};

TEST_F(SliceSpills, SlicesComeBackInOrderWithAllThatTheySaid) {
  TransactionSlice slice = slice_of(
      {.xid = Xid{7}, .final_lsn = Lsn{0x100}, .end_lsn = Lsn{0x130}}, {kItem, kOther},
      {P::insert(kItem.id, {text("1"), null()}), P::update_key(kItem.id, {text("1"), null()}, {text(""), unchanged()}),
       P::insert(kItem.id, {binary(std::string("\0\1\0\xff", 4)), text("")}), P::delete_full(kOther.id, {text("5")}),
       P::truncate({kItem.id, kOther.id}, 3)});
  slice.facts.effective_time = Timestamp{77};
  slice.facts.seen = Lsn{0x99};
  slice.facts.origin = Origin{"elsewhere", Lsn{0x55}};
  push(slice);
  slice.facts.own = true;
  slice.first = slice.last = false;
  slice.counts.own = 3;
  push(slice);
  push(slice_of({.xid = Xid{8}}, {}, {}));
  expect_all();
}

TEST_F(SliceSpills, C4EachChangeKeepsTheRelationOfItsMoment) {
  push(small(1));
  push(slice_of({.xid = Xid{2}}, {kWider}, {P::insert(kItem.id, {text("2"), null(), text("more")})}));
  push(slice_of({.xid = Xid{3}}, {kWider}, {P::insert(kItem.id, {text("3"), null(), text("more")})}));
  push(small(4));
  expect_all();
  spill_.push(small(5));
  spill_.push(slice_of({.xid = Xid{6}}, {kItem, kOther}, {P::delete_full(kOther.id, {text("5")})}));
  const TransactionSlice earlier = spill_.pop();
  EXPECT_EQ(*earlier.changes[0].relation, kItem);
  EXPECT_EQ(*spill_.pop().changes[0].relation, kOther);
}

TEST_F(SliceSpills, I7BacklogOfAnyLengthGivesItsSpaceBackWhileItIsRead) {
  std::uint32_t pushed = 0;
  std::uint32_t popped = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 300; ++i) push(small(++pushed, 1'000));
    for (int i = 0; i < (round == 0 ? 10 : 300); ++i) ASSERT_EQ(spill_.pop().facts.xid, Xid{++popped});
    expected_.clear();
  }
  EXPECT_GT(spill_.bytes(), 0U);
  EXPECT_LT(spill_.bytes(), (std::uint64_t{16} << 20U) + (2U << 20U)) << "a segment that is being read, and the rest";
  while (popped < pushed) ASSERT_EQ(spill_.pop().facts.xid, Xid{++popped});
  EXPECT_TRUE(spill_.empty());
}

TEST_F(SliceSpills, RowThatIsLargerThanABlockComesBackWhole) {
  for (const std::size_t size : {100U, 262'144U, 3'000'000U, 1U}) push(small(static_cast<std::uint32_t>(size), size));
  expect_all();
}

TEST_F(SliceSpills, I7BeyondTheCapNothingIsTakenAndWhatWasTakenComesBack) {
  options_.bytes_max = 1'000'000;
  SliceSpill spill(options_);
  std::uint32_t taken = 0;
  EXPECT_THROW(
      {
        while (taken < 100) {
          spill.push(small(taken, 100'000));
          ++taken;
        }
      },
      SpillFailed);
  EXPECT_EQ(taken, 9U);
  for (std::uint32_t i = 0; i < taken; ++i) EXPECT_EQ(spill.pop().facts.xid, Xid{i});
  EXPECT_TRUE(spill.empty());
  spill.clear();
  spill.push(small(77));
  EXPECT_EQ(*spill.pop().changes[0].relation, kItem) << "relations are told again";
}

}  // namespace
}  // namespace teal::test
