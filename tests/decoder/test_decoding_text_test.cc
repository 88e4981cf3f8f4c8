// The judge has to be right: how the text of test_decoding is read, and that a difference is found and shown.
#include "tests/support/test_decoding_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace teal::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

DecodedColumn value(std::string name, std::string type, std::string text) {
  return {std::move(name), std::move(type), ColumnKind::kText, std::move(text)};
}

/// The rows of one transaction around `changes`.
std::vector<TestDecodingRow> rows_of(const std::vector<std::string>& changes) {
  std::vector<TestDecodingRow> rows{{Lsn{1}, "BEGIN 742"}};
  for (const std::string& change : changes) rows.push_back({Lsn{rows.size() + 1}, change});
  rows.push_back({Lsn{99}, "COMMIT 742 (at 2026-11-20 12:00:00.5+00)"});
  return rows;
}

DecodedChange change_of(const std::string& row) {
  const DecodedWal wal = parse_test_decoding(rows_of({row}));
  if (wal.size() != 1 || wal[0].changes.size() != 1) throw std::logic_error("not one change");
  return wal[0].changes[0];
}

TEST(TestDecodingText, ReadsATransaction) {
  const DecodedWal wal = parse_test_decoding(rows_of({"table public.item: DELETE: id[integer]:1", "message: ignored"}));
  ASSERT_EQ(wal.size(), 1U);
  EXPECT_EQ(wal[0].xid, Xid{742});
  EXPECT_EQ(wal[0].end_lsn, Lsn{99});
  EXPECT_EQ(wal[0].commit_time, "2026-11-20 12:00:00.500000+00");
  ASSERT_EQ(wal[0].changes.size(), 1U);
  EXPECT_EQ(wal[0].changes[0].lsn, Lsn{2});
  EXPECT_THAT(wal[0].changes[0].tables, ElementsAre(decoded_table("public", "item")));
  EXPECT_THAT(wal[0].changes[0].old_row, ElementsAre(value("id", "integer", "1")));
}

TEST(TestDecodingText, ReadsValuesOfEveryForm) {
  const DecodedChange change = change_of(
      "table public.t: INSERT: a[integer]:-1 b[text]:'it''s ''new-tuple: x[int]:1' c[boolean]:true d[boolean]:null "
      "e[bit varying]:B'101' f[numeric]:NaN g[text]:unchanged-toast-datum h[integer[]]:'{1,NULL}' i[text]:'' "
      "j[text]:'null' k[text]:'two\nlines' l[\"char\"]:'x' m[public.\"a]:b\"\"[\"]:'y'");
  EXPECT_EQ(change.op, "INSERT");
  EXPECT_THAT(
      change.new_row,
      ElementsAre(value("a", "integer", "-1"), value("b", "text", "it's 'new-tuple: x[int]:1"),
                  value("c", "boolean", "t"), DecodedColumn{"d", "boolean", ColumnKind::kNull, ""},
                  value("e", "bit varying", "101"), value("f", "numeric", "NaN"),
                  DecodedColumn{"g", "text", ColumnKind::kUnchangedToast, ""}, value("h", "integer[]", "{1,NULL}"),
                  value("i", "text", ""), value("j", "text", "null"), value("k", "text", "two\nlines"),
                  value("l", "\"char\"", "x"), value("m", "public.\"a]:b\"\"[\"", "y")));
}

TEST(TestDecodingText, ReadsOldAndNewRowsOfAnUpdate) {
  const DecodedChange both = change_of(
      "table \"S.x\".\"a \"\"b\"\"\": UPDATE: old-key: \"new-tuple:\"[text]:'old' new-tuple: "
      "\"new-tuple:\"[text]:'new'");
  EXPECT_THAT(both.tables, ElementsAre(decoded_table("S.x", "a \"b\"")));
  EXPECT_THAT(both.old_row, ElementsAre(value("new-tuple:", "text", "old")));
  EXPECT_THAT(both.new_row, ElementsAre(value("new-tuple:", "text", "new")));
  const DecodedChange bare = change_of("table public.t: UPDATE: a[integer]:1");
  EXPECT_TRUE(bare.old_row.empty());
  EXPECT_THAT(bare.new_row, ElementsAre(value("a", "integer", "1")));
}

TEST(TestDecodingText, ReadsTruncates) {
  const DecodedChange flags = change_of("table public.a, s.\"b, c\": TRUNCATE: restart_seqs cascade");
  EXPECT_THAT(flags.tables, ElementsAre(decoded_table("public", "a"), decoded_table("s", "b, c")));
  EXPECT_TRUE(flags.cascade);
  EXPECT_TRUE(flags.restart_identity);
  const DecodedChange none = change_of("table public.a: TRUNCATE: (no-flags)");
  EXPECT_FALSE(none.cascade);
  EXPECT_FALSE(none.restart_identity);
}

TEST(TestDecodingText, C9LeavesEmptyTransactionsOut) { EXPECT_TRUE(parse_test_decoding(rows_of({})).empty()); }

TEST(TestDecodingText, RefusesWhatItDoesNotKnow) {
  for (const char* row :
       {"something else", "table public.t: MERGE: a[integer]:1", "table public.t: INSERT: a[integer:1",
        "table public.t: INSERT: a[text]:'open", "table public.t: INSERT: a[boolean]:maybe",
        "table t: INSERT: ", "table public.t: INSERT: (no-tuple-data)", "table public.t: TRUNCATE: surprising",
        "table public.t: INSERT: a[integer]:1 new-tuple: a[integer]:1"}) {
    EXPECT_THROW((void)parse_test_decoding(rows_of({row})), std::runtime_error) << row;
  }
  EXPECT_THROW((void)parse_test_decoding({{Lsn{1}, "BEGIN 1"}, {Lsn{2}, "COMMIT 2 (at 2026-11-20 12:00:00+00)"}}),
               std::runtime_error);
  EXPECT_THROW((void)parse_test_decoding({{Lsn{1}, "BEGIN 1"}, {Lsn{2}, "COMMIT 1 (at 2026-11-20 12:00:00+09)"}}),
               std::runtime_error);
}

TEST(FirstDifference, IsEmptyForEqualsAndFindsEachKindOfChange) {
  const std::string row = "table public.t: UPDATE: old-key: a[integer]:1 new-tuple: a[integer]:2 b[text]:null";
  const DecodedWal wal = parse_test_decoding(rows_of({row, row}));
  EXPECT_EQ(first_difference(wal, wal, "a", "b"), "");
  EXPECT_THAT(first_difference(wal, {}, "a", "b"), HasSubstr("b: nothing more"));
  EXPECT_THAT(first_difference({}, wal, "a", "b"), HasSubstr("a: nothing more"));
  std::vector<DecodedWal> others(9, wal);
  others[0][0].changes.pop_back();
  others[1][0].changes[1].new_row[1].kind = ColumnKind::kUnchangedToast;
  others[2][0].changes[1].new_row[0].value = "3";
  others[3][0].changes[1].old_row.clear();
  others[4][0].changes[1].lsn = Lsn{7};
  others[5][0].changes[1].tables[0] = decoded_table("public", "u");
  others[6][0].xid = Xid{1};
  others[7][0].end_lsn = Lsn{7};
  others[8][0].commit_time = "";
  for (std::size_t i = 0; i < others.size(); ++i) {
    const std::string difference = first_difference(wal, others[i], "a", "b");
    EXPECT_THAT(difference, HasSubstr("transaction number 0")) << i;
    EXPECT_EQ(difference.find("change number 1") != std::string::npos, i < 6) << i;
  }
}

}  // namespace
}  // namespace teal::test
