// Rows with large values that were not changed, and so not sent, changed on both sides at a time without REPLICA
// IDENTITY FULL: what wins is completed from its own side, and both sides are alike in the end (TRAPS C1, G5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/scenario/two_way_load_fixture.h"

namespace teal::test {
namespace {

constexpr int kLoadSeconds = 5;
constexpr const char* kDocs =
    "CREATE TABLE doc (id int PRIMARY KEY, big text, n int); ALTER TABLE doc ALTER big SET STORAGE EXTERNAL";

// The clients of one side have no key in common at a time: without teal, two of them could deadlock.
constexpr const char* kMove =
    "; CREATE FUNCTION move(a int, b int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM "
    "pg_advisory_xact_lock(least(a, b)), pg_advisory_xact_lock(greatest(a, b)); UPDATE public.doc SET id = b, n = "
    "n + "
    "1 WHERE id = a; EXCEPTION WHEN unique_violation THEN END $$";

class TwoWayWholeRows : public TwoWayLoadFixture {
 protected:
  TwoWayWholeRows() : TwoWayLoadFixture(kLoadSeconds) {}

  void start_docs(const std::string& more = "") {
    start_both(kDocs, {"public.doc"}, more);
    blue_owner().exec("INSERT INTO doc SELECT i, repeat('o', 5000), 0 FROM generate_series(1, 20) i");
    wait_both_caught_up();
  }
  void together() {
    run_both();
    wait_both_caught_up();
    expect_all_equal();
    expect_ledgers_close();
  }
};

TEST_F(TwoWayWholeRows, C1G5WinnerBringsItsWholeRowWithoutFullIdentity) {
  start_docs();
  EXPECT_EQ(teal_->terminate(), 0);
  green_owner().exec("UPDATE doc SET big = repeat('g', 6000) WHERE id <= 10; DELETE FROM doc WHERE id = 11");
  blue_owner().exec("UPDATE doc SET n = 1 WHERE id <= 5; UPDATE doc SET n = 1 WHERE id = 11");
  together();
  EXPECT_EQ(green().number("SELECT count(*) FROM doc WHERE (id <= 5 OR id = 11) AND big = repeat('o', 5000) AND n = 1"),
            6);
  EXPECT_EQ(blue().number("SELECT count(*) FROM doc WHERE big = repeat('g', 6000)"), 5);
  EXPECT_GT(times_logged("rows that won and were not sent whole were read from the source"), 0);
}

TEST_F(TwoWayWholeRows, C1G5ValuesThatAreSentAsBinaryAreReadAsBinary) {
  start_both(
      "CREATE TABLE doc (id int PRIMARY KEY, b bytea, a int[], j jsonb, d numeric, n int); ALTER TABLE doc ALTER b SET "
      "STORAGE EXTERNAL, ALTER a SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL, ALTER d SET STORAGE EXTERNAL",
      {"public.doc"});
  blue_owner().exec(
      "INSERT INTO doc SELECT i, convert_to(repeat('b', 5000), 'UTF8'), array_fill(i, ARRAY[2000]), "
      "jsonb_build_object('k', repeat('j', 5000)), repeat('7', 9000)::numeric, 0 FROM generate_series(1, 3) i");
  wait_both_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  green_owner().exec("UPDATE doc SET b = 'x', a = '{1}', j = '{}', d = 1");
  blue_owner().exec("UPDATE doc SET n = 1");
  together();
  EXPECT_EQ(green().number("SELECT count(*) FROM doc WHERE n = 1 AND length(b) = 5000 AND cardinality(a) = 2000"), 3);
}

// The source has gone on since: deleted, deleted and made anew, changed its key, or gave its key to another row.
TEST_F(TwoWayWholeRows, C1G5WinnersWhoseRowsHaveGoneOnSinceEndUpAlike) {
  start_docs("apply: { two_way_batch_rows: 1 }\n");
  EXPECT_EQ(teal_->terminate(), 0);
  green_owner().exec("UPDATE doc SET big = repeat('g', 6000)");
  blue_owner().exec("UPDATE doc SET n = 1");
  blue_owner().exec("DELETE FROM doc WHERE id <= 5");
  blue_owner().exec("INSERT INTO doc SELECT i, repeat('n', 5000), 2 FROM generate_series(4, 5) i");
  blue_owner().exec("UPDATE doc SET id = id + 100 WHERE id BETWEEN 6 AND 10");
  blue_owner().exec("UPDATE doc SET id = id - 10 WHERE id BETWEEN 18 AND 20");
  blue_owner().exec("UPDATE doc SET n = 3 WHERE id > 100");
  blue_owner().exec("UPDATE doc SET big = repeat('l', 5000) WHERE id = 15");
  together();
  EXPECT_EQ(green().value("SELECT string_agg(id || left(big, 1), ' ' ORDER BY id) FROM doc"),
            "4n 5n 8o 9o 10o 11o 12o 13o 14o 15l 16o 17o 106o 107o 108o 109o 110o");
  EXPECT_EQ(green().number("SELECT count(*) FROM doc WHERE length(big) <> 5000"), 0);
}

TEST_F(TwoWayWholeRows, C1G5LargeRowsUnderLoadOnBothSidesEndUpAlikeAlsoWhenTealIsKilled) {
  std::string sql = kDocs;
  sql += kMove;
  start_both(sql, {"public.doc"});
  blue_owner().exec("INSERT INTO doc SELECT i, repeat('o', 5000), 0 FROM generate_series(1, 40) i");
  wait_both_caught_up();
  write_on_both(R"(\set a random(1, 60)
\set b random(1, 60)
\set kind random(1, 10)
\if :kind <= 5
UPDATE doc SET n = n + 1 WHERE id = :a;
\elif :kind <= 6
UPDATE doc SET big = repeat(':side', 1000 + :b) WHERE id = :a;
\elif :kind <= 7
DELETE FROM doc WHERE id = :a;
\elif :kind <= 8
INSERT INTO doc VALUES (:a, repeat(':side', 2000 + :b), 0) ON CONFLICT (id) DO UPDATE SET n = doc.n + 1;
\else
SELECT move(:a, :b);
\endif
)",
                [this] {
                  teal_->wait_for_log("rows that won and were not sent whole", std::chrono::seconds(60));
                  teal_->kill9();
                  run_both();
                });
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
}

}  // namespace
}  // namespace teal::test
