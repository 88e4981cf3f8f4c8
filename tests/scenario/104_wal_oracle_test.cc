// teal's decoder against test_decoding, the server's own, over the same WAL (TRAPS S24, M-c, W5, W7, C2, C3, C9).
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/pg_server.h"
#include "tests/support/random_seed.h"
#include "tests/support/random_workload.h"
#include "tests/support/wal_oracle.h"

namespace teal::test {
namespace {

class WalOracleTest : public testing::Test {
 protected:
  WalOracleTest()
      : server_({.settings = {"logical_decoding_work_mem=64kB"}, .major = blue_major()}), sql_(server_.connect()) {}

  /// Makes tables, then the oracle.
  WalOracle& watch(const std::string& tables) {
    sql_.exec(tables);
    return oracle_.emplace(sql_);
  }
  void expect_agreement() { EXPECT_TRUE(oracle_->agree()); }

  PgServer server_;
  Sql sql_;
  std::optional<WalOracle> oracle_;
};

/// A row as the decoded changes leave it: column -> text; NULL columns are not in it.
using Row = std::map<std::string, std::string>;

Row row_of(const std::vector<DecodedColumn>& columns) {
  Row row;
  for (const DecodedColumn& column : columns) {
    if (column.kind == ColumnKind::kText) row[column.name] = column.value;
  }
  return row;
}

/// Applies a decoded UPDATE to the row that it found: unchanged columns keep their values.
Row updated(const Row& before, const std::vector<DecodedColumn>& columns) {
  Row row = row_of(columns);
  for (const DecodedColumn& column : columns) {
    if (column.kind == ColumnKind::kUnchangedToast) row[column.name] = before.at(column.name);
  }
  return row;
}

/// A table's rows as SQL has them, in the same form.
std::multiset<Row> rows_on_server(Sql& sql, const std::string& table, const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) list += (list.empty() ? "" : ", ") + sql_name(column) + "::text";
  std::multiset<Row> rows;
  for (const SqlRow& values : sql.rows("SELECT " + list + " FROM " + table)) {
    Row row;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (values[i]) row[columns[i]] = *values[i];
    }
    rows.insert(std::move(row));
  }
  return rows;
}

TEST_F(WalOracleTest, S24RandomTransactionsAreDecodedAlike) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomWorkload workload(server_, "postgres", seed);
  oracle_.emplace(sql_);
  workload.run(3'000);
  expect_agreement();
  EXPECT_GT(oracle_->wal().size(), 100U);
  EXPECT_GT(oracle_->unchanged_columns(), 0U);
  EXPECT_GT(oracle_->old_images(OldTupleKind::kKey), 0U);
  EXPECT_GT(oracle_->old_images(OldTupleKind::kFull), 0U);
  EXPECT_GT(oracle_->old_images(OldTupleKind::kNone), 0U);
}

TEST_F(WalOracleTest, S24C1W5ToastChurnIsDecodedAlikeAndEveryHashFitsItsValue) {
  watch(
      "CREATE TABLE churn (id int PRIMARY KEY, a text, b text, c text, ha text, hb text, hc text); "
      "ALTER TABLE churn ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTENDED, ALTER c SET STORAGE MAIN");
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  // EXTERNAL, incompressible and compressible: stored out of line, the same, and in the row.
  const auto value = [&](char column) {
    const std::string salt = std::to_string(random() % 1000);
    if (column == 'c') return "repeat('" + salt + "', 2000)";
    return "(SELECT string_agg(md5(i || '" + salt + "'), '') FROM generate_series(1, 150) i)";
  };
  sql_.exec("INSERT INTO public.churn SELECT i, v, v, v, md5(v), md5(v), md5(v) FROM generate_series(1, 20) i, " +
            value('a') + " AS t (v)");
  for (int i = 0; i < 200; ++i) {
    const std::string id = std::to_string(1 + random() % 20);
    if (random() % 5 == 0) {
      sql_.exec("UPDATE public.churn SET id = -id WHERE abs(id) = " + id);
      continue;
    }
    const char column = static_cast<char>('a' + random() % 3);
    const std::string name(1, column);
    sql_.exec("UPDATE public.churn SET " + name + " = v, h" + name + " = md5(v) FROM (SELECT " + value(column) +
              " AS v) n WHERE abs(id) = " + id);
  }
  expect_agreement();
  EXPECT_GT(oracle_->unchanged_columns(), 100U);
  std::map<std::string, Row> rows;
  for (const DecodedTransaction& transaction : oracle_->wal()) {
    for (const DecodedChange& change : transaction.changes) {
      const Row row = row_of(change.new_row);
      const Row old_key = row_of(change.old_row);
      const std::string& key = old_key.contains("id") ? old_key.at("id") : row.at("id");
      const auto before = rows.extract(key);
      rows[row.at("id")] = change.op == "INSERT" ? row : updated(before.mapped(), change.new_row);
    }
  }
  std::multiset<Row> decoded;
  for (const auto& [id, row] : rows) {
    EXPECT_EQ(row.size(), 7U) << "a column of row " << id << " became NULL";
    decoded.insert(row);
  }
  EXPECT_EQ(decoded, rows_on_server(sql_, "public.churn", {"id", "a", "b", "c", "ha", "hb", "hc"}));
  EXPECT_EQ(sql_.number("SELECT count(*) FROM public.churn WHERE ha <> md5(a) OR hb <> md5(b) OR hc <> md5(c)"), 0);
}

