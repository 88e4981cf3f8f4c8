#include "applier/coalescer.h"
#include "applier/array_param.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "applier/statement_builder.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;

constexpr RelationId kItem{1};

Relation item_relation(ReplicaIdentity identity = ReplicaIdentity::kDefault) {
  return make_relation(kItem, "public", "item", {key("id"), column("name"), column("big")}, identity);
}

TargetTable item_table() {
  TargetTable table;
  table.display_name = "public.item";
  table.sql_name = "\"public\".\"item\"";
  table.columns = {{.name = "\"id\"", .type = "integer", .equality = "OPERATOR(pg_catalog.=)", .key = true},
                   {.name = "\"name\"", .type = "text"},
                   {.name = "\"big\"", .type = "text"}};
  table.key = {0};
  return table;
}

std::string show(const ColumnValue& value) {
  if (value.kind == ColumnKind::kNull) return "NULL";
  if (value.kind == ColumnKind::kUnchangedToast) return "?";
  return std::string(value.text());
}

std::string show(TupleView values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) out += (i == 0 ? "" : ",") + show(values[i]);
  return out;
}

// A segment as one line: "I(1) 1,a,b; D(2)".
std::string show(const Segment& segment) {
  std::string out;
  for (const NetRow& row : segment.rows) {
    if (row.op == NetOp::kNone) continue;
    const char* op = row.op == NetOp::kInsert    ? "I"
                     : row.op == NetOp::kUpdate  ? "U"
                     : row.op == NetOp::kReplace ? "R"
                                                 : "D";
    out +=
        (out.empty() ? "" : "; ") + std::string(segment.move_from ? "M(" + show(segment.move_from->columns) + ")" : op);
    out += "(" + show(row.key.columns) + ")";
    if (!row.values.empty()) out += " " + show(row.values);
  }
  return out;
}

class CoalescerTest : public testing::Test {
 protected:
  std::vector<std::string> coalesce(const std::vector<Bytes>& rows, const Relation& relation = item_relation()) {
    slices_.push_back(slice_of({}, {relation}, rows));
    slices_.back().facts.seen = seen_;
    const TransactionFacts* facts = &slices_.back().facts;
    for (const Change& change : slices_.back().changes) {
      if (change.op == ChangeOp::kTruncate) {
        coalescer_.truncate({&table_}, false, {change.lsn, 0, facts});
      } else {
        coalescer_.add(table_, change, {change.lsn, 0, facts});
      }
    }
    std::vector<std::string> segments;
    for (const Epoch& epoch : coalescer_.epochs()) {
      for (const auto& table : epoch.tables) {
        for (const Segment& segment : table) segments.push_back(show(segment));
      }
      if (!epoch.truncated.empty()) segments.emplace_back("TRUNCATE");
    }
    changes_ += rows.size();
    expect_balance(changes_);
    return segments;
  }

  // Every change is either a row operation or merged into one (invariant I2).
  void expect_balance(std::size_t changes) {
    std::uint64_t operations = 0;
    std::uint64_t truncates = 0;
    for (const Epoch& epoch : coalescer_.epochs()) {
      truncates += epoch.truncated.size();
      for (const auto& table : epoch.tables) {
        for (const Segment& segment : table) {
          for (const RowGroup& group : group_rows(segment)) operations += group.rows.size();
        }
      }
    }
    EXPECT_EQ(operations + truncates + coalescer_.counts().merged, changes + coalescer_.counts().split);
  }

  TargetTable table_ = item_table();
  bool in_order_ = false;
  Coalescer coalescer_{[this](const TargetTable&) { return in_order_; }};
  Lsn seen_;                 // by the next transactions
  std::size_t changes_ = 0;  // of all so far
  std::deque<TransactionSlice> slices_;
};

using Segments = std::vector<std::string>;

