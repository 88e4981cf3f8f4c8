// Values whose meaning depends on more than their text: they arrive as they are, or `teal check` says what will not
// (TRAPS D10 to D13).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "tests/scenario/check_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Servers that know two more locales: ja_JP.UTF-8, whose currency has no fractions, and de_DE.UTF-8.
class Money : public CheckFixture {
 protected:
  void SetUp() override {
    locales_ = make_scratch_directory("locales");
    for (const std::string name : {"ja_JP", "de_DE"}) {
      SpawnOptions localedef;
      localedef.argv = {"/usr/bin/localedef", "-i", name, "-f", "UTF-8", (locales_ / (name + ".UTF-8")).string()};
      localedef.stdout_path = localedef.stderr_path = locales_ / "said";
      if (run_program(localedef, std::chrono::seconds(60)) != 0) throw std::runtime_error(read_file(locales_ / "said"));
    }
    CheckFixture::SetUp();
    create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY, v money, a money[])");
    create_publication({"public.t"});
    configure("copy: { schema: false }\n");
  }
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.environment = {"LOCPATH=" + locales_.string()}};
  }
  [[nodiscard]] PgServerOptions green_options() const override { return blue_options(); }

  static void use(Sql& sql, const std::string& locale) {
    sql.exec("ALTER DATABASE shop SET lc_monetary = " + sql_text(locale));
  }
  // The sessions of the tests' own start after that.
  void expect_the_stored_numbers_arrive() {
    Sql app = blue_server().connect(kOwnerRole, kShopDatabase);
    app.exec(
        "INSERT INTO t SELECT i, (i * 1234567)::bigint::money, ARRAY[i::bigint::money, NULL] "
        "FROM generate_series(-5, 5) i");
    TealProcess& teal = run_streaming();
    app.exec(
        "INSERT INTO t SELECT i + 100, (i * 1234567)::bigint::money, ARRAY[i::bigint::money] "
        "FROM generate_series(-5, 5) i; UPDATE t SET v = v * 3 WHERE id IN (1, 101); UPDATE t SET a = a || v "
        "WHERE id IN (2, 102); SET lc_monetary = 'C'; INSERT INTO t VALUES (1000, '92233720368547758.07'), "
        "(1001, '-92233720368547758.08')");
    wait_caught_up();
    for (Sql* sql : {&blue(), &green()}) sql->exec("SET lc_monetary = 'C'");
    EXPECT_EQ(green().number("SELECT count(*) FROM t"), 24);
    expect_equal("public.t");
    EXPECT_EQ(teal.terminate(), 0) << teal.err();
  }

 private:
  std::filesystem::path locales_;
};

TEST_F(Money, D10StoredNumbersArriveUnderCurrenciesThatDifferAndCheckSaysThatTheyDo) {
  use(blue(), "ja_JP.UTF-8");
  use(green(), "de_DE.UTF-8");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("blue writes money as ￥-1,234,567 ￥2 and green as -1.234.567,00 € 1,50 €"));
  EXPECT_THAT(notes(), HasSubstr("the stored numbers of public.t.v, public.t.a arrive as they are"));
  EXPECT_THAT(notes(), HasSubstr("ALTER DATABASE \"shop\" SET lc_monetary = 'ja_JP.UTF-8';"));
  expect_the_stored_numbers_arrive();
}

TEST_F(Money, D10DefaultOfAColumnKeepsItsNumberToo) {
  use(blue(), "ja_JP.UTF-8");
  use(green(), "de_DE.UTF-8");
  blue_server().connect(kOwnerRole, kShopDatabase).exec("ALTER TABLE t ALTER COLUMN v SET DEFAULT '1234'");
  green_owner().exec("DROP TABLE t");
  run_roles_sql(green_server(), {"make_tables=on"});
  configure("");
  const TealResult result = run_until_synced();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (Sql* sql : {&blue(), &green()}) {
    sql->exec("INSERT INTO t (id) VALUES (1); SET lc_monetary = 'C'");
    EXPECT_EQ(sql->value("SELECT v FROM t"), "$12.34");
  }
}

TEST_F(Money, D10OneCurrencyIsNoNote) {
  use(blue(), "ja_JP.UTF-8");
  use(green(), "ja_JP.UTF-8");
  EXPECT_THAT(notes(), Not(HasSubstr("money")));
  expect_the_stored_numbers_arrive();
}

/// One table with a column v: values that name objects of the database, and others.
class SingleColumn : public CheckFixture {
 protected:
  void prepare(const std::string& column) {
    create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY, v " + column + ")");
    create_publication({"public.t"});
    configure("copy: { schema: false }\ntables: { include: [public.t] }\n");
  }
};

TEST_F(SingleColumn, D11RegclassFollowsTheNameToAnotherOid) {
  prepare("regclass");
  green_owner().exec("CREATE TABLE public.padding (id int); CREATE TABLE public.\"Other table\" (id int)");
  blue_owner().exec("CREATE TABLE public.\"Other table\" (id int)");
  blue_owner().exec("INSERT INTO t VALUES (1, 'public.\"Other table\"')");
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (2, 'public.\"Other table\"'), (3, 0)");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM t WHERE v = 'public.\"Other table\"'::regclass"), 2);
  EXPECT_NE(green().value("SELECT v::oid FROM t WHERE id = 1"), blue().value("SELECT v::oid FROM t WHERE id = 1"));
}

