// What is published and how: tables that are left out keep working on blue, and a publication that holds something back
// is refused before the copy, with the statement that mends it (TRAPS E8, H7, H8).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/check_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Published : public CheckFixture {
 protected:
  static constexpr const char* kPublication = "teal_shop_blue_to_green";

  void expect_mended(const std::string& says, const std::string& mends) {
    const nlohmann::json found = findings();
    ASSERT_EQ(found.size(), 1U) << found.dump(2);
    EXPECT_THAT(what(found[0]), HasSubstr(says));
    EXPECT_THAT(mend(found[0]), HasSubstr(mends));
    expect_run_refuses(found);
    const std::string sql = mend(found[0]);
    blue_owner().exec(sql.substr(sql.find("ALTER PUBLICATION")));
    EXPECT_TRUE(findings().empty());
  }
};

TEST_F(Published, H7UnloggedAndTemporaryTablesAreLeftOutAndBlueMayChangeThem) {
  create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  configure("copy: { schema: false }\n");
  blue_owner().exec("CREATE UNLOGGED TABLE public.u (v int); CREATE TEMPORARY TABLE x (v int)");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("public.u is an unlogged table: not replicated"));
  TealProcess& teal = run_streaming();
  for (const std::string table : {"public.u", "x"}) {
    blue_owner().exec("INSERT INTO " + table + " VALUES (1), (2); UPDATE " + table + " SET v = v + 1; DELETE FROM " +
                      table + " WHERE v = 2; TRUNCATE " + table);
  }
  blue_owner().exec("INSERT INTO t VALUES (1)");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Published, H8RowFiltersAndColumnListsAreRefusedUntilTheyAreGone) {
  create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY, v int); CREATE TABLE public.u (id int PRIMARY KEY)");
  configure("copy: { schema: false }\n");
  for (const std::string limit : {" WHERE (id > 5)", " (id)"}) {
    blue_owner().exec("CREATE PUBLICATION " + std::string(kPublication) + " FOR TABLE public.t" + limit + ", public.u");
    expect_mended("has row filters or column lists on public.t",
                  "ALTER PUBLICATION \"teal_shop_blue_to_green\" SET TABLE \"public\".\"t\", \"public\".\"u\";");
    blue_owner().exec("DROP PUBLICATION " + std::string(kPublication));
  }
}

TEST_F(Published, H8OperationsThatAreHeldBackAreRefusedUntilTheyArePublished) {
  create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY, v int)");
  configure("copy: { schema: false }\n");
  blue_owner().exec("CREATE PUBLICATION " + std::string(kPublication) +
                    " FOR TABLE public.t WITH (publish = 'insert, update', publish_via_partition_root = true)");
  expect_mended("needs other options",
                "SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = "
                "false);");
}

/// Generated columns of every kind that the versions of the two sides have. The name makes it run on other versions
/// too.
class GeneratedTypes : public Published {
 protected:
  // From 18 on also virtual ones, which are then those without a word.
  static std::string table(int major) {
    return "CREATE TABLE public.t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED, w text" +
           std::string(major >= 18 ? ", x int GENERATED ALWAYS AS (v * 3) VIRTUAL"
                                   : ", x int GENERATED ALWAYS AS (v * 3) STORED") +
           ")";
  }
  void make(const std::string& options = "") {
    blue_owner().exec(table(blue_major()));
    green_owner().exec(table(green_major()));
    blue_owner().exec("CREATE PUBLICATION " + std::string(kPublication) + " FOR TABLE public.t" + options);
    configure("copy: { schema: false }\n");
  }
};

TEST_F(GeneratedTypes, E8ColumnsOfBothKindsAreComputedByGreen) {
  make();
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), Not(HasSubstr("is generated as")));
  blue_owner().exec("INSERT INTO t (id, v, w) VALUES (1, 1, 'a'), (2, NULL, 'b')");
  TealProcess& teal = run_streaming();
  blue_owner().exec(
      "INSERT INTO t (id, v, w) VALUES (3, 5, 'c'); UPDATE t SET v = 7 WHERE id = 2; "
      "UPDATE t SET id = 10, w = 'd' WHERE id = 1; DELETE FROM t WHERE id = 3; "
      "INSERT INTO t (id, v) VALUES (3, 6)");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_EQ(green().value("SELECT string_agg(concat_ws(',', id, g, x), ' ' ORDER BY id) FROM t"),
            "2,14,21 3,12,18 10,2,3");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(GeneratedTypes, E8ExpressionsThatDifferAreANote) {
  make();
  green_owner().exec("ALTER TABLE public.t DROP COLUMN g, ADD COLUMN g int GENERATED ALWAYS AS (v * 20) STORED");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("public.t.g is generated as (v * 2) on blue and as (v * 20) on green"));
}

TEST_F(GeneratedTypes, E8PlainColumnOnBlueThatGreenComputesIsRefusedUntilItDoesNot) {
  blue_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, v int, g int, w text, x int)");
  green_owner().exec(table(green_major()));
  blue_owner().exec("CREATE PUBLICATION " + std::string(kPublication) + " FOR TABLE public.t");
  configure("copy: { schema: false }\n");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 2U) << found.dump(2);
  for (const nlohmann::json& finding : found) {
    EXPECT_THAT(what(finding), HasSubstr("is a plain column on blue and generated on green"));
  }
  expect_run_refuses(found);
  mend_all();
  blue_owner().exec("INSERT INTO public.t VALUES (1, 2, 3, 'w', 4)");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.t");
}

TEST_F(GeneratedTypes, E8GeneratedColumnOnBlueThatIsPlainOnGreenIsRefused) {
  blue_owner().exec(table(blue_major()));
  green_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, v int, g int, w text, x int)");
  blue_owner().exec("CREATE PUBLICATION " + std::string(kPublication) + " FOR TABLE public.t");
  configure("copy: { schema: false }\n");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 2U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("public.t.g is generated on blue and a plain column on green"));
  EXPECT_THAT(mend(found[0]), HasSubstr("ADD COLUMN \"g\" integer GENERATED ALWAYS AS ((v * 2)) STORED"));
  expect_run_refuses(found);
  mend_all();
}

// Only from 18 on can they be published; before, the option itself is refused by blue.
TEST_F(GeneratedTypes, E8PublishedOnesAreRefusedUntilTheyAreNot) {
  if (blue_major() < 18) {
    make();
    EXPECT_EQ(
        blue_owner().sqlstate_of("ALTER PUBLICATION teal_shop_blue_to_green SET (publish_generated_columns = stored)"),
        "42601");
    EXPECT_TRUE(findings().empty());
    return;
  }
  make(" WITH (publish_generated_columns = stored)");
  expect_mended("needs other options: publish_generated_columns = none",
                "ALTER PUBLICATION \"teal_shop_blue_to_green\" SET (publish_generated_columns = none);");
}

}  // namespace
}  // namespace teal::test
