// Transactions fed by hand: what one batch makes of them on a real target. No stream, no source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "applier/batch_plan.h"
#include "engine/pg_error.h"
#include "tests/scenario/applier_fixture.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using testing::HasSubstr;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("name"), column("big")});
constexpr const char* kItemSql = "CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE, big text)";

class ApplyItems : public ApplierFixture {
 protected:
  void SetUp() override {
    ApplierFixture::SetUp();
    prepare(kItemSql, {"item"});
  }
  static Bytes ins(const char* id, const char* name, const char* big = "b") {
    return P::insert(kItem.id, {text(id), text(name), text(big)});
  }
  static Bytes upd(const char* id, const char* name) {
    return P::update(kItem.id, {text(id), text(name), unchanged()});
  }
  static Bytes del(const char* id) { return P::delete_key(kItem.id, {text(id), null(), null()}); }
};

TEST_F(ApplyItems, ManyTransactionsShareOneTargetTransactionWithTheirProgress) {
  auto applier = open_applier();
  for (std::uint64_t i = 1; i <= 50; ++i) {
    const std::string id = std::to_string(i);
    give(*applier, slice_of(at(i), {kItem}, {ins(id.c_str(), ("n" + id).c_str())}));
  }
  applier->flush();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 50);
  EXPECT_EQ(green().number("SELECT count(DISTINCT xmin::text) FROM item"), 1);
  EXPECT_EQ(applied(), "0/32100");
  EXPECT_EQ(counter("received"), "50");
  EXPECT_EQ(counter("applied"), "50");
  EXPECT_EQ(counter("transactions"), "50");
  EXPECT_EQ(counter("batches"), "1");
}

TEST_F(ApplyItems, RowsCarryTheLinksOriginAndTheSourcesCommitTime) {
  green().exec("ALTER SYSTEM SET track_commit_timestamp = on");
  green_server().restart();
  auto applier = open_applier();
  give(*applier, slice_of(at(7), {kItem}, {ins("1", "a")}));
  applier->flush();
  EXPECT_EQ(green().value("SELECT o.roname FROM item, pg_xact_commit_timestamp_origin(item.xmin) c JOIN "
                          "pg_replication_origin o ON o.roident = c.roident"),
            "teal_shop_blue_to_green");
  EXPECT_TRUE(green().truth("SELECT pg_xact_commit_timestamp(xmin) = '2000-01-01 00:00:07+00' FROM item"));
}

TEST_F(ApplyItems, F1UniqueSwapThroughATemporaryValueIsAppliedInSourceOrder) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), ins("2", "b")}));
  applier->flush();
  give(*applier, slice_of(at(2), {kItem}, {upd("1", "tmp"), upd("2", "a"), upd("1", "b")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "1:b 2:a");
  EXPECT_TRUE(careful_->contains("public.item"));
  give(*applier, slice_of(at(3), {kItem}, {upd("1", "tmp"), upd("2", "b"), upd("1", "a")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "1:a 2:b");
  EXPECT_EQ(counter("received"), "8");
  EXPECT_EQ(counter("applied"), "8");
}

TEST_F(ApplyItems, F1DeletedRowsUniqueValueIsFreeForAnInsertOfTheSameBatch) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "x")}));
  give(*applier, slice_of(at(2), {kItem}, {del("1"), ins("2", "x")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "2:x");
}

TEST_F(ApplyItems, F2KeyThatOccursTwiceInABatchEndsWithItsLastValues) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), ins("2", "b")}));
  applier->flush();
  give(*applier, slice_of(at(2), {kItem}, {upd("1", "c"), upd("1", "d")}));
  give(*applier, slice_of(at(3), {kItem}, {upd("1", "e"), upd("2", "f")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "1:e 2:f");
}

TEST_F(ApplyItems, F3UnchangedToastKeepsTheValueThatTheBatchInserted) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a", "huge"), upd("1", "c")}));
  applier->flush();
  EXPECT_EQ(content("item", "big"), "1:huge");
  give(*applier, slice_of(at(2), {kItem}, {upd("1", "d")}));
  applier->flush();
  EXPECT_EQ(content("item", "big"), "1:huge");
  EXPECT_EQ(content("item", "name"), "1:d");
}