TEST_F(SingleColumn, D11MissingObjectStopsTheLinkUntilItIsThere) {
  prepare("regclass");
  blue_owner().exec("CREATE TABLE public.later (id int)");
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1, 0), (2, 'public.later'), (3, 0)");
  EXPECT_EQ(teal.wait_exit(std::chrono::seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("INSERT on public.t key (\"id\")=(2)"));
  EXPECT_THAT(teal.err(), HasSubstr("relation \"public.later\" does not exist"));
  EXPECT_EQ(green().number("SELECT count(*) FROM t"), 0);
  green_owner().exec("CREATE TABLE public.later (id int)");
  run_streaming();
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(SingleColumn, D11CheckNamesTheColumns) {
  for (const char* type : {"regclass", "regproc[]", "public.of_types"}) {
    create_tables_both("CREATE DOMAIN public.of_types AS regtype");
    prepare(type);
    EXPECT_TRUE(findings().empty());
    EXPECT_THAT(notes(), HasSubstr("public.t.v hold names of objects (regclass and the like)"));
    create_tables_both("DROP TABLE public.t; DROP DOMAIN public.of_types");
    blue_owner().exec("DROP PUBLICATION teal_shop_blue_to_green");
  }
  prepare("oid");
  EXPECT_THAT(notes(), Not(HasSubstr("hold names")));
}

TEST_F(SingleColumn, NullsThatGreenWouldRefuseAreANote) {
  prepare("int");
  EXPECT_THAT(notes(), Not(HasSubstr("NULL")));
  green_owner().exec("ALTER TABLE public.t ALTER COLUMN v SET NOT NULL");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("public.t.v may be NULL on blue and is NOT NULL on green"));
  EXPECT_THAT(notes(), HasSubstr("ALTER TABLE \"public\".\"t\" ALTER COLUMN \"v\" DROP NOT NULL;"));
}

TEST_F(SingleColumn, D13LargeObjectsAreCountedAndTheColumnsThatMayPointToThemNamed) {
  prepare("oid");
  EXPECT_THAT(notes(), Not(HasSubstr("large object")));
  blue_owner().exec("INSERT INTO t VALUES (1, lo_from_bytea(0, 'one')), (2, lo_from_bytea(0, 'two')), (3, 4294967295)");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(),
              HasSubstr("blue has 2 large object(s), which are not carried; the columns that may point to them "
                        "are public.t.v"));
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.t");
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_largeobject_metadata"), 0);
}

/// Keys that a double cannot tell from their neighbours.
class BigKeys : public CheckFixture {
 protected:
  static constexpr const char* kKey = "9007199254740993";        // 2^53 + 1
  static constexpr const char* kNeighbour = "9007199254740992";  // what a double makes of it
  void SetUp() override {
    CheckFixture::SetUp();
    create_tables_both(
        "CREATE TABLE public.t (id bigint PRIMARY KEY, v text); "
        "CREATE TABLE public.n (id numeric, v text, PRIMARY KEY (id))");
    create_publication({"public.t", "public.n"});
    configure("copy: { schema: false }\n");
  }
};

TEST_F(BigKeys, D12AreToldApartByCopyAndStream) {
  const auto keys = [](const std::string& table) {
    return "INSERT INTO " + table +
           " SELECT k, 'copied' FROM unnest('{9007199254740992,9007199254740993,"
           "9007199254740994,9223372036854775806,9223372036854775807,-9223372036854775808}'::bigint[]) k";
  };
  blue_owner().exec(keys("t") + "; " + keys("n"));
  blue_owner().exec(
      "INSERT INTO n VALUES ('123456789012345678901234567890.000000001', 'a'), "
      "('123456789012345678901234567890.000000002', 'b')");
  run_streaming();
  for (const std::string table : {"t", "n"}) {
    blue_owner().exec("UPDATE " + table +
                      " SET v = 'changed' WHERE id IN (9007199254740993, 9223372036854775806); "
                      "DELETE FROM " +
                      table +
                      " WHERE id = 9007199254740992; "
                      "UPDATE " +
                      table + " SET id = id - 4 WHERE id = 9223372036854775807");
  }
  blue_owner().exec("DELETE FROM n WHERE id = '123456789012345678901234567890.000000001'");
  wait_caught_up();
  expect_equal("public.t");
  expect_equal("public.n");
  EXPECT_EQ(green().number("SELECT count(*) FROM t WHERE v = 'changed'"), 2);
}

TEST_F(BigKeys, D12AreWrittenInFullWhereTealNamesThem) {
  for (const std::string table : {"t", "n"}) {
    for (const char* key : {kKey, kNeighbour}) blue_owner().exec("INSERT INTO " + table + " VALUES (" + key + ")");
  }
  run_streaming();
  wait_caught_up();
  teal_->terminate();
  for (const std::string table : {"t", "n"}) {
    for (const std::string format : {"text", "json"}) {
      green().exec("DELETE FROM " + table + " WHERE id = " + kKey);
      blue_owner().exec("UPDATE " + table + " SET v = '" + format + "' WHERE id = " + kKey);
      const TealResult stopped = run_teal({"--config", config_, "--log-format", format, "run"});
      EXPECT_EQ(stopped.exit_code, 5) << stopped.err;
      EXPECT_THAT(stopped.err, HasSubstr("public." + table));
      EXPECT_THAT(stopped.err, HasSubstr(format == "text" ? "(\"id\")=(9007199254740993)" : "=(9007199254740993)"));
      EXPECT_THAT(stopped.err, Not(HasSubstr(kNeighbour)));
      green().exec("INSERT INTO " + table + " VALUES (" + kKey + ")");
      EXPECT_EQ(run_until_synced().exit_code, 0);
    }
  }
  expect_equal("public.t");
  expect_equal("public.n");
}

}  // namespace
}  // namespace teal::test
