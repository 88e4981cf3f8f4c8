#include "verifier/row_hash.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

ComparedTable table_of(const std::vector<std::pair<std::string, std::string>>& columns) {
  ComparedTable table;
  for (const auto& [name, type] : columns) {
    table.columns.push_back("\"" + name + "\"");
    table.values.emplace_back(type);
  }
  table.key.push_back({columns.front().first, columns.front().second});
  return table;
}

TEST(RowHash, ColumnsAreMixedInOneAfterTheOther) {
  const ComparedTable table = table_of({{"id", "integer"}, {"v", "text"}});
  EXPECT_EQ(row_hash_inputs_sql(table), "t.\"id\" AS c0, t.\"v\" AS c1");
  EXPECT_EQ(row_hash_sql(table, "7").find("coalesce(hashtextextended(s.c1 COLLATE \"C\", hashint4extended(s.c0, 7)), "),
            0U);
}

// Added, two of them would be one: 1 and 2 are 3, and so are 2 and 1.
TEST(RowHash, K3BetweenTwoBigintsSomethingIsMixed) {
  const ComparedTable table = table_of({{"id", "bigint"}, {"a", "bigint"}, {"v", "integer"}});
  EXPECT_EQ(
      row_hash_sql(table, "7")
          .find("coalesce(hashint4extended(0, (hashint4extended(s.c2, (7 # s.c0)) # s.c1)), hash_record_extended("),
      0U);
}

TEST(RowHash, K4KeyThatIsNotMixedInBeginsTheHash) {
  const ComparedTable table = table_of({{"at", "date"}, {"v", "integer"}});
  EXPECT_EQ(row_hash_inputs_sql(table),
            "t.\"v\" AS c1, ROW(t.\"at\", 0) AS fields, hash_record_extended(ROW(t.\"at\", 0), 1) AS seed");
  EXPECT_EQ(
      row_hash_sql(table, "7").find("hash_record_extended(s.fields, coalesce(hashint4extended(s.c1, (s.seed # 7)"), 0U);
}

TEST(RowHash, ValuesThatMayBeKeptApartAreReadOnce) {
  ComparedTable table = table_of({{"id", "integer"}, {"v", "text"}});
  table.long_rows = true;
  EXPECT_EQ(row_hash_inputs_sql(table), "t.\"id\" AS c0, ROW(t.\"v\" COLLATE \"C\", 0) AS fields");
}

TEST(RowHash, K6NestingEndsSomewhere) {
  std::vector<std::pair<std::string, std::string>> columns{{"id", "integer"}};
  for (int i = 0; i < 1'600; ++i) columns.emplace_back("c" + std::to_string(i), "integer");
  const std::string sql = row_hash_sql(table_of(columns), "7");
  EXPECT_EQ(sql.find("s.c40"), std::string::npos);
  EXPECT_NE(row_hash_inputs_sql(table_of(columns)).find("ROW(t.\"c"), std::string::npos);
}

}  // namespace
}  // namespace teal
