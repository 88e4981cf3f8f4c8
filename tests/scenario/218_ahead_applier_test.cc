// Pieces of a transaction that its source has not ended, fed by hand: what its commit's position decides (TRAPS A2, H1,
// M6, D1).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/applier_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using std::chrono::seconds;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("name")});

class AheadByHand : public ApplierFixture {
 protected:
  void SetUp() override {
    ApplierFixture::SetUp();
    prepare("CREATE TABLE item (id int PRIMARY KEY, name text)", {"item"});
  }

  static ApplierOptions small() {
    ApplierOptions options;
    options.batch_rows_max = 2;
    return options;
  }

  /// Rows 1 to 9, one in each piece, of a transaction that began at `begun` and commits `at(position)`.
  static std::vector<TransactionSlice> pieces(std::uint64_t position, Lsn begun = Lsn{0x800}) {
    std::vector<Bytes> rows{P::relation(kItem)};
    for (int i = 1; i <= 9; ++i) rows.push_back(P::insert(kItem.id, {text(std::to_string(i)), text("n")}));
    TransactionAssembler assembler(AssemblerOptions{"teal_shop_", 1});
    std::vector<TransactionSlice> slices = feed(assembler, transaction(at(position), rows));
    for (TransactionSlice& slice : slices) {
      if (!slice.last) slice.facts.final_lsn = begun;
    }
    return slices;
  }
  /// All but the last are handed out. Returns that.
  TransactionSlice give_open(Applier& applier, std::vector<TransactionSlice> slices) {
    TransactionSlice last = std::move(slices.back());
    slices.pop_back();
    for (TransactionSlice& slice : slices) applier.ahead({std::move(slice), trial_});
    return last;
  }

  const std::shared_ptr<AheadTrial> trial_ = std::make_shared<AheadTrial>();
};

TEST_F(AheadByHand, A2WhatWasAppliedBeforeIsGivenUpAtItsCommit) {
  auto applier = open_applier(small());
  give(*applier, slice_of(at(5), {kItem}, {P::insert(kItem.id, {text("42"), text("n")})}));
  applier->flush();
  TransactionSlice last = give_open(*applier, pieces(3));
  EXPECT_FALSE(trial_->given_up());
  applier->ahead({std::move(last), trial_});
  EXPECT_TRUE(trial_->given_up());
  EXPECT_EQ(content("item", "name"), "42:n");
  EXPECT_EQ(counter("applied"), "1");
}

// Which of its rows the copy has is known once its commit's position is.
TEST_F(AheadByHand, H1RowsBelowATablesWatermarkAreLeftToTheCommit) {
  green().exec("UPDATE teal.table_state SET watermark = '0/2000'");
  auto applier = open_applier(small());
  (void)give_open(*applier, pieces(3));
  EXPECT_TRUE(trial_->given_up());
  for (TransactionSlice& slice : pieces(3, at(3).final_lsn)) give(*applier, std::move(slice));
  applier->flush();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 9);
  EXPECT_EQ(counter("below_watermark"), "0");
}

// Before it others may wait for what it holds; after it, giving up would only cost all of it once more.
TEST_F(AheadByHand, M6LockIsWaitedForOnceItHasCommitted) {
  auto applier = open_applier(small());
  TransactionSlice last = give_open(*applier, pieces(3));
  ASSERT_FALSE(trial_->given_up());
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; SELECT FROM teal.progress FOR UPDATE");
  auto committed = std::async(std::launch::async, [&] { applier->ahead({std::move(last), trial_}); });
  wait_until("its commit has waited for three seconds, or gone on", seconds(30), [&] {
    return trial_->given_up() || trial_->done() ||
           green().truth(
               "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_xid IS NOT NULL "
               "AND clock_timestamp() - query_start > interval '3 s'");
  });
  EXPECT_FALSE(trial_->given_up());
  blocker.exec("ROLLBACK");
  committed.get();
  EXPECT_TRUE(trial_->done());
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 9);
  EXPECT_EQ(applied(), "0/3100");
}

// The source may still roll it back: the stream stays as it is until its commit needs something else.
TEST_F(AheadByHand, D1TableThatNeedsTextIsNotedOnlyByItsCommit) {
  green_owner().exec("ALTER TABLE public.item ALTER name TYPE varchar");
  ApplierOptions options = small();
  options.binary = {true, 15};  // a binary text is no varchar
  auto applier = open_applier(options);
  (void)give_open(*applier, pieces(3));
  EXPECT_TRUE(trial_->given_up());
  EXPECT_FALSE(careful_->text_needed());
  EXPECT_THROW(
      {
        for (TransactionSlice& slice : pieces(3, at(3).final_lsn)) give(*applier, std::move(slice));
      },
      ReplayNeeded);
  EXPECT_TRUE(careful_->text_needed());
}

}  // namespace
}  // namespace teal::test