TEST_F(ApplyItems, F4InsertsAndDeletesOfOneKeyInABatchEndAsTheSourceDid) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), ins("2", "b")}));
  applier->flush();
  give(*applier, slice_of(at(2), {kItem},
                          {del("1"), ins("1", "a2"), ins("3", "c"), del("3"), ins("4", "d"), del("4"), ins("4", "d2"),
                           del("2"), ins("2", "b2"), del("2")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "1:a2 4:d2");
  EXPECT_EQ(counter("received"), "12");
  EXPECT_EQ(counter("applied"), "12");
}

TEST_F(ApplyItems, F7KeyShiftKeepsEveryRow) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), ins("2", "b"), ins("3", "c")}));
  applier->flush();
  const auto shift = [](const char* from, const char* to, const char* name) {
    return P::update_key(kItem.id, {text(from), null(), null()}, {text(to), text(name), text("b")});
  };
  give(*applier, slice_of(at(2), {kItem}, {shift("3", "4", "c"), shift("2", "3", "b"), shift("1", "2", "a")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "2:a 3:b 4:c");
}

TEST_F(ApplyItems, F7KeyChangeWithoutItsToastedValueKeepsTheTargets) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a", "huge")}));
  applier->flush();
  give(*applier, slice_of(at(2), {kItem},
                          {P::update_key(kItem.id, {text("1"), null(), null()}, {text("9"), text("z"), unchanged()})}));
  applier->flush();
  EXPECT_EQ(content("item", "big"), "9:huge");
  EXPECT_EQ(content("item", "name"), "9:z");
}

TEST_F(ApplyItems, F8UpdateOfAMissingRowStopsWithTableKeyAndLsnAndAppliesNothing) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a")}));
  applier->flush();
  give(*applier, slice_of(at(2), {kItem}, {ins("2", "b")}));
  give(*applier, slice_of(at(3), {kItem}, {ins("3", "c"), upd("42", "z")}));
  try {
    applier->flush();
    FAIL() << "an update that touched no row was taken for done";
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kData);
    EXPECT_THAT(stopped.what(), HasSubstr("public.item"));
    EXPECT_THAT(stopped.what(), HasSubstr("(\"id\")=(42)"));
    EXPECT_THAT(stopped.what(), HasSubstr("LSN"));
  }
  // Careful mode applied transaction 2, which is whole, and nothing of transaction 3.
  EXPECT_EQ(content("item", "name"), "1:a 2:b");
  EXPECT_EQ(applied(), "0/2100");
}

TEST_F(ApplyItems, F8DeleteOfAMissingRowStops) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {del("42")}));
  EXPECT_THROW(applier->flush(), Stopped);
  EXPECT_EQ(applied(), "0/0");
}

TEST_F(ApplyItems, RowThatARuleRefusesStopsWithTheRulesName) {
  green().exec("ALTER TABLE item ADD CONSTRAINT short CHECK (length(name) < 5)");
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "fine"), ins("2", "too long")}));
  try {
    applier->flush();
    FAIL();
  } catch (const Stopped& stopped) {
    EXPECT_THAT(stopped.what(), HasSubstr("constraint short"));
    EXPECT_THAT(stopped.what(), HasSubstr("(\"id\")=(2)"));
    EXPECT_THAT(stopped.what(), testing::Not(HasSubstr("too long")));
  }
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
}

TEST_F(ApplyItems, A2PositionOfAFailedBatchNeverReachesALaterCommit) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), ins("2", "b")}));
  applier->flush();
  // A deferred trigger fails in COMMIT itself, after xact_setup.
  green().exec(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE "
      "= '23514'; END$$; CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON teal.progress DEFERRABLE INITIALLY "
      "DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse(); ALTER TABLE teal.progress ENABLE ALWAYS TRIGGER late");
  give(*applier, slice_of(at(5), {kItem}, {ins("5", "e")}));
  EXPECT_THROW(applier->flush(), Stopped);
  green().exec("DROP TRIGGER late ON teal.progress");
  EXPECT_EQ(applied(), "0/1100");
  EXPECT_EQ(content("item", "name"), "1:a 2:b");
}