TEST_F(WalOracleTest, S24E2W7MultisetUnderFullIdentityIsDecodedAlikeAndEveryCountFits) {
  watch("CREATE TABLE bag (x int, y text); ALTER TABLE bag REPLICA IDENTITY FULL");
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto any = [&](std::initializer_list<const char*> values) {
    return std::string(values.begin()[random() % values.size()]);
  };
  for (int i = 0; i < 150; ++i) {
    const std::string x = any({"NULL", "1", "2"});
    const std::string y = any({"NULL", "''", "'a'", "'NULL'"});
    const std::string where = " WHERE x IS NOT DISTINCT FROM " + x + " AND y IS NOT DISTINCT FROM " + y;
    switch (random() % 4) {
      case 0:
        sql_.exec("DELETE FROM public.bag WHERE ctid IN (SELECT ctid FROM public.bag" + where + " LIMIT 2)");
        break;
      case 1:
        sql_.exec("UPDATE public.bag SET x = " + any({"NULL", "1", "2"}) +
                  " WHERE ctid IN (SELECT ctid FROM public.bag" + where + " LIMIT 1)");
        break;
      default:
        sql_.exec("INSERT INTO public.bag SELECT " + x + ", " + y + " FROM generate_series(1, 2)");
    }
  }
  expect_agreement();
  std::multiset<Row> rows;
  for (const DecodedTransaction& transaction : oracle_->wal()) {
    for (const DecodedChange& change : transaction.changes) {
      if (change.op != "INSERT") {
        const auto one = rows.find(row_of(change.old_row));
        ASSERT_NE(one, rows.end()) << "a row that is not there was changed";
        rows.erase(one);
      }
      if (change.op != "DELETE") rows.insert(row_of(change.new_row));
    }
  }
  EXPECT_EQ(rows, rows_on_server(sql_, "public.bag", {"x", "y"}));
}

struct TypeValues {
  std::string type;
  std::vector<std::string> values;
  int since = 13;
};

