// Transactions that are prepared on blue, and what crashes between PREPARE and the second phase leave (TRAPS C6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

/// Blue streams whatever is larger than 64 kB while it is open; green could prepare transactions too.
class TwoPhase : public SidecarFixture {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"max_prepared_transactions=10", "logical_decoding_work_mem=64kB"}};
  }
  [[nodiscard]] PgServerOptions green_options() const override {
    return {.settings = {"max_prepared_transactions=10"}};
  }

  void SetUp() override {
    SidecarFixture::SetUp();
    start("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (LIKE a INCLUDING ALL)",
          {"public.a", "public.b"});
  }

  /// A transaction of `rows` rows in a and in b, from id `first` on, with a savepoint that is rolled back and one that
  /// is not, is prepared as `gid`.
  void prepare(const std::string& gid, int first, int rows) {
    const auto series = [&](const char* table, int from, int count) {
      return std::string("INSERT INTO ") + table + " SELECT i, repeat('x', 50) FROM generate_series(" +
             std::to_string(from) + ", " + std::to_string(from + count - 1) + ") i; ";
    };
    blue_owner().exec("BEGIN; " + series("a", first, rows) + "SAVEPOINT s; " + series("b", first, rows) +
                      "UPDATE a SET v = 'undone'; ROLLBACK TO s; SAVEPOINT t; " + series("b", first, rows) +
                      "RELEASE t; PREPARE TRANSACTION " + sql_text(gid));
  }

  void expect_no_orphan() {
    EXPECT_EQ(green().number("SELECT count(*) FROM pg_prepared_xacts"), 0);
    EXPECT_EQ(blue().number("SELECT count(*) FROM pg_prepared_xacts"), 0);
    EXPECT_EQ(green().number("SELECT count(*) FROM a FULL JOIN b USING (id) WHERE a.id IS NULL OR b.id IS NULL"), 0);
    expect_equal("public.a");
    expect_equal("public.b");
  }
};

TEST_F(TwoPhase, C6CrashesBetweenThePhasesLeaveNoneHalfAndNoOrphan) {
  const std::vector<std::pair<const char*, std::function<void()>>> crashes = {
      {"teal",
       [this] {
         teal_->kill9();
         run_streaming();
       }},
      {"blue", [this] { blue_server().restart(StopMode::kImmediate); }},
      {"green", [this] { green_server().restart(StopMode::kImmediate); }},
  };
  int first = 0;
  for (const auto& [name, crash] : crashes) {
    SCOPED_TRACE(name);
    const std::int64_t before = green().number("SELECT count(*) FROM a");
    prepare("small", first += 10'000, 3);
    prepare("large", first += 10'000, 3000);
    prepare("never", first += 10'000, 3000);
    crash();
    blue_owner().exec("INSERT INTO a VALUES (" + std::to_string(first + 9'000) + ", 'between'), (" +
                      std::to_string(first + 9'001) + ", 'between')");
    blue_owner().exec("INSERT INTO b SELECT * FROM a WHERE v = 'between' ON CONFLICT DO NOTHING");
    wait_caught_up();
    EXPECT_EQ(green().number("SELECT count(*) FROM a"), before + 2) << "what is only prepared is there";
    EXPECT_EQ(green().number("SELECT count(*) FROM pg_prepared_xacts"), 0);
    blue_owner().exec("COMMIT PREPARED 'large'");
    blue_owner().exec("ROLLBACK PREPARED 'never'");
    crash();
    blue_owner().exec("COMMIT PREPARED 'small'");
    wait_caught_up();
    EXPECT_EQ(green().number("SELECT count(*) FROM a"), before + 3005);
    expect_no_orphan();
  }
}

TEST_F(TwoPhase, C6EndedWhileTealIsAwayAndUnderAnEmptyName) {
  prepare("", 10'000, 3000);
  prepare("dropped", 20'000, 3000);
  wait_caught_up();
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  blue_owner().exec("COMMIT PREPARED ''");
  blue_owner().exec("ROLLBACK PREPARED 'dropped'");
  run_streaming();
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM a"), 3000);
  expect_no_orphan();
}

TEST_F(TwoPhase, C6OneThatWasPreparedBeforeTheStartAndEndsAfterIt) {
  prepare("old", 10'000, 3000);
  teal_->kill9();
  blue_server().restart(StopMode::kImmediate);
  run_streaming();
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM a"), 0);
  blue_owner().exec("COMMIT PREPARED 'old'");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM a"), 3000);
  expect_no_orphan();
}

}  // namespace
}  // namespace teal::test
