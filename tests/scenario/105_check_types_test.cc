// Types that users define have to agree on both sides: `teal check` and `teal run` compare what they are made of, and
// name what differs with the statements that mend it (TRAPS D7, D9).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/scenario/check_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// One type, made differently on the two sides.
struct TypeDifference {
  std::string on_blue;
  std::string on_green;
  std::string column;  ///< the type of table t's column v
  std::string value;
  std::string says;
  std::string mend;
};

class CheckTypes : public CheckFixture {
 protected:
  void make(const std::string& on_blue, const std::string& on_green, const std::string& column,
            const std::string& on_green_column = "") {
    blue_owner().exec(on_blue + "; CREATE TABLE public.t (id int PRIMARY KEY, v " + column + ")");
    green_owner().exec(on_green + "; CREATE TABLE public.t (id int PRIMARY KEY, v " +
                       (on_green_column.empty() ? column : on_green_column) + ")");
    create_publication({"public.t"});
    configure("copy: { schema: false }\n");
  }
  void unmake() {
    blue().exec("DROP PUBLICATION IF EXISTS teal_shop_blue_to_green");
    for (Sql* side : {&blue(), &green()}) {
      side->exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION shop_owner");
    }
    run_roles_sql(blue_server());
    run_roles_sql(green_server());
  }
  void expect_carried(const std::string& value) {
    blue_owner().exec("INSERT INTO public.t VALUES (1, " + value + ")");
    const TealResult carried = run_until_synced();
    EXPECT_EQ(carried.exit_code, 0) << carried.err;
    expect_equal("public.t");
    EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1);  // the owner's publication is left
  }
  void expect_refused_until_mended(const TypeDifference& difference) {
    SCOPED_TRACE(difference.on_blue + " / " + difference.on_green);
    make(difference.on_blue, difference.on_green, difference.column);
    const nlohmann::json found = findings();
    ASSERT_EQ(found.size(), 1U) << found.dump(2);
    EXPECT_EQ(found[0].at("side"), "green");
    EXPECT_THAT(what(found[0]), HasSubstr(difference.says));
    EXPECT_THAT(what(found[0]), HasSubstr("(used by public.t.v)"));
    EXPECT_THAT(mend(found[0]), HasSubstr(difference.mend));
    expect_run_refuses(found);
    mend_all();
    expect_carried(difference.value);
    unmake();
  }
};

TEST_F(CheckTypes, D7EnumThatLacksALabelIsRefused) {
  for (const char* column : {"public.mood", "public.mood[]", "public.moods", "public.outer_row"}) {
    const std::string more =
        "; CREATE DOMAIN public.moods AS public.mood[]; CREATE TYPE public.outer_row AS (m public.moods)";
    const std::string text = std::string_view(column).ends_with("mood")  ? "'so so'"
                             : std::string_view(column).ends_with("row") ? "ROW('{so so}')"
                                                                         : "'{so so}'";
    expect_refused_until_mended(
        {"CREATE TYPE public.mood AS ENUM ('bad', 'so so', 'it''s fine', 'last')" + more,
         "CREATE TYPE public.mood AS ENUM ('so so')" + more, column, text,
         "the enum public.mood lacks 'bad', 'it''s fine', 'last' on green",
         "ADD VALUE 'bad' BEFORE 'so so'; ALTER TYPE \"public\".\"mood\" ADD VALUE 'it''s fine' "
         "AFTER 'so so'; ALTER TYPE \"public\".\"mood\" ADD VALUE 'last' AFTER 'it''s fine';"});
  }
}

TEST_F(CheckTypes, D7LabelsInAnotherOrderAreANoteAndLabelsOfGreenAloneAreNothing) {
  make("CREATE TYPE public.mood AS ENUM ('a', 'b', 'c')", "CREATE TYPE public.mood AS ENUM ('c', 'more', 'a', 'b')",
       "public.mood");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("the enum public.mood has its labels in another order on green"));
  expect_carried("'b'");
  unmake();
  make("CREATE TYPE public.mood AS ENUM ('a', 'b')", "CREATE TYPE public.mood AS ENUM ('a', 'more', 'b')",
       "public.mood");
  EXPECT_THAT(notes(), Not(HasSubstr("mood")));
}

