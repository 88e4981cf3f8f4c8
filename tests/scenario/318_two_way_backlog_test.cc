// Two links beside each other that have much to do, or nothing at all: none waits for the other for ever, and none
// keeps the other busy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "tests/scenario/two_way_load_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr int kRows = 20'000;

/// `apply.spill_bytes_max`.
class TwoWayBacklog : public TwoWayFixture, public testing::WithParamInterface<const char*> {
 protected:
  static std::string write(const std::string& side) {
    return "INSERT INTO item SELECT i, " + sql_text(side) +
           " || repeat('x', CASE WHEN i % 500 = 0 THEN 30000 ELSE i % 50 END) FROM generate_series(1, " +
           std::to_string(kRows) + ") i ON CONFLICT (id) DO UPDATE SET v = excluded.v";
  }
};

// The same rows on both sides, in many transactions and in one: each link needs what the other has to read.
TEST_P(TwoWayBacklog, I6ConflictsInEveryRowBehindTinyQueuesAreAllDecided) {
  start_both("CREATE TABLE item (id int PRIMARY KEY, v text)", {"public.item"},
             "apply: { queue_bytes_max: 64KiB, batch_bytes_max: 64KiB, unseen_bytes_max: 64KiB, spill_bytes_max: " +
                 std::string(GetParam()) + " }\n");
  EXPECT_EQ(teal_->terminate(), 0);
  for (const std::string side : {"blue", "green", "blue again", "green again"}) {
    Sql& owner = side.starts_with("blue") ? blue_owner() : green_owner();
    owner.exec(write(side));
    owner.exec(
        "DO $$ BEGIN FOR i IN 1..500 LOOP UPDATE public.item SET v = v || i WHERE id = i * 7; COMMIT; END LOOP; END "
        "$$");
  }
  run_both();
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
  EXPECT_EQ(blue().number("SELECT count(*) FROM item WHERE v LIKE 'green again%'"), kRows);
  EXPECT_GE(counter("blue_to_green", "conflict_lost"), kRows);
  EXPECT_EQ(teal_->terminate(), 0);
}

INSTANTIATE_TEST_SUITE_P(Spill, TwoWayBacklog, testing::Values("10GiB", "0"),
                         [](const auto& spill) { return std::string(spill.param) == "0" ? "Without" : "With"; });

class TwoWayIdle : public TwoWayLoadFixture {
 protected:
  TwoWayIdle() : TwoWayLoadFixture(2) {}

  static int idle_seconds() { return long_tier() ? 10 : 6; }

  /// What a server decodes since `count_commits`, and not its statistics, which come late. Commits that change no rows,
  /// as autovacuum's, are none.
  static void count_commits(Sql& side) {
    side.exec("SELECT pg_create_logical_replication_slot('idle', 'test_decoding')");
  }
  static std::int64_t commits(Sql& side) {
    return side.number(
        "SELECT count(*) FROM pg_logical_slot_peek_changes('idle', NULL, NULL, 'skip-empty-xacts', '1') WHERE data "
        "LIKE 'COMMIT%'");
  }
  static std::string log_of(Sql& side) {
    std::string log;
    for (const SqlRow& row : side.rows(
             "SELECT data FROM pg_logical_slot_peek_changes('idle', NULL, NULL, 'skip-empty-xacts', '1') LIMIT 50")) {
      log += row[0]->substr(0, 200) + "\n";
    }
    return log;
  }
};

// Each link writes its progress on the other one's source, which is no news.
TEST_F(TwoWayIdle, B1NeitherLinkAnswersTheOthersAnswer) {
  start_both("CREATE TABLE item (id int PRIMARY KEY, v text, n int)", {"public.item"});
  write_on_both(
      "\\set id random(1, 100)\nINSERT INTO item VALUES (:id, ':side', 0) ON CONFLICT (id) DO UPDATE SET v = "
      "excluded.v, n = item.n + 1;\n");
  wait_both_caught_up();
  count_commits(blue());
  count_commits(green());
  const auto too_many = [this] {
    return commits(blue()) > idle_seconds() + 1 || commits(green()) > idle_seconds() + 1;
  };
  EXPECT_FALSE(holds_within(seconds(idle_seconds()), too_many)) << log_of(blue()) << log_of(green());
  std::printf("%d idle seconds: %lld commits on blue, %lld on green\n", idle_seconds(),
              static_cast<long long>(commits(blue())), static_cast<long long>(commits(green())));
  expect_all_equal();
}

}  // namespace
}  // namespace teal::test
