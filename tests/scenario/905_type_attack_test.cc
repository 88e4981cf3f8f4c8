// Types that are altered while rows are on their way: what fits passes with its value, what may not fit stops the link
// before a value is cut or rounded, and the link goes on once green has a type that takes everything
// (TRAPS D7, D9, E8, H3, H9).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class ChangedTypes : public SidecarFixture {
 protected:
  /// The link has stopped by data with this in its last words; `mend` on green lets it go on without a loss.
  void expect_stop(const std::string& text, const std::string& mend) {
    EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
    EXPECT_THAT(teal_->err(), HasSubstr(text));
    green_owner().exec(mend);
    run_streaming();
    wait_caught_up();
    expect_equal("public.t");
  }
};

TEST_F(ChangedTypes, D7DomainThatBecomesAnotherTypeStopsTheLink) {
  start(
      "CREATE DOMAIN code AS varchar(5); CREATE DOMAIN long_code AS varchar(50); CREATE DOMAIN price AS numeric(10,2); "
      "CREATE TABLE t (id code PRIMARY KEY, c code, p price, d varchar(5))",
      {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES ('abc', 'abc', 1.25, 'abc')");
  wait_caught_up();
  blue_owner().exec("ALTER TABLE t ALTER c TYPE long_code; INSERT INTO t VALUES ('b', 'abcdefghij', 1, 'b')");
  expect_stop(
      "column \"c\" has another type on the source now, public.long_code (character varying(50)), whose values may not "
      "fit public.code (character varying(5)) on the target",
      "ALTER TABLE public.t ALTER c TYPE public.long_code");
  blue_owner().exec("ALTER TABLE t ALTER p TYPE numeric(12,4); UPDATE t SET p = 1.2345 WHERE id = 'b'");
  expect_stop("column \"p\" has another type", "ALTER TABLE public.t ALTER p TYPE numeric(12,4)");
  blue_owner().exec("ALTER TABLE t ALTER d TYPE long_code; UPDATE t SET d = 'abcdefghij' WHERE id = 'b'");
  expect_stop("column \"d\" has another type", "ALTER TABLE public.t ALTER d TYPE public.long_code");
  blue_owner().exec("ALTER TABLE t ALTER id TYPE text; INSERT INTO t VALUES ('abcdefg', 'c', 3, 'c')");
  expect_stop("column \"id\" has another type", "ALTER TABLE public.t ALTER id TYPE text");
}

TEST_F(ChangedTypes, D7TypeThatBecomesADomainOfAFinerOneStopsTheLink) {
  start(
      "CREATE DOMAIN moment AS timestamp; CREATE DOMAIN exact AS double precision; CREATE TYPE pair AS (a "
      "numeric(10,2)); CREATE TYPE fine_pair AS (a numeric(12,4)); CREATE TABLE t (id int PRIMARY KEY, m timestamp(0), "
      "r real, p pair[])",
      {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, '2024-01-01', 1.5, '{(1.25)}')");
  wait_caught_up();
  blue_owner().exec("ALTER TABLE t ALTER m TYPE moment; UPDATE t SET m = '2024-01-01 00:00:00.75'");
  expect_stop("column \"m\" has another type", "ALTER TABLE public.t ALTER m TYPE public.moment");
  blue_owner().exec("ALTER TABLE t ALTER r TYPE exact; UPDATE t SET r = 0.1234567890123");
  expect_stop("column \"r\" has another type", "ALTER TABLE public.t ALTER r TYPE public.exact");
  const std::string finer = "ALTER TABLE public.t ALTER p TYPE public.fine_pair[] USING p::text::public.fine_pair[]";
  blue_owner().exec(finer);
  blue_owner().exec("UPDATE t SET p = '{(1.2345)}'");
  expect_stop("column \"p\" has another type", finer);
}

TEST_F(ChangedTypes, D7NarrowerDomainThatGreenTakesBeforeTheFirstChangeStopsTheLink) {
  start("CREATE DOMAIN code AS varchar(5); CREATE TABLE t (id int PRIMARY KEY, v text)", {"public.t"});
  green_owner().exec("ALTER TABLE public.t ALTER v TYPE public.code");
  blue_owner().exec("INSERT INTO t VALUES (1, 'abcdefghij')");
  expect_stop("column \"v\" has another type on the source now, text, whose values may not fit public.code",
              "ALTER TABLE public.t ALTER v TYPE text");
}

// No shape of green's table was right for both halves, so that no mend let the link go on.
TEST_F(ChangedTypes, H3TypesThatGetWiderBetweenTheRowsOfOneTransaction) {
  start(
      "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN code AS varchar(5); CREATE DOMAIN day AS date; CREATE TABLE t "
      "(id "
      "int PRIMARY KEY, n smallint, v varchar(5), d numeric(10,2), r real, c char(5), a int[], m mood, k code, y day, "
      "b boolean)",
      {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 1, 'a', 1, 0.1, 'a', '{1}', 'ok', 'a', '2024-01-01', true)");
  wait_caught_up();
  const std::string wider =
      "ALTER TABLE public.t ALTER id TYPE bigint, ALTER n TYPE numeric, ALTER v TYPE text, ALTER d TYPE numeric(20,4), "
      "ALTER r TYPE double precision, ALTER c TYPE text, ALTER a TYPE bigint[], ALTER m TYPE text, ALTER k TYPE text, "
      "ALTER y TYPE text, ALTER b TYPE text; DROP TYPE public.mood; DROP DOMAIN public.code; DROP DOMAIN public.day;";
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (2, 2, 'b', 2.25, 0.2, 'b', '{2}', 'ok', 'b', '2024-01-02', true); UPDATE t SET n = "
      "3; " +
      wider +
      "INSERT INTO t VALUES (5000000000, 1e9, 'abcdefg', 1.2345, 0.1234567890123, 'abcdefg', "
      "'{5000000000}', 'no', 'abcdefg', 'noon', 'no'); UPDATE t SET n = n + 100000, r = r * 2, id = id + 5000000000 "
      "WHERE id < 100; COMMIT");
  expect_stop("has another type", wider);
}

TEST_F(ChangedTypes, H3WiderTypesOnGreenFirst) {
  start("CREATE TABLE t (id int PRIMARY KEY, n int, v varchar(5))", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 1, 'a')");
  wait_caught_up();
  const std::string wider = "ALTER TABLE public.t ALTER id TYPE bigint, ALTER n TYPE numeric, ALTER v TYPE text";
  green_owner().exec(wider);
  const std::string reader = slot_reader();
  blue().exec("SELECT pg_terminate_backend(" + reader + ")");  // the next session looks at green anew
  wait_until("another session reads", seconds(30), [&] { return slot_reader() != reader && !slot_reader().empty(); });
  blue_owner().exec("INSERT INTO t VALUES (2, 2, 'b'); UPDATE t SET n = 5, v = 'c', id = 3 WHERE id = 1");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_EQ(command({"check"}).exit_code, 0);
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  run_streaming();
  blue_owner().exec(wider);
  blue_owner().exec("INSERT INTO t VALUES (5000000000, 1e20, 'abcdefghij')");
  wait_caught_up();
  expect_equal("public.t");
}

// Their numbers differ from version to version: the stream has to be read by their names.
TEST_F(ChangedTypes, D9DomainsOfTheInformationSchema) {
  start(
      "CREATE TABLE t (id int PRIMARY KEY, n information_schema.sql_identifier, c information_schema.cardinal_number, "
      "y information_schema.yes_or_no, d information_schema.character_data)",
      {"public.t"});
  EXPECT_EQ(command({"check"}).exit_code, 0);
  blue_owner().exec("INSERT INTO t VALUES (1, 'x', 3, 'YES', 'c'); UPDATE t SET c = 4, y = 'NO'");
  wait_caught_up();
  expect_equal("public.t");
}

class OneTransaction : public ChangedTypes {};

TEST_F(OneTransaction, E8RowsFromBeforeAGeneratedColumnBecamePlainAreNamedByTheStop) {
  start("CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1)");
  wait_caught_up();
  blue_owner().exec(
      "BEGIN; INSERT INTO t VALUES (2); ALTER TABLE t ALTER g DROP EXPRESSION; INSERT INTO t VALUES (3, 100); COMMIT");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("rows that its transaction inserted before the change arrive with NULL in it"));
  green_owner().exec("ALTER TABLE public.t ALTER g DROP EXPRESSION");
  run_streaming();
  wait_caught_up();
  green_owner().exec("UPDATE public.t SET g = id * 2 WHERE g IS NULL");
  expect_equal("public.t");
}

// What docs/limits.md says: green gets the column first and its default last.
TEST_F(OneTransaction, H3ColumnWhoseDefaultIsSetOnGreenLast) {
  start("CREATE TABLE t (id int PRIMARY KEY)", {"public.t"});
  const std::string add = "ALTER TABLE public.t ADD COLUMN n int;";
  const std::string set = "ALTER TABLE public.t ALTER n SET DEFAULT 7;";
  green_owner().exec(add);
  blue_owner().exec("INSERT INTO t VALUES (1)");
  blue_owner().exec(add + set + "INSERT INTO t VALUES (2)");
  wait_caught_up();
  green_owner().exec(set);
  expect_equal("public.t");
  const std::string add_other = "ALTER TABLE public.t ADD COLUMN m int;";
  blue_owner().exec("BEGIN; INSERT INTO t VALUES (3); " + add_other +
                    "ALTER TABLE t ALTER m SET DEFAULT 7; INSERT INTO t VALUES (4); COMMIT");
  expect_stop("add it on the target, without a default that it has got in a statement of its own", add_other);
}

// What docs/limits.md says: green gets both columns for a while, the new one with a value that tells it was not sent.
TEST_F(OneTransaction, H9ColumnThatIsRenamedBetweenTheRowsOfOneTransaction) {
  start("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)", {"public.t"});
  blue_owner().exec("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')");
  wait_caught_up();
  blue_owner().exec(
      "BEGIN; UPDATE t SET v = 'before' WHERE id = 1; INSERT INTO t VALUES (4, 'before'); ALTER TABLE t RENAME v TO w; "
      "ALTER TABLE t ALTER w DROP NOT NULL; UPDATE t SET w = NULL WHERE id = 2; INSERT INTO t VALUES (5, 'after'); "
      "COMMIT");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  green_owner().exec("ALTER TABLE public.t ADD COLUMN w text DEFAULT '(not sent)', ALTER v DROP NOT NULL");
  run_streaming();
  wait_caught_up();
  green_owner().exec(
      "UPDATE public.t SET w = v WHERE w = '(not sent)'; ALTER TABLE public.t DROP COLUMN v, ALTER w DROP DEFAULT");
  expect_equal("public.t");
  blue_owner().exec("UPDATE t SET w = 'later'");
  wait_caught_up();
  expect_equal("public.t");
}

}  // namespace
}  // namespace teal::test