TEST_F(CheckTypes, D7LabelsInAnotherOrderUnderARangeAreRefused) {
  const std::string range = "; CREATE TYPE public.span AS RANGE (SUBTYPE = public.mood)";
  expect_refused_until_mended({"CREATE TYPE public.mood AS ENUM ('a', 'b', 'c')" + range,
                               "CREATE TYPE public.mood AS ENUM ('c', 'a', 'b')" + range, "public.span", "'[a,c)'",
                               "the enum public.mood has its labels in another order on green",
                               "CREATE TYPE \"public\".\"mood\" AS ENUM ('a', 'b', 'c');"});
}

TEST_F(CheckTypes, D7DomainWhoseBaseDiffersIsRefused) {
  // numeric(10,1) would round what numeric(10,2) holds.
  expect_refused_until_mended(
      {"CREATE DOMAIN public.price AS numeric(10,2) CHECK (VALUE >= 0)",
       "CREATE DOMAIN public.price AS numeric(10,1) CHECK (VALUE >= 0)", "public.price", "0.12",
       "the type public.price is numeric(10,2) on blue and numeric(10,1) on green",
       "ALTER DOMAIN \"public\".\"price\" RENAME TO \"price_old\"; CREATE DOMAIN \"public\".\"price\""
       " AS numeric(10,2) CONSTRAINT \"price_check\" CHECK"});
  const std::string outer = "; CREATE DOMAIN public.outer_price AS public.price";
  expect_refused_until_mended({"CREATE DOMAIN public.price AS varchar(9)" + outer,
                               "CREATE DOMAIN public.price AS varchar(3)" + outer, "public.outer_price[]", "'{12345}'",
                               "the type public.price is character varying(9) on blue", "RENAME TO"});
}

TEST_F(CheckTypes, D7DomainThatIsWiderOnGreenIsLetThrough) {
  make("CREATE DOMAIN public.price AS numeric(10,2)", "CREATE DOMAIN public.price AS numeric(14,4)", "public.price");
  EXPECT_TRUE(findings().empty());
}

TEST_F(CheckTypes, D7DomainThatIsNotNullOnGreenOnlyIsRefused) {
  expect_refused_until_mended({"CREATE DOMAIN public.d AS int", "CREATE DOMAIN public.d AS int NOT NULL", "public.d",
                               "NULL", "the domain public.d is NOT NULL on green only",
                               "ALTER DOMAIN \"public\".\"d\" DROP NOT NULL;"});
}

TEST_F(CheckTypes, D7CheckThatOnlyGreensDomainHasIsANote) {
  make("CREATE DOMAIN public.d AS int CHECK (VALUE > 0)",
       "CREATE DOMAIN public.d AS int CHECK (VALUE > 0) CONSTRAINT even CHECK (VALUE % 2 = 0)", "public.d");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("the domain public.d has on green a check that blue's lacks or spells differently, "
                                 "even: CHECK"));
  EXPECT_THAT(notes(), HasSubstr("ALTER DOMAIN \"public\".\"d\" DROP CONSTRAINT \"even\";"));
  EXPECT_THAT(notes(), Not(HasSubstr("d_check")));
}

TEST_F(CheckTypes, D7CompositeWhoseAttributesDifferIsRefused) {
  // The text of a row goes by position: swapped names would swap the values.
  expect_refused_until_mended({"CREATE TYPE public.pair AS (a int, b int)", "CREATE TYPE public.pair AS (b int, a int)",
                               "public.pair", "ROW(1, 2)",
                               "the type public.pair is (a integer, b integer) on blue and (b integer, a integer) on "
                               "green",
                               "CREATE TYPE \"public\".\"pair\" AS (\"a\" integer, \"b\" integer);"});
  const std::string outer = "; CREATE TYPE public.outer_pair AS (p public.pair[], x int)";
  expect_refused_until_mended({"CREATE TYPE public.pair AS (a numeric(6,2), b text)" + outer,
                               "CREATE TYPE public.pair AS (a numeric(6,1), b text)" + outer, "public.outer_pair",
                               "ROW(ARRAY[ROW(1.25, 'x')::public.pair], 1)",
                               "the type public.pair is (a numeric(6,2), b text) on blue", "RENAME TO"});
}