TEST_F(ApplyItems, A6RowsAreToldApartByTheirTransactionsCommitAlone) {
  auto applier = open_applier();
  // Two interleaved transactions: the later commit's rows have the lower positions.
  auto first = slice_of({Xid{1}, Lsn{0x5000}, Lsn{0x5100}, Timestamp{1}}, {kItem}, {ins("1", "a"), ins("2", "b")});
  auto second = slice_of({Xid{2}, Lsn{0x6000}, Lsn{0x6100}, Timestamp{2}}, {kItem}, {ins("3", "c"), ins("4", "d")});
  for (Change& change : first.changes) change.lsn = Lsn{0x4000};  // as COPY rows: one position for all
  for (Change& change : second.changes) change.lsn = Lsn{0x3000};
  give(*applier, std::move(first));
  applier->flush();
  give(*applier, std::move(second));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "1:a 2:b 3:c 4:d");
}

TEST_F(ApplyItems, A5WhatTheProgressRowCoversIsNotAppliedAgain) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a")}));
  applier->flush();
  applier.reset();
  applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a")}));
  give(*applier, slice_of(at(2), {kItem}, {ins("2", "b")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "1:a 2:b");
  EXPECT_EQ(counter("received"), "3");
  EXPECT_EQ(counter("applied"), "2");
  EXPECT_EQ(counter("already_applied"), "1");
}

// A large transaction that is refused is read again from there: two tables that need their order, in turn, would have
// no end.
TEST_F(ApplyItems, F1WhatIsReadAgainDoesNotMakeATablesOrderForgotten) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a")}));
  applier->flush();
  careful_->remember("public.item");
  for (int i = 0; i < CarefulTables::kBatches + 1; ++i) {
    give(*applier, slice_of(at(1), {kItem}, {ins("1", "a")}));
    applier->flush();
  }
  EXPECT_TRUE(careful_->contains("public.item"));
  for (std::uint64_t i = 2; i < CarefulTables::kBatches + 2; ++i) {
    give(*applier, slice_of(at(i), {kItem}, {upd("1", "b")}));
    applier->flush();
  }
  EXPECT_FALSE(careful_->contains("public.item"));
}

TEST_F(ApplyItems, A12TransactionWithNothingToWriteMovesTheProgressToo) {
  auto applier = open_applier();
  give(*applier, slice_of(at(3), {}, {}));
  applier->flush();
  EXPECT_EQ(applied(), "0/3100");
  EXPECT_EQ(green().value("SELECT remote_lsn FROM pg_replication_origin_status"), "0/3100");
}

TEST_F(ApplyItems, A13HalfATransactionIsNeverVisible) {
  TransactionAssembler assembler(AssemblerOptions{"teal_shop_", 1});
  std::vector<Bytes> rows{P::relation(kItem)};
  for (int i = 1; i <= 10; ++i) {
    const std::string id = std::to_string(i);
    rows.push_back(ins(id.c_str(), ("n" + id).c_str()));
  }
  std::vector<TransactionSlice> slices = feed(assembler, transaction(at(1), rows));
  ASSERT_GT(slices.size(), 5U);
  ApplierOptions small;
  small.batch_rows_max = 2;  // the transaction is larger than a batch: its slices are written as they come
  {
    auto applier = open_applier(small);
    for (std::size_t i = 0; i + 1 < slices.size() / 2; ++i) give(*applier, std::move(slices[i]));
    applier->flush();
    EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
  }  // the process ends here
  EXPECT_EQ(applied(), "0/0");
  auto applier = open_applier(small);
  TransactionAssembler again(AssemblerOptions{"teal_shop_", 1});
  for (TransactionSlice& slice : feed(again, transaction(at(1), rows))) give(*applier, std::move(slice));
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 10);
  EXPECT_EQ(green().number("SELECT count(DISTINCT xmin::text) FROM item"), 1);
  EXPECT_EQ(applied(), "0/1100");
  EXPECT_EQ(counter("applied"), "10");
}

