// The sink is killed (SIGKILL) at each of its steps and started again; what it applied is judged by plain SQL.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/scenario/applier_fixture.h"
#include "tests/support/child_process.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr int kTransactions = 60;

class ApplyCrash : public ApplierFixture {
 protected:
  void SetUp() override {
    ApplierFixture::SetUp();
    prepare(
        "CREATE TABLE history (id int PRIMARY KEY, note text); CREATE TABLE counter (id int PRIMARY KEY, n int); "
        "INSERT INTO counter VALUES (1, 0)",
        {"history", "counter"});
  }

  ChildProcess start_driver(const std::string& failpoint) {
    SpawnOptions options;
    options.argv = {sibling_program("apply_driver"), green_server().conninfo(kTealRole, kShopDatabase),
                    std::to_string(kTransactions), "7"};
    if (!failpoint.empty()) options.environment = {"TEAL_FAILPOINT=" + failpoint};
    return ChildProcess(options);
  }

  int run_driver(const std::string& failpoint) {
    ChildProcess driver = start_driver(failpoint);
    return driver.wait_exit(seconds(60)).value_or(-1);
  }

  // Whatever was committed is a whole prefix of the source's transactions, and the progress row says how long it is.
  std::int64_t expect_prefix() {
    const std::int64_t rows = green().number("SELECT count(*) FROM history");
    EXPECT_EQ(green().number("SELECT coalesce(max(id), 0) FROM history"), rows);
    EXPECT_EQ(green().number("SELECT n FROM counter"), rows);
    EXPECT_EQ(applied(), rows == 0 ? "0/0" : to_string(Lsn{static_cast<std::uint64_t>(rows) * 0x1000 + 0x100}));
    return rows;
  }
};

class ApplyCrashAt : public ApplyCrash, public testing::WithParamInterface<const char*> {};

TEST_P(ApplyCrashAt, KillThenRestartAppliesEachTransactionOnce) {
  EXPECT_EQ(run_driver(std::string(GetParam()) + ":3"), 128 + SIGKILL);
  const std::int64_t before = expect_prefix();
  EXPECT_LT(before, kTransactions);
  EXPECT_EQ(run_driver(std::string(GetParam()) + ":2"), 128 + SIGKILL);
  EXPECT_GE(expect_prefix(), before);
  EXPECT_EQ(run_driver(""), 0);
  EXPECT_EQ(expect_prefix(), kTransactions);
}

INSTANTIATE_TEST_SUITE_P(EachStep, ApplyCrashAt,
                         testing::Values("before_begin", "rows_sent", "rows_written", "before_commit", "commit_sent",
                                         "commit_acknowledged", "batch_done"));

TEST_F(ApplyCrash, A10CommitThatWasSentIsDecidedByTheProgressRow) {
  // Both outcomes: the server may or may not have taken the COMMIT that the dead process sent.
  EXPECT_EQ(run_driver("commit_sent:2"), 128 + SIGKILL);
  EXPECT_EQ(run_driver("before_commit:1"), 128 + SIGKILL);
  EXPECT_EQ(run_driver("commit_acknowledged:1"), 128 + SIGKILL);
  EXPECT_EQ(run_driver(""), 0);
  EXPECT_EQ(expect_prefix(), kTransactions);
}

TEST_F(ApplyCrash, A11NewEngineWaitsForTheDeadOnesBackendBeforeItReadsTheProgress) {
  // The old backend hangs in its commit (a lock on the progress table, then SIGSTOP), while its engine is dead.
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE teal.progress IN SHARE MODE");
  ChildProcess first = start_driver("");
  std::string backend;
  wait_until("the first engine's backend waits for the lock", seconds(20), [&] {
    const SqlRows rows = green().rows(
        "SELECT pid FROM pg_stat_activity WHERE application_name = "
        "'teal/shop/blue_to_green' AND wait_event_type = 'Lock'");
    if (!rows.empty()) backend = *rows[0][0];
    return !rows.empty();
  });
  const auto pid = static_cast<pid_t>(std::stoi(backend));
  first.send(SIGKILL);
  ASSERT_TRUE(first.wait_exit(seconds(10)).has_value());
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  blocker.exec("ROLLBACK");

  ChildProcess second = start_driver("");
  wait_until("the second engine asks for the origin", seconds(20), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green' "
        "AND pid <> " +
        backend + " AND query LIKE '%session_setup%'");
  });
  EXPECT_FALSE(second.wait_exit(std::chrono::milliseconds(500)).has_value()) << "it did not wait for the origin";
  EXPECT_EQ(green().number("SELECT count(*) FROM history"), 0);
  ASSERT_EQ(::kill(pid, SIGCONT), 0);
  EXPECT_EQ(second.wait_exit(seconds(60)).value_or(-1), 0);
  EXPECT_EQ(expect_prefix(), kTransactions);
}

}  // namespace
}  // namespace teal::test
