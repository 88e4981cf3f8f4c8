// Columns that came with a default: the values that older rows have on blue are in no log. What `check` says to do
// gives them to green, and it names rows that lack them (TRAPS E10, H3, H4).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/check_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class AddedColumns : public CheckFixture {
 protected:
  /// Table t with three rows on both sides, streaming.
  void start_with(const std::string& columns, const std::string& more = "") {
    start("CREATE TABLE t (" + columns + ")" + more, {"public.t"});
    blue_owner().exec("INSERT INTO t SELECT i FROM generate_series(1, 3) i");
    wait_caught_up();
  }
  /// Blue goes first; the link stops at the first change.
  void stop_at(const std::string& blue_sql) {
    blue_owner().exec(blue_sql);
    EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  }
  /// Green goes first, then blue; the link goes on.
  void add_on_both(const std::string& green_sql, const std::string& blue_sql) {
    green_owner().exec(green_sql);
    blue_owner().exec(blue_sql);
    wait_caught_up();
  }
  /// Does what follows `before` in a note, as the owner on that side. One of the notes has to have it.
  void do_what_notes_say(Sql& side, const std::string& before) {
    const std::string all = notes();
    const std::size_t at = all.find(before);
    ASSERT_NE(at, std::string::npos) << all;
    side.exec(all.substr(at + before.size(), all.find('\n', at) - at - before.size()));
  }
};

constexpr const char* kPlain = "id int PRIMARY KEY, v int";

TEST_F(AddedColumns, H3MendGivesGreensOldRowsTheConstantDefault) {
  start_with(kPlain);
  stop_at(
      "ALTER TABLE t ADD COLUMN a text NOT NULL DEFAULT 'it''s', ADD COLUMN b int[] DEFAULT '{1,NULL}', "
      "ADD COLUMN c timestamptz NOT NULL DEFAULT now(), ADD COLUMN d box DEFAULT '(1,1),(0,0)', "
      "ADD COLUMN e text DEFAULT '', ADD COLUMN f char(3) DEFAULT 'x', ADD COLUMN g int; UPDATE t SET v = 1 WHERE id = "
      "1");
  EXPECT_THAT(notes(), HasSubstr("the tables on green belong to shop_owner: what alters them is run as their owner"));
  mend_all();
  EXPECT_THAT(notes(), Not(HasSubstr("belong to")));
  EXPECT_EQ(green().number("SELECT count(*) FROM t WHERE a = 'it''s' AND e = ''"), 3);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.t'::regclass AND attnotnull AND "
                           "attname IN ('a', 'c')"),
            2);
  run_streaming();
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_THAT(notes(), HasSubstr("public.t.c has the default now() on blue and the default '20"));
  do_what_notes_say(green_owner(), "once the link has no lag: ");
  EXPECT_THAT(notes(), Not(HasSubstr("public.t.c")));
}