Bytes ins(const char* id, const char* name, const char* big = "b") {
  return P::insert(kItem, {text(id), text(name), text(big)});
}
Bytes upd(const char* id, const char* name, const char* big = "b") {
  return P::update(kItem, {text(id), text(name), text(big)});
}
Bytes upd_u(const char* id, const char* name) { return P::update(kItem, {text(id), text(name), unchanged()}); }
Bytes del(const char* id) { return P::delete_key(kItem, {text(id), null(), null()}); }
Bytes move(const char* from, const char* to, const char* name) {
  return P::update_key(kItem, {text(from), null(), null()}, {text(to), text(name), text("b")});
}

TEST_F(CoalescerTest, F2SameKeyTwiceIsOneUpdateWithTheLastValues) {
  EXPECT_EQ(coalesce({upd("1", "a"), upd("1", "c", "z")}), Segments{"U(1) 1,c,z"});
}

// What the first one brought may have lost against what the source has applied since, and is not what the second left
// alone then.
TEST_F(CoalescerTest, G5UnchangedColumnIsNotTakenFromAChangeThatHadSeenLess) {
  coalesce({ins("1", "a", "huge"), ins("2", "a")});
  seen_ = Lsn{0x500};
  EXPECT_EQ(coalesce({upd("2", "c", "whole")}), Segments{"I(1) 1,a,huge; I(2) 2,c,whole"});
  EXPECT_EQ(coalesce({upd_u("1", "d")}), (Segments{"I(1) 1,a,huge; I(2) 2,c,whole", "U(1) 1,d,?"}));
}

TEST_F(CoalescerTest, F3UpdateWithUnchangedColumnKeepsTheInsertedValue) {
  EXPECT_EQ(coalesce({ins("1", "a", "huge"), upd_u("1", "c")}), Segments{"I(1) 1,c,huge"});
}

TEST_F(CoalescerTest, F3LaterUnchangedColumnKeepsTheEarlierUpdate) {
  EXPECT_EQ(coalesce({upd("1", "a", "huge"), upd_u("1", "c"), upd_u("1", "d")}), Segments{"U(1) 1,d,huge"});
}

TEST_F(CoalescerTest, EarlierUnchangedColumnIsReplacedByLaterValue) {
  EXPECT_EQ(coalesce({upd_u("1", "a"), upd("1", "c", "new")}), Segments{"U(1) 1,c,new"});
}

TEST_F(CoalescerTest, TwoUnchangedColumnsStayUnsent) {
  EXPECT_EQ(coalesce({upd_u("1", "a"), upd_u("1", "c")}), Segments{"U(1) 1,c,?"});
}

TEST_F(CoalescerTest, F4InsertThenDeleteIsNothing) { EXPECT_EQ(coalesce({ins("1", "a"), del("1")}), Segments{""}); }

TEST_F(CoalescerTest, F4DeleteThenInsertIsAReplacement) {
  EXPECT_EQ(coalesce({del("1"), ins("1", "n")}), Segments{"R(1) 1,n,b"});
}

TEST_F(CoalescerTest, F4InsertDeleteInsertIsTheLastInsert) {
  EXPECT_EQ(coalesce({ins("1", "a"), del("1"), ins("1", "c")}), Segments{"I(1) 1,c,b"});
}

TEST_F(CoalescerTest, F4DeleteInsertDeleteIsADelete) {
  EXPECT_EQ(coalesce({del("1"), ins("1", "a"), del("1")}), Segments{"D(1)"});
}

TEST_F(CoalescerTest, UpdateThenDeleteIsADelete) { EXPECT_EQ(coalesce({upd("1", "a"), del("1")}), Segments{"D(1)"}); }

TEST_F(CoalescerTest, ReplacementThenUpdateStaysAReplacement) {
  EXPECT_EQ(coalesce({del("1"), ins("1", "a", "x"), upd_u("1", "c")}), Segments{"R(1) 1,c,x"});
}

TEST_F(CoalescerTest, DifferentKeysStayApart) {
  EXPECT_EQ(coalesce({ins("1", "a"), ins("2", "b"), del("3")}), Segments{"I(1) 1,a,b; I(2) 2,b,b; D(3)"});
}