TEST_F(CheckTypes, D7RangeThatIsOrderedOtherwiseIsRefused) {
  expect_refused_until_mended({"CREATE TYPE public.words AS RANGE (SUBTYPE = text, COLLATION = \"C\")",
                               "CREATE TYPE public.words AS RANGE (SUBTYPE = text, SUBTYPE_OPCLASS = text_pattern_ops, "
                               "COLLATION = \"C\")",
                               "public.words", "'[a,b)'", "the type public.words is a range of text",
                               "SUBTYPE_OPCLASS = pg_catalog.text_ops"});
}

TEST_F(CheckTypes, D7TypeThatGreenLacksIsNamedWithItsStatement) {
  make("CREATE TYPE public.mood AS ENUM ('a'); CREATE TYPE public.pair AS (m public.mood, n int)", "", "public.pair",
       "int");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 3U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("green has no type public.mood (used by public.t.v)"));
  EXPECT_THAT(what(found[1]), HasSubstr("green has no type public.pair (used by public.t.v)"));
  EXPECT_THAT(what(found[2]), HasSubstr("public.t.v is public.pair on blue and integer on green"));
  expect_run_refuses(found);
  green().exec(mend(found[0]) + mend(found[1]) + "ALTER TABLE public.t ALTER COLUMN v TYPE public.pair USING NULL");
  EXPECT_TRUE(findings().empty());
  expect_carried("ROW('a', 1)");
}

TEST_F(CheckTypes, D9ExtensionThatGreenLacksIsNamed) {
  blue().exec("CREATE EXTENSION hstore SCHEMA public");
  make("", "", "public.hstore", "int");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 2U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("green lacks the extension hstore with the type public.hstore"));
  EXPECT_EQ(mend(found[0]), "CREATE EXTENSION \"hstore\" SCHEMA \"public\";");
  expect_run_refuses(found);
}

/// Where teal makes green's tables, and with them their types.
class CheckBeforeRestore : public CheckTypes {};

TEST_F(CheckBeforeRestore, D9ExtensionsThatTheRestoreCouldNotMakeAreNamedBeforeIt) {
  blue().exec("CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION bloom SCHEMA public");  // bloom is not trusted
  blue_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, v public.hstore)");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.t"});
  configure("copy: { schema: true }\n");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("blue has the extension bloom, which teal's role may not create on green"));
  expect_run_refuses(found);
  mend_all();
  expect_carried("'a=>1'");
}

TEST_F(CheckBeforeRestore, D7TypeThatIsThereBeforeTheRestoreMakesItIsNamed) {
  blue_owner().exec("CREATE DOMAIN public.d AS int; CREATE TABLE public.t (id int PRIMARY KEY, v public.d)");
  green_owner().exec("CREATE DOMAIN public.d AS int");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.t"});
  configure("copy: { schema: true }\n");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("green has a type public.d already"));
  EXPECT_THAT(mend(found[0]), HasSubstr("DROP DOMAIN \"public\".\"d\";"));
  green().exec("DROP DOMAIN public.d");
  expect_carried("7");
}

TEST_F(CheckBeforeRestore, ProgramsWhoseOutputGreenCannotReadAreNamed) {
  create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY)");
  green_owner().exec("DROP TABLE public.t");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.t"});
  const std::filesystem::path programs = make_scratch_directory("programs");
  for (const char* name : {"pg_dump", "pg_restore"}) {
    write_file(programs / name, "#!/bin/sh\necho '" + std::string(name) + " (PostgreSQL) 17.5'\n");
    std::filesystem::permissions(programs / name, std::filesystem::perms(0755));
  }
  config_ = write_yaml("name: shop\nblue: " + blue_server().uri(kTealRole, kShopDatabase) + "\ngreen: " +
                       green_server().uri(kTealRole, kShopDatabase) + "\npg_bindir: " + programs.string() + "\n")
                .string();
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr((programs / "pg_restore").string() + " is version 17.5, and what it restores"));
  EXPECT_EQ(mend(found[0]), "set pg_bindir to the programs of PostgreSQL 15");
}

}  // namespace
}  // namespace teal::test