std::vector<TypeValues> types() {
  return {{"boolean", {"true", "false"}},
          {"smallint", {"'-32768'", "32767"}},
          {"integer", {"'-2147483648'", "2147483647"}},
          {"bigint", {"'-9223372036854775808'", "9223372036854775807"}},
          {"real", {"'NaN'", "'-Infinity'", "1e-45", "'-0'", "0.1"}},
          {"double precision", {"'NaN'", "'Infinity'", "5e-324", "0.1 + 0.2"}},
          {"numeric", {"'NaN'", "0.00", "12345678901234567890.12345678901234567890", "repeat('9', 5000)::numeric"}},
          {"numeric(30,3)", {"1", "'-9999999.999'"}},
          {"numeric", {"'Infinity'"}, 14},
          {"money", {"'-92233720368547758.08'"}},
          {"oid", {"4294967295"}},
          {"xid", {"'4294967295'"}},
          {"pg_lsn", {"'FFFFFFFF/FFFFFFFF'"}},
          {"text",
           {"''", "'null'", "'unchanged-toast-datum'", R"(E'a\tb\nc\rd\\e''f"g{h}i,j[k]:l\x01\x7f\u00e9\U0001F600')"}},
          {"varchar(5)", {"'abc  '"}},
          {"char(5)", {"'ab'", "''"}},
          {"\"char\"", {"'x'", "''"}},
          {"name", {"'Some \"Name\"'"}},
          {"bytea",
           {"''", "(SELECT string_agg(set_byte('\\x00'::bytea, 0, i), '' ORDER BY i) FROM generate_series(0, 255) i)"}},
          {"json", {R"('{"a": [1, 2.50, null],  "b": "it''s"}')"}},
          {"jsonb", {R"('{"b": 1e400, "a": null}')"}},
          {"xml", {"'<a b=\"1\">x&amp;y</a>'"}},
          {"uuid", {"'ffffffff-ffff-ffff-ffff-ffffffffffff'"}},
          {"tsvector", {"'a:1A \"c d\" ''e'':16383'"}},
          {"bit(3)", {"B'101'"}},
          {"bit varying", {"B''", "B'1010101010101'"}},
          {"inet", {"'2001:db8::ff/64'"}},
          {"macaddr", {"'08:00:2b:01:02:03'"}},
          {"date", {"'4713-01-01 BC'", "'infinity'", "'2025-05-06'"}},
          {"time", {"'24:00'"}},
          {"timetz", {"'24:00-15:59:59'"}},
          {"timestamp(3)", {"'294276-12-31 23:59:59.999'"}},
          {"timestamptz", {"'-infinity'", "'2024-03-31 02:30:00 Europe/Berlin'"}},
          {"interval", {"'1 mon -1 day 00:00:00.000001'", "'-178000000 years'"}},
          {"point", {"'(NaN,Infinity)'"}},
          {"box", {"'(1,1),(0,0.1)'"}},
          {"int4range", {"'empty'", "'[1,5)'"}},
          {"int4multirange", {"'{[1,3),[7,9)}'"}, 14},
          {"regclass", {"'pg_class'", "0"}},
          {"regtype", {"'timestamp with time zone'"}},
          {"public.mood", {"'so so'", "'a,b{}\"'"}},
          {"public.positive", {"2147483647"}},
          {"public.yes", {"true"}},
          {"public.\"Odd ]:[ \"\"type\"", {R"(ROW(NULL, E'a"b\\c,(d)'''))"}}};
}

constexpr const char* kTypes = R"(CREATE TYPE public.mood AS ENUM ('so so', 'a,b{}"');
CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN public.yes AS boolean;
CREATE TYPE public."Odd ]:[ ""type" AS (n int, t text))";

TEST_F(WalOracleTest, S24EveryTypeIsDecodedAlike) {
  sql_.exec(kTypes);
  std::vector<TypeValues> known;
  for (TypeValues& type : types()) {
    if (type.since <= blue_major()) known.push_back(std::move(type));
  }
  std::string columns = "id int PRIMARY KEY";
  std::size_t rows = 0;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const std::string number = std::to_string(i);
    columns += ", v" + number + " " + known[i].type + ", a" + number + " " + known[i].type + "[]";
    rows = std::max(rows, known[i].values.size());
  }
  watch("CREATE TABLE types (" + columns +
        "); CREATE TABLE types_full (LIKE types); "
        "ALTER TABLE types_full REPLICA IDENTITY FULL");
  for (const std::string table : {"public.types", "public.types_full"}) {
    sql_.exec("INSERT INTO " + table + " (id) VALUES (-1)");
    for (std::size_t row = 0; row < rows; ++row) {
      std::string values = std::to_string(row);
      for (const TypeValues& type : known) {
        const std::string value = "(" + type.values[row % type.values.size()] + ")::" + type.type;
        values += ", " + value + ", ARRAY[" + value + ", NULL]::" + type.type + "[]";
      }
      sql_.exec("INSERT INTO " + table + " VALUES (" + values + ")");
    }
    sql_.exec("UPDATE " + table + " SET id = id + 100; DELETE FROM " + table);
  }
  expect_agreement();
}

TEST_F(WalOracleTest, C2C3ToastedKeyThatStaysIsInTheOldKeyAndUnchangedInTheNewRow) {
  watch("CREATE TABLE t (k text PRIMARY KEY, n int, o text); ALTER TABLE t ALTER k SET STORAGE EXTERNAL");
  sql_.exec("INSERT INTO public.t VALUES (repeat('k', 2500), 1, NULL); UPDATE public.t SET n = 2");
  expect_agreement();
  const DecodedChange& update = oracle_->wal().at(0).changes.at(1);
  ASSERT_EQ(update.old_row.size(), 1U) << "columns outside the key are not sent, which is not NULL";
  EXPECT_EQ(update.old_row[0].value, std::string(2500, 'k'));
  EXPECT_EQ(update.new_row.at(0).kind, ColumnKind::kUnchangedToast);
  EXPECT_EQ(update.new_row.at(2).kind, ColumnKind::kNull);
}

// Nothing may depend on whether a transaction without changes is sent at all.
TEST_F(WalOracleTest, C9EmptyTransactionsComeUpTo14AndMakeNoDifference) {
  watch("CREATE TABLE t (id int PRIMARY KEY)");
  sql_.exec("CREATE TABLE public.made_only (id int)");
  sql_.exec("INSERT INTO public.t VALUES (1)");
  sql_.exec("DROP TABLE public.made_only");
  expect_agreement();
  EXPECT_EQ(oracle_->wal().size(), 1U);
  if (blue_major() <= 14) {
    EXPECT_GT(oracle_->empty_transactions(), 0U);
  } else {
    EXPECT_EQ(oracle_->empty_transactions(), 0U);
  }
}

}  // namespace
}  // namespace teal::test