TEST_F(CoalescerTest, WhatTheAlgebraDoesNotKnowBeginsANewSegment) {
  EXPECT_EQ(coalesce({del("1"), upd("1", "a")}), (Segments{"D(1)", "U(1) 1,a,b"}));
  coalescer_.clear();
  changes_ = 0;
  EXPECT_EQ(coalesce({ins("1", "a"), ins("1", "c")}), (Segments{"I(1) 1,a,b", "I(1) 1,c,b"}));
}

TEST_F(CoalescerTest, F7KeyShiftInStreamOrderNeverMergesTwoRows) {
  // UPDATE t SET id = id + 1, highest first: 3 -> 4, 2 -> 3, 1 -> 2.
  EXPECT_EQ(coalesce({move("3", "4", "c"), move("2", "3", "b"), move("1", "2", "a")}),
            Segments{"R(3) 3,b,b; I(4) 4,c,b; R(2) 2,a,b; D(1)"});
}

TEST_F(CoalescerTest, KeyChangeThereAndBackIsTheRowItself) {
  EXPECT_EQ(coalesce({move("1", "2", "a"), move("2", "1", "c")}), Segments{"R(1) 1,c,b"});
}

TEST_F(CoalescerTest, KeyChangeWithAnUnsentColumnStaysAnUpdate) {
  const Bytes moved = P::update_key(kItem, {text("1"), null(), null()}, {text("2"), text("n"), unchanged()});
  EXPECT_EQ(coalesce({upd("1", "a"), moved, upd("2", "z")}), (Segments{"U(1) 1,a,b", "M(1)(2) 2,n,?", "U(2) 2,z,b"}));
}

TEST_F(CoalescerTest, KeyChangeStaysAnUpdateWhenTheTargetHasColumnsOfItsOwn) {
  table_.keeps_more_than_source = true;
  EXPECT_EQ(coalesce({move("1", "2", "a")}), Segments{"M(1)(2) 2,a,b"});
}

TEST_F(CoalescerTest, DeleteAndInsertStayTwoStepsWhenTheTargetHasColumnsOfItsOwn) {
  table_.keeps_more_than_source = true;
  EXPECT_EQ(coalesce({del("1"), ins("1", "n")}), (Segments{"D(1)", "I(1) 1,n,b"}));
}

TEST_F(CoalescerTest, E9KeyThatCannotBeUpdatedMovesByDeleteAndInsert) {
  table_.columns[0].settable = false;
  table_.keeps_more_than_source = true;
  EXPECT_EQ(coalesce({move("1", "2", "a")}), Segments{"D(1); I(2) 2,a,b"});
}

TEST_F(CoalescerTest, C2ToastedKeyComesFromTheOldImage) {
  const Bytes update = P::update_key(kItem, {text("long"), null(), null()}, {unchanged(), text("n"), text("b")});
  EXPECT_EQ(coalesce({update}), Segments{"U(long) long,n,b"});
}

TEST_F(CoalescerTest, C3KeyImageNeverFillsInColumnsOutsideTheKey) {
  const Bytes update = P::update_key(kItem, {text("1"), null(), null()}, {text("1"), text("n"), unchanged()});
  EXPECT_EQ(coalesce({update}), Segments{"U(1) 1,n,?"});
}

TEST_F(CoalescerTest, C3FullImageFillsInUnsentColumns) {
  const Bytes update = P::update_full(kItem, {text("1"), text("a"), text("old")}, {text("1"), text("n"), unchanged()});
  EXPECT_EQ(coalesce({update}, item_relation(ReplicaIdentity::kFull)), Segments{"U(1) 1,n,old"});
}

TEST_F(CoalescerTest, TruncateSeparatesWhatCameBeforeFromWhatCameAfter) {
  EXPECT_EQ(coalesce({ins("1", "a"), P::truncate({kItem}), ins("1", "c")}),
            (Segments{"I(1) 1,a,b", "TRUNCATE", "I(1) 1,c,b"}));
}

TEST_F(CoalescerTest, InOrderEveryChangeStandsAlone) {
  in_order_ = true;
  EXPECT_EQ(coalesce({upd("1", "a"), upd("1", "c"), move("1", "2", "d")}),
            (Segments{"U(1) 1,a,b", "U(1) 1,c,b", "M(1)(2) 2,d,b"}));
}

