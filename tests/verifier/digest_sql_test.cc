#include "verifier/digest_sql.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

ComparedTable table_with(std::vector<ComparedKey> key) {
  ComparedTable table;
  table.blue.name = {"public", "item"};
  table.green.name = {"public", "item"};
  table.columns = {"\"id\"", "\"v\""};
  table.key = std::move(key);
  return table;
}

TEST(DigestSql, K5TextKeysAreCutByTheirBytes) {
  const ComparedTable table = table_with({{"id", "text", KeyOrder::kBytes}});
  EXPECT_EQ(range_sql(table, {{{"a'b"}}, {{"c"}}}),
            " WHERE t.\"id\" COLLATE \"C\" >= 'a''b'::text AND t.\"id\" COLLATE \"C\" < 'c'::text");
}

TEST(DigestSql, K5KeysOfSeveralColumnsAreCutAsRows) {
  const ComparedTable table = table_with({{"a", "text", KeyOrder::kBytes}, {"b", "bigint", KeyOrder::kNatural}});
  EXPECT_EQ(range_sql(table, {{{"x", "7"}}, {}}),
            " WHERE ROW(t.\"a\" COLLATE \"C\", t.\"b\") >= ROW('x'::text, '7'::bigint)");
}

TEST(DigestSql, K5TypesThatEachSideDefinesForItselfAreCutByTheirText) {
  const ComparedTable table = table_with({{"id", "public.mood", KeyOrder::kText}});
  EXPECT_EQ(range_sql(table, {{}, {{"happy"}}}), " WHERE t.\"id\"::text COLLATE \"C\" < 'happy'::text");
}

TEST(DigestSql, OpenEndsLeaveNoRowOut) {
  EXPECT_EQ(range_sql(table_with({{"id", "integer", KeyOrder::kNatural}}), {}), "");
}

TEST(DigestSql, K3RowIsARecordsText) {
  EXPECT_EQ(row_image_sql(table_with({})), "ROW(t.\"id\", t.\"v\")::text COLLATE \"C\"");
}

TEST(DigestSql, TablesThatInheritAreTablesOfTheirOwn) {
  ComparedTable table = table_with({});
  table.green.partitioned = true;
  EXPECT_NE(digest_sql(table, ComparedOn::kBlue, {}, RowForm::kText).find("FROM ONLY \"public\".\"item\""),
            std::string::npos);
  EXPECT_EQ(digest_sql(table, ComparedOn::kGreen, {}, RowForm::kText).find("ONLY"), std::string::npos);
}

}  // namespace
}  // namespace teal
