// What comes into the range of a partition that left its table on blue while green still has it, or its rows (TRAPS
// H10, J4, J5): no row of it may leave with the old partition.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kA =
    "CREATE TABLE a (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE a_1 PARTITION OF a FOR VALUES "
    "FROM (0) TO (100); CREATE TABLE a_2 PARTITION OF a FOR VALUES FROM (100) TO (200);";

class DepartedPartition : public SidecarFixture {
 protected:
  static std::string with_default() {
    std::string sql = kA;
    sql += "CREATE TABLE a_d PARTITION OF a DEFAULT;";
    return sql;
  }

  void start_with_rows(const std::string& blue_sql, const std::string& green_sql) {
    start(blue_sql, green_sql, {"public.a"});
    blue_owner().exec("INSERT INTO a VALUES (1, 'x'), (2, 'y'), (150, 'z')");
    wait_caught_up();
  }
  void copy_default_again() {
    green().exec(advised("TRUNCATE \"public\".\"a_d\"") + advised_for_tables());
    run_streaming();
    wait_joined("a_d");
  }
  void copy_all_again() {
    green().exec(advised("TRUNCATE \"public\".\"a\"") + advised_for_targets());
    run_streaming();
    for (const char* table : {"a_1", "a_2"}) wait_joined(table);
  }

  /// A partition that was detached is a table of its own.
  void leave_out_a_1() { configure("copy: { schema: false }\ntables: { exclude: [public.a_1] }\n"); }

  void start_with_rows(const std::string& sql) { start_with_rows(sql, sql); }

  void wait_left(const std::string& table = "a_1") {
    teal_->wait_for_log("partition left its table on the source.*public." + table, seconds(30));
  }
  void wait_settled() { teal_->wait_for_log("partition has left the target too", seconds(30)); }

  void expect_intruders_stop() {
    EXPECT_EQ(teal_->wait_exit(seconds(30)), 1) << teal_->err();
    EXPECT_THAT(teal_->err(), HasSubstr("public.a_1 left public.a on the source, and rows have come into its range "
                                        "since, in \"public\".\"a_d\""));
  }

  void expect_arrives() {
    wait_caught_up();
    expect_equal("public.a");
    EXPECT_TRUE(teal_->running());
  }
};

TEST_F(DepartedPartition, H10RowsThatTheDefaultPartitionTakesStopTheLinkAndAreCopied) {
  start_with_rows(with_default());
  blue_owner().exec("ALTER TABLE a DETACH PARTITION a_1; INSERT INTO a VALUES (7, 'late')");
  expect_intruders_stop();
  leave_out_a_1();
  run();  // not before it was mended
  expect_intruders_stop();
  green_owner().exec("ALTER TABLE public.a DETACH PARTITION public.a_1");
  copy_default_again();
  blue_owner().exec("INSERT INTO a VALUES (8, 'later'), (151, 'more')");
  expect_arrives();
}

TEST_F(DepartedPartition, H10RowsInTheRangeOfADroppedPartitionStopTheLinkToo) {
  start_with_rows(with_default());
  blue_owner().exec("DROP TABLE a_1");
  wait_left();
  blue_owner().exec("INSERT INTO a VALUES (7, 'late')");
  // A look may see it on blue before it has come to green: the link stops without it then.
  wait_until("row 7 has come, or the link has stopped", seconds(30),
             [&] { return !teal_->running() || green().number("SELECT count(*) FROM public.a_1") == 3; });
  green_owner().exec("DROP TABLE public.a_1");  // as it was told to, and row 7 goes with it
  expect_intruders_stop();
  copy_default_again();
  expect_arrives();
}

TEST_F(DepartedPartition, H10WithoutSuchRowsGreenFollowsAndLaterRowsGoWhereTheyGoOnBlue) {
  start_with_rows(with_default());
  blue_owner().exec("ALTER TABLE a DETACH PARTITION a_1");
  wait_left();
  green_owner().exec("ALTER TABLE public.a DETACH PARTITION public.a_1");
  wait_settled();
  blue_owner().exec("INSERT INTO a VALUES (7, 'late'), (151, 'more')");
  expect_arrives();
  expect_equal("public.a_d");
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  leave_out_a_1();
  run_streaming();
  blue_owner().exec("UPDATE a SET v = 'changed' WHERE id = 7");
  expect_arrives();
}

TEST_F(DepartedPartition, H10DefaultPartitionLeavesWithoutWhatLaterPartitionsTookFromItsRange) {
  start_with_rows(with_default());
  for (Sql* side : {&green_owner(), &blue_owner()}) {
    side->exec("CREATE TABLE public.a_3 PARTITION OF public.a FOR VALUES FROM (200) TO (300)");
  }
  blue_owner().exec("INSERT INTO a VALUES (201, 'n'), (500, 'd')");
  wait_joined("a_3");
  wait_caught_up();
  blue_owner().exec("DROP TABLE a_d");
  wait_left("a_d");
  green_owner().exec("DROP TABLE public.a_d");
  wait_settled();
  expect_arrives();
}