TEST_F(CoalescerTest, NullAndEmptyKeyTextAreDifferentKeys) {
  EXPECT_EQ(
      coalesce({P::insert(kItem, {text(""), text("a"), text("b")}), P::insert(kItem, {null(), text("c"), text("b")})}),
      Segments{"I() ,a,b; I(NULL) NULL,c,b"});
}

class WholeRowsTest : public CoalescerTest {
 protected:
  WholeRowsTest() {
    table_.whole_rows = true;
    table_.key = {0, 1, 2};
  }
  static Bytes made(const char* name) { return P::insert(kItem, {text("1"), text(name), null()}); }
  static Bytes full(const char* from, const char* to) {
    return P::update_full(kItem, {text("1"), text(from), null()}, {text("1"), text(to), null()});
  }
  static Bytes gone(const char* name) { return P::delete_full(kItem, {text("1"), text(name), null()}); }

  const Relation relation_ = item_relation(ReplicaIdentity::kFull);
};

TEST_F(WholeRowsTest, E2AreAMultisetAndNothingTakesWhatItsSegmentMakes) {
  EXPECT_EQ(coalesce({full("a", "b"), gone("a"), full("a", "c"), full("b", "d"), gone("d"), gone("x")}, relation_),
            Segments{"D(1,a,NULL); D(1,a,NULL); U(1,a,NULL) 1,c,NULL; D(1,x,NULL)"});
}

TEST_F(WholeRowsTest, E2ChainOfChangesIsOne) {
  EXPECT_EQ(coalesce({full("a", "b"), full("b", "c"), full("c", "a"), full("a", "d")}, relation_),
            Segments{"U(1,a,NULL) 1,d,NULL"});
  EXPECT_EQ(coalescer_.counts().merged, 3U);
}

TEST_F(WholeRowsTest, E2RowThatIsMadeAndGoesAgainIsNone) {
  EXPECT_EQ(coalesce({made("a"), full("a", "b"), made("c"), gone("b"), full("c", "d")}, relation_),
            Segments{"I(1,d,NULL) 1,d,NULL"});
}

TEST_F(WholeRowsTest, E2EqualRowsThatWereMadeAreTakenOneByOne) {
  EXPECT_EQ(
      coalesce({made("e"), full("a", "e"), made("e"), gone("e"), full("e", "f"), gone("e"), gone("e")}, relation_),
      Segments{"U(1,a,NULL) 1,f,NULL; D(1,e,NULL)"});
}

TEST_F(WholeRowsTest, E2InSourceOrderNothingIsMerged) {
  in_order_ = true;
  EXPECT_EQ(coalesce({full("a", "b"), full("b", "c")}, relation_),
            (Segments{"U(1,a,NULL) 1,b,NULL", "U(1,b,NULL) 1,c,NULL"}));
}

TEST_F(CoalescerTest, C3FullImageWithoutTheValueLeavesTheUnsentColumnAlone) {
  const Bytes update = P::update_full(kItem, {text("1"), null(), null()}, {text("1"), text("n"), unchanged()});
  EXPECT_EQ(coalesce({update}, item_relation(ReplicaIdentity::kFull)), Segments{"U(1) 1,n,?"});
}

TEST(GroupRows, SplitsUpdatesByTheColumnsThatAreThere) {
  const TargetTable table = item_table();
  Coalescer coalescer([](const TargetTable&) { return false; });
  const TransactionSlice slice =
      slice_of({}, {item_relation()}, {ins("1", "a"), upd("2", "b"), upd_u("3", "c"), del("4"), upd("5", "e")});
  for (const Change& change : slice.changes) coalescer.add(table, change, {change.lsn});
  const auto groups = group_rows(coalescer.epochs()[0].tables[0][0]);
  ASSERT_EQ(groups.size(), 4U);
  EXPECT_EQ(groups[0].shape, (StatementShape{StatementKind::kDelete, {}}));
  EXPECT_EQ(groups[1].shape, (StatementShape{StatementKind::kUpdate, {1, 2}}));
  EXPECT_EQ(groups[1].rows.size(), 2U);
  EXPECT_EQ(groups[2].shape, (StatementShape{StatementKind::kUpdate, {1}}));
  EXPECT_EQ(groups[3].shape, (StatementShape{StatementKind::kInsert, {0, 1, 2}}));
}

