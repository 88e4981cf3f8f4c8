#include "tests/support/compare.h"

#include <set>

namespace teal::test {
namespace {

/// What the text of a value depends on.
constexpr const char* kPins =
    "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC';"
    "SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL xmloption = 'content';"
    "SET LOCAL client_encoding = 'UTF8'; SET LOCAL lc_monetary = 'C'; SET LOCAL row_security = off;"
    "SET LOCAL search_path = pg_catalog;";

/// A transaction with pinned settings that always ends in a rollback.
class PinnedTransaction {
 public:
  explicit PinnedTransaction(Sql& sql) : sql_(sql) {
    sql_.exec("BEGIN ISOLATION LEVEL REPEATABLE READ");
    sql_.exec(kPins);
  }
  PinnedTransaction(const PinnedTransaction&) = delete;
  PinnedTransaction& operator=(const PinnedTransaction&) = delete;
  ~PinnedTransaction() {
    try {
      sql_.exec("ROLLBACK");
    } catch (const SqlError&) {  // the session is gone, and its transaction with it
    }
  }

 private:
  Sql& sql_;
};

std::set<std::string> columns_of(Sql& sql, const std::string& table) {
  std::set<std::string> names;
  for (const SqlRow& row : sql.rows("SELECT attname FROM pg_attribute WHERE attrelid = " + sql_text(table) +
                                    "::regclass AND attnum > 0 AND NOT attisdropped")) {
    names.insert(*row.at(0));
  }
  return names;
}

std::string listed(const std::set<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += ", ";
    out += sql_name(name);
  }
  return out;
}

std::vector<std::string> first_ten(Sql& sql, const std::string& from, const std::string& without) {
  std::vector<std::string> out;
  for (SqlRow& row :
       sql.rows("SELECT r FROM (" + from + " EXCEPT ALL " + without + ") d GROUP BY r ORDER BY r LIMIT 10")) {
    out.push_back(row.at(0).value());
  }
  return out;
}

std::set<std::string> user_tables(Sql& sql) {
  std::set<std::string> names;
  for (const SqlRow& row : sql.rows("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n "
                                    "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
                                    "AND c.relpersistence <> 't' AND n.nspname NOT IN ('teal', 'information_schema') "
                                    "AND n.nspname NOT LIKE 'pg\\_%'")) {
    names.insert(*row.at(0));
  }
  return names;
}

}  // namespace

std::string TableDifference::describe() const {
  std::string text = table + (equal() ? " is the same on both sides" : " differs");
  if (!columns.empty()) text += "\n  columns: " + columns;
  for (const std::string& row : only_on_blue) text += "\n  only on blue:  " + row;
  for (const std::string& row : only_on_green) text += "\n  only on green: " + row;
  return text;
}

TableDifference compare_table(Sql& blue, Sql& green, const std::string& table) {
  TableDifference difference{table, {}, {}, ""};
  const std::set<std::string> columns = columns_of(blue, table);
  const std::set<std::string> green_columns = columns_of(green, table);
  if (columns != green_columns) {
    difference.columns = "blue has " + listed(columns) + "; green has " + listed(green_columns);
    return difference;
  }
  const PinnedTransaction on_blue(blue);
  const PinnedTransaction on_green(green);
  const std::string rows = "SELECT ROW(" + listed(columns) + ")::text AS r FROM " + table;
  green.exec("CREATE TEMPORARY TABLE teal_test_blue_rows (r text NOT NULL) ON COMMIT DROP");
  green.copy_in("COPY pg_temp.teal_test_blue_rows FROM STDIN", blue.copy_out("COPY (" + rows + ") TO STDOUT"));
  const std::string blue_rows = "SELECT r FROM pg_temp.teal_test_blue_rows";
  difference.only_on_blue = first_ten(green, blue_rows, rows);
  difference.only_on_green = first_ten(green, rows, blue_rows);
  return difference;
}

testing::AssertionResult tables_equal(Sql& blue, Sql& green, const std::string& table) {
  const TableDifference difference = compare_table(blue, green, table);
  if (difference.equal()) return testing::AssertionSuccess() << difference.describe();
  return testing::AssertionFailure() << difference.describe();
}

testing::AssertionResult all_tables_equal(Sql& blue, Sql& green) {
  const std::set<std::string> tables = user_tables(blue);
  const std::set<std::string> green_tables = user_tables(green);
  if (tables != green_tables) {
    std::string text = "not the same tables on both sides\n  blue: ";
    for (const std::string& table : tables) text += table + " ";
    text += "\n  green: ";
    for (const std::string& table : green_tables) text += table + " ";
    return testing::AssertionFailure() << text;
  }
  if (tables.empty()) return testing::AssertionFailure() << "there is no table to compare";
  std::string differences;
  for (const std::string& table : tables) {
    const TableDifference difference = compare_table(blue, green, table);
    if (!difference.equal()) differences += difference.describe() + "\n";
  }
  if (differences.empty()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << differences;
}

void expect_equal(Sql& blue, Sql& green, const std::string& table) { EXPECT_TRUE(tables_equal(blue, green, table)); }
void expect_all_equal(Sql& blue, Sql& green) { EXPECT_TRUE(all_tables_equal(blue, green)); }

}  // namespace teal::test