TEST_F(AddedColumns, H3MendGivesGreensPartitionsTheConstantDefault) {
  start(
      "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); "
      "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
      "CREATE TABLE t (id int PRIMARY KEY, v int)", {"public.t"});
  blue_owner().exec("INSERT INTO t SELECT i FROM generate_series(1, 3) i");
  wait_caught_up();
  stop_at("ALTER TABLE t ADD COLUMN a text NOT NULL DEFAULT 'z'; UPDATE t SET v = 1 WHERE id = 1");
  mend_all();
  run_streaming();
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(AddedColumns, H4VolatileDefaultIsNotedWithTheUpdateThatSendsItsValues) {
  start_with(kPlain);
  stop_at("ALTER TABLE t ADD COLUMN a uuid NOT NULL DEFAULT gen_random_uuid(); UPDATE t SET v = 1 WHERE id = 1");
  const std::string said = notes();
  EXPECT_THAT(said, HasSubstr("public.t.a may have values on blue, in rows from before it was added"));
  mend_all();
  run_streaming();
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM t WHERE a IS NULL"), 2);
  const std::string before = "on blue, as shop_owner: ";
  const std::size_t at = said.find(before) + before.size();
  blue_owner().exec(said.substr(at, said.find('\n', at) - at));
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_THAT(notes(), HasSubstr("public.t.a has the default gen_random_uuid() on blue and no default on green"));
  EXPECT_THAT(notes(), HasSubstr("public.t.a is NOT NULL on blue and may be NULL on green"));
}

TEST_F(AddedColumns, H3RowsOfGreenThatLackTheDefaultAreFoundAndMended) {
  start_with(kPlain);
  add_on_both("ALTER TABLE public.t ADD COLUMN a text",
              "ALTER TABLE t ADD COLUMN a text NOT NULL DEFAULT 'z'; INSERT INTO t VALUES (4, 4, 'own')");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(
      what(found[0]),
      HasSubstr("public.t.a was added on blue with the default 'z', which is not sent, and has NULLs on green"));
  mend_all();
  expect_equal("public.t");
  EXPECT_TRUE(teal_->running());
}

TEST_F(AddedColumns, H3NullsThatTheApplicationMayHaveWrittenAreANote) {
  start_with(kPlain);
  add_on_both("ALTER TABLE public.t ADD COLUMN a text",
              "ALTER TABLE t ADD COLUMN a text DEFAULT 'z'; INSERT INTO t VALUES (4, 4, NULL)");
  EXPECT_THAT(notes(), HasSubstr("public.t.a was added on blue with the default 'z', which is not sent, and rows of "
                                 "green have NULL in it"));
  do_what_notes_say(blue_owner(), "if blue's have not, once the link has no lag: on blue, as shop_owner: ");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(AddedColumns, H3AnotherDefaultOnGreenIsANote) {
  start_with(kPlain);
  add_on_both("ALTER TABLE public.t ADD COLUMN a text DEFAULT 'y'", "ALTER TABLE t ADD COLUMN a text DEFAULT 'z'");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("public.t.a was added on blue with the default 'z', which is not sent, and rows of "
                                 "green have 'y' in it"));
  EXPECT_THAT(notes(), HasSubstr("public.t.a has the default 'z'::text on blue and the default 'y'::text on green"));
  do_what_notes_say(blue_owner(), "if blue's have not, once the link has no lag: on blue, as shop_owner: ");
  wait_caught_up();
  expect_equal("public.t");
}

// What the copy brings are values like any other, whatever the catalogs say.
TEST_F(AddedColumns, ColumnsThatWereThereAtTheCopyAreNoFinding) {
  const std::string table = "CREATE TABLE public.t (id int PRIMARY KEY, v int);";
  blue_owner().exec("SET search_path = public; " + table +
                    "INSERT INTO t SELECT i FROM generate_series(1, 3) i; "
                    "ALTER TABLE t ADD COLUMN a text NOT NULL DEFAULT 'z'");
  green_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, v int, a text NOT NULL DEFAULT 'z')");
  create_publication({"public.t"});
  configure("copy: { schema: false }\n");
  EXPECT_THAT(notes(), Not(HasSubstr("public.t.a")));
  run_streaming();
  wait_caught_up();
  EXPECT_THAT(notes(), Not(HasSubstr("public.t.a")));
  EXPECT_TRUE(findings().empty());
  expect_equal("public.t");
}

TEST_F(AddedColumns, E10TableWithoutAKeyIsNotToldToSendRowsThatGreenCouldNotFind) {
  start_with("id int, v int", "; ALTER TABLE t REPLICA IDENTITY FULL");
  stop_at("ALTER TABLE t ADD COLUMN a uuid DEFAULT gen_random_uuid(); INSERT INTO t VALUES (4, 4)");
  EXPECT_THAT(notes(), HasSubstr("copy the table again"));
  EXPECT_THAT(notes(), Not(HasSubstr("UPDATE \"public\".\"t\"")));
}

}  // namespace
}  // namespace teal::test
