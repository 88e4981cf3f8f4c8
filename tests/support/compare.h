#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/sql.h"

namespace teal::test {

/// How one table differs. Rows are shown as the text of a composite value, `(1,,"a b")`: NULL is empty, '' is `""`.
/// A row that is there twice on one side and once on the other is listed once.
struct TableDifference {
  std::string table;
  std::vector<std::string> only_on_blue;   ///< the first ten
  std::vector<std::string> only_on_green;  ///< the first ten
  std::string columns;                     ///< "" or how the sets of columns differ; then no rows were compared

  [[nodiscard]] bool equal() const { return only_on_blue.empty() && only_on_green.empty() && columns.empty(); }
  [[nodiscard]] std::string describe() const;
};

/// Compares a table's rows on two servers with EXCEPT ALL both ways, over their text with the same settings on both.
/// Columns go by name. `table` is written as in SQL: `public."Odd name"`. Needs sessions outside a transaction and,
/// on green, the right to make a temporary table: use superusers, whom row security does not filter either.
[[nodiscard]] TableDifference compare_table(Sql& blue, Sql& green, const std::string& table);

/// The same, as something to put into EXPECT_TRUE.
[[nodiscard]] testing::AssertionResult tables_equal(Sql& blue, Sql& green, const std::string& table);

/// All ordinary and partitioned tables outside the system's schemas and outside schema teal. A table that is on one
/// side only is a difference, and so is that there is none at all.
[[nodiscard]] testing::AssertionResult all_tables_equal(Sql& blue, Sql& green);

/// Fails the test when they differ, and goes on.
void expect_equal(Sql& blue, Sql& green, const std::string& table);
void expect_all_equal(Sql& blue, Sql& green);

}  // namespace teal::test