TEST_F(DepartedPartition, H10PartitionInThePlaceOfAnotherWaitsUntilGreenIsRidOfThatOne) {
  start_with_rows(kA);
  green_owner().exec("CREATE TABLE public.a_3 PARTITION OF public.a FOR VALUES FROM (200) TO (300)");
  blue_owner().exec(
      "CREATE TABLE a_new (LIKE a INCLUDING ALL); INSERT INTO a_new VALUES (10, 'new'), (11, 'new'); BEGIN; ALTER "
      "TABLE a DETACH PARTITION a_1; ALTER TABLE a ATTACH PARTITION a_new FOR VALUES FROM (0) TO (100); COMMIT; CREATE "
      "TABLE a_3 PARTITION OF a FOR VALUES FROM (200) TO (300); INSERT INTO a VALUES (12, 'new'), (201, 'x')");
  teal_->wait_for_log("table cannot join.*public.a_new.*public.a_1 left public.a and took rows", seconds(30));
  wait_joined("a_3");  // another range
  EXPECT_EQ(green().number("SELECT count(*) FROM public.a WHERE v = 'new'"), 0);
  wait_left();
  green_owner().exec(
      "ALTER TABLE public.a DETACH PARTITION public.a_1; CREATE TABLE public.a_new PARTITION OF public.a FOR VALUES "
      "FROM (0) TO (100)");
  wait_joined("a_new");
  blue_owner().exec("INSERT INTO a VALUES (13, 'new')");
  expect_arrives();
}

TEST_F(DepartedPartition, H10GreenWithoutPartitionsIsRidOfOneWhenItsRowsAreDeleted) {
  start_with_rows(kA, "CREATE TABLE a (id int PRIMARY KEY, v text)");
  blue_owner().exec("DROP TABLE a_1; CREATE TABLE a_1 PARTITION OF a FOR VALUES FROM (0) TO (100)");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 1) << teal_->err();
  copy_all_again();
  expect_arrives();
  blue_owner().exec("DROP TABLE a_1");
  wait_left();
  green().exec("DELETE FROM public.a WHERE id < 100");
  wait_settled();
  blue_owner().exec("CREATE TABLE a_0 PARTITION OF a FOR VALUES FROM (0) TO (50); INSERT INTO a VALUES (9, 'new')");
  wait_joined("a_0");
  expect_arrives();
}

TEST_F(DepartedPartition, H10KeylessPartitionThatComesBackIsNotCopiedOverItsRows) {
  start_with_rows(
      "CREATE TABLE a (id int, v text) PARTITION BY RANGE (id); CREATE TABLE a_1 PARTITION OF a FOR VALUES FROM (0) TO "
      "(100); CREATE TABLE a_2 PARTITION OF a FOR VALUES FROM (100) TO (200); ALTER TABLE a REPLICA IDENTITY FULL; "
      "ALTER TABLE a_1 REPLICA IDENTITY FULL; ALTER TABLE a_2 REPLICA IDENTITY FULL",
      "CREATE TABLE a (id int, v text)");
  blue_owner().exec(
      "ALTER TABLE a DETACH PARTITION a_1; ALTER TABLE a ATTACH PARTITION a_1 FOR VALUES FROM (0) TO (100)");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 1) << teal_->err();
  const std::string whole = advised("TRUNCATE \"public\".\"a\"") + advised_for_targets();
  green().exec(advised_for_tables());  // without what comes first
  run_streaming();
  teal_->wait_for_log("table cannot join.*public.a on the target has rows in its range already", seconds(30));
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  green().exec(whole);
  run_streaming();
  for (const char* table : {"a_1", "a_2"}) wait_joined(table);
  expect_arrives();
}

TEST_F(DepartedPartition, J4DetachWhileTealIsDownEndsWithTheSameOnGreen) {
  start_with_rows(kA);
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("ALTER TABLE a DETACH PARTITION a_1");
  EXPECT_THAT(command({"check"}).out, HasSubstr("lacks public.a_1"));
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE a_1");
  run();
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 1) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("public.a_1, which was a partition of public.a, is a table of its own on blue"));
  EXPECT_THAT(teal_->err(), HasSubstr("ALTER TABLE public.a DETACH PARTITION public.a_1;"));
  green_owner().exec("ALTER TABLE public.a DETACH PARTITION public.a_1; TRUNCATE public.a, public.a_1");
  green().exec(advised_for_targets());
  run_streaming();
  for (const char* table : {"a_1", "a_2"}) wait_joined(table);
  expect_arrives();
  expect_equal("public.a_1");
}

}  // namespace
}  // namespace teal::test
