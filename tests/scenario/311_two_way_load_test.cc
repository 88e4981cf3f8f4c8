// Applications write the same rows on both sides at once: when they stop, both sides are alike (TRAPS B, G, W3, W8).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Every version says where it was written and the how-many-th it is.
constexpr const char* kRegister = "CREATE TABLE register (id int PRIMARY KEY, v text NOT NULL, n int NOT NULL)";
constexpr const char* kWrite = R"(\set id random(1, 200)
\set kind random(1, 10)
\if :kind <= 5
UPDATE register SET v = ':side', n = n + 1 WHERE id = :id;
\elif :kind <= 8
INSERT INTO register VALUES (:id, ':side', 0) ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = register.n + 1;
\else
DELETE FROM register WHERE id = :id;
\endif
)";

int load_seconds() {
  const char* given = std::getenv("TEAL_LOAD_SECONDS");
  if (given != nullptr) return std::atoi(given);
  return long_tier() ? 120 : 6;
}

class TwoWayLoad : public TwoWayFixture {
 protected:
  std::unique_ptr<Pgbench> write(const PgServer& server, const std::string& side, const std::string& script,
                                 std::vector<std::string> more = {}) {
    const std::filesystem::path file = make_scratch_directory("script") / "write.sql";
    write_file(file, script);
    std::vector<std::string> arguments{"-n", "-f", file.string(), "-D", "side=" + side};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<Pgbench>(server, kOwnerRole, kShopDatabase,
                                     PgbenchOptions{.clients = 3, .seconds = load_seconds(), .more = arguments});
  }

  void write_on_both(const std::string& script, const std::vector<std::string>& more = {}) {
    const auto on_blue = write(blue_server(), "blue", script, more);
    const auto on_green = write(green_server(), "green", script, more);
    for (Pgbench* writer : {on_blue.get(), on_green.get()}) {
      const PgbenchResult result = writer->wait(seconds(load_seconds() + 60));
      EXPECT_EQ(result.exit_code, 0) << result.output;
      EXPECT_EQ(result.failed, 0) << result.output;
      transactions_ += result.transactions;
    }
  }

  static void count_local_changes(Sql& side) {
    side.exec("SELECT pg_create_logical_replication_slot('judge', 'test_decoding')");
  }
  /// What applications have changed on this side since.
  static std::int64_t local_changes(Sql& side) {
    const std::int64_t count = side.number(
        "SELECT count(*) FROM pg_logical_slot_get_changes('judge', NULL, NULL, 'only-local', '1') WHERE data LIKE "
        "'table public.%'");
    side.exec("SELECT pg_drop_replication_slot('judge')");
    return count;
  }

  std::int64_t transactions_ = 0;
};

TEST_F(TwoWayLoad, W3W8BothSidesAreAlikeWhenTheWritersStop) {
  start_both(kRegister, {"public.register"});
  count_local_changes(blue());
  count_local_changes(green());
  write_on_both(kWrite);
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
  // B1: what is not teal's own is what the applications wrote, and nothing of it came back.
  EXPECT_EQ(counter("blue_to_green", "received") - counter("blue_to_green", "own"), local_changes(blue()));
  EXPECT_EQ(counter("green_to_blue", "received") - counter("green_to_blue", "own"), local_changes(green()));
  RecordProperty("transactions", std::to_string(transactions_));
  RecordProperty("lost",
                 std::to_string(counter("blue_to_green", "conflict_lost") + counter("green_to_blue", "conflict_lost")));
  std::printf("%lld transactions, lost %lld to green, %lld to blue\n", static_cast<long long>(transactions_),
              static_cast<long long>(counter("blue_to_green", "conflict_lost")),
              static_cast<long long>(counter("green_to_blue", "conflict_lost")));
}

// A change is decided only once the target's own stream has been read up to it: that must not take a timer's round.
TEST_F(TwoWayLoad, OneChangeIsOnTheOtherSideAtOnce) {
  start_both(kRegister, {"public.register"});
  std::vector<milliseconds> times;
  for (int i = 0; i < 41; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    blue_owner().exec("INSERT INTO register VALUES (" + std::to_string(i) + ", 'blue', 0)");
    wait_for_count("register", i + 1);
    times.push_back(std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin));
  }
  std::sort(times.begin(), times.end());
  std::printf("median %lld ms, most %lld ms\n", static_cast<long long>(times[20].count()),
              static_cast<long long>(times.back().count()));
  EXPECT_LT(times[20], milliseconds(100));
}

}  // namespace
}  // namespace teal::test