TEST(BuildStatement, FindsRowsByTheOperatorOfTheKeysIndex) {
  const TargetTable table = item_table();
  EXPECT_EQ(build_statement(table, {StatementKind::kUpdate, {1}}),
            "UPDATE ONLY \"public\".\"item\" AS t SET \"name\" = s.v2::text FROM unnest($1, $2) AS s(v1, v2) WHERE "
            "t.\"id\" OPERATOR(pg_catalog.=) s.v1::integer");
  EXPECT_EQ(build_statement(table, {StatementKind::kDelete, {}}),
            "DELETE FROM ONLY \"public\".\"item\" AS t USING unnest($1) AS s(v1) WHERE t.\"id\" OPERATOR(pg_catalog.=) "
            "s.v1::integer");
  EXPECT_EQ(
      build_statement(table, {StatementKind::kInsert, {0, 1}}),
      "INSERT INTO \"public\".\"item\" (\"id\", \"name\") OVERRIDING SYSTEM VALUE SELECT s.v1::integer, s.v2::text "
      "FROM unnest($1, $2) AS s(v1, v2)");
}

TEST(BuildStatement, TakesTheValuesOfARowThatTravelsAloneAsParameters) {
  const TargetTable table = item_table();
  const StatementShape shape{.kind = StatementKind::kUpdate, .columns = {1}, .alone = true};
  EXPECT_EQ(
      build_statement(table, shape),
      "UPDATE ONLY \"public\".\"item\" AS t SET \"name\" = s.v2::text FROM (SELECT $1 AS v1, $2 AS v2) AS s WHERE "
      "t.\"id\" OPERATOR(pg_catalog.=) s.v1::integer");
  EXPECT_EQ(parameter_types(table, shape), (std::vector<Oid>{kTextOid, kTextOid}));
}

TEST(GroupRows, FewRowsTravelAloneAndManyTogether) {
  const TargetTable table = item_table();
  Coalescer coalescer([](const TargetTable&) { return false; });
  std::vector<Bytes> changes = {upd("1", "a"), upd("2", "b")};
  for (int id = 10; id < 20; ++id) changes.push_back(ins(std::to_string(id).c_str(), "c"));
  const TransactionSlice slice = slice_of({}, {item_relation()}, changes);
  for (const Change& change : slice.changes) coalescer.add(table, change, {change.lsn});
  const auto groups = as_statements(group_rows(coalescer.epochs()[0].tables[0][0]));
  ASSERT_EQ(groups.size(), 3U);
  for (const std::size_t i : {0U, 1U}) {
    EXPECT_EQ(groups[i].rows.size(), 1U);
    EXPECT_TRUE(groups[i].shape.alone);
  }
  EXPECT_EQ(groups[2].rows.size(), 10U);
  EXPECT_FALSE(groups[2].shape.alone);
}

TEST(GroupRows, ManyBytesTravelInSeveralStatements) {
  const TargetTable table = item_table();
  const std::string wide(100'000, 'x');
  Coalescer coalescer([](const TargetTable&) { return false; });
  std::vector<Bytes> changes;
  for (int id = 10; id < 20; ++id) changes.push_back(ins(std::to_string(id).c_str(), wide.c_str()));
  const TransactionSlice slice = slice_of({}, {item_relation()}, changes);
  for (const Change& change : slice.changes) coalescer.add(table, change, {change.lsn});
  const auto groups = as_statements(group_rows(coalescer.epochs()[0].tables[0][0]));
  std::vector<std::size_t> rows;
  rows.reserve(groups.size());
  for (const RowGroup& group : groups) rows.push_back(group.rows.size());
  EXPECT_EQ(rows, (std::vector<std::size_t>{3, 3, 3, 1}));
}

}  // namespace
}  // namespace teal::test