TEST_F(ApplyItems, LargeTransactionThatNeedsSourceOrderIsAskedForAgain) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), ins("2", "b")}));
  applier->flush();
  applier.reset();
  ApplierOptions small;
  small.batch_rows_max = 3;
  const std::vector<Bytes> rows{P::relation(kItem), upd("1", "tmp"), upd("2", "a"), upd("1", "b"), ins("3", "c")};
  const auto feed_all = [&](Applier& sink) {
    TransactionAssembler assembler(AssemblerOptions{"teal_shop_", 1});
    for (TransactionSlice& slice : feed(assembler, transaction(at(2), rows))) give(sink, std::move(slice));
    sink.flush();
  };
  applier = open_applier(small);
  EXPECT_THROW(feed_all(*applier), ReplayNeeded);
  applier.reset();
  applier = open_applier(small);
  feed_all(*applier);
  EXPECT_EQ(content("item", "name"), "1:b 2:a 3:c");
}

TEST_F(ApplyItems, ChangesBelowATablesWatermarkAreCountedAndNotApplied) {
  green().exec("UPDATE teal.table_state SET watermark = '0/3000'");
  auto applier = open_applier();
  give(*applier, slice_of(at(2), {kItem}, {ins("2", "copied")}));    // commit 0/2000: in the snapshot
  give(*applier, slice_of(at(3), {kItem}, {ins("3", "streamed")}));  // commit 0/3000: at the consistent point
  applier->flush();
  EXPECT_EQ(content("item", "name"), "3:streamed");
  EXPECT_EQ(counter("below_watermark"), "1");
}

TEST_F(ApplyItems, TruncateTakesItsPlaceBetweenTheRows) {
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a"), P::truncate({kItem.id}), ins("2", "b")}));
  applier->flush();
  EXPECT_EQ(content("item", "name"), "2:b");
  EXPECT_EQ(counter("received"), "3");
  EXPECT_EQ(counter("applied"), "3");
}

TEST_F(ApplyItems, ColumnThatTheTargetLacksStopsAndNamesIt) {
  const Relation wider = make_relation(RelationId{1}, "public", "item", {key("id"), column("name"), column("extra")});
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {wider}, {P::insert(RelationId{1}, {text("1"), text("a"), text("e")})}));
  try {
    applier->flush();
    FAIL();
  } catch (const Stopped& stopped) {
    EXPECT_THAT(stopped.what(), HasSubstr("public.item"));
    EXPECT_THAT(stopped.what(), HasSubstr("\"extra\""));
  }
}

TEST_F(ApplyItems, TableThatIsAnnouncedAgainAndAgainIsLoadedOnce) {
  PgConnection connection = PgConnection::connect(green_connect("test"));
  ColumnFit types([this] { return PgConnection::connect(blue_connect()); }, connection);
  int loads = 0;
  TargetTables tables([&](const Relation& relation) {
    ++loads;
    return load_target_table(connection, relation, read_table_state(connection, names_, relation), {}, types);
  });
  const auto first = std::make_shared<const Relation>(kItem);
  const TargetTable* known = &tables.of(first);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(&tables.of(std::make_shared<const Relation>(kItem)), known);
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(first.use_count(), 2) << "an older shape is kept while somebody holds it";
  const Relation narrower = make_relation(RelationId{1}, "public", "item", {key("id"), column("name")});
  const auto changed = std::make_shared<const Relation>(narrower);
  EXPECT_EQ(tables.of(changed).columns.size(), 2U);
  EXPECT_EQ(tables.of(first).columns.size(), 3U);
}

TEST_F(ApplyItems, A3AcknowledgesOnlyWhatTheTargetHasFlushed) {
  green_server().configure({"wal_writer_delay=10s"});
  green_server().restart();
  auto applier = open_applier();
  give(*applier, slice_of(at(1), {kItem}, {ins("1", "a")}));
  applier->flush();
  EXPECT_EQ(to_string(applier->applied()), "0/1100");
  EXPECT_LT(applier->durable(), applier->applied());
  green_server().stop(StopMode::kImmediate);
  green_server().start();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0) << "the commit was flushed: this test proved nothing";
  EXPECT_EQ(applied(), "0/0");
}

}  // namespace
}  // namespace teal::test
