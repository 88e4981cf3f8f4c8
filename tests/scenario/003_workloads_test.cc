// The workloads that judge a link, without one: what their readers and their last check must find is planted here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/pg_server.h"
#include "tests/support/wait_until.h"
#include "tests/support/workloads/workload_run.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// Blue and green are one database here: a perfect link.
class Workloads : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<std::unique_ptr<Workload>> workloads;
    for (auto make : {make_bank, make_ledger, make_swap, make_toast, make_lists}) workloads.push_back(make());
    run_ = std::make_unique<WorkloadRun>(std::move(workloads),
                                         WorkloadRunOptions{.blue = server_.conninfo("postgres", "postgres"),
                                                            .green = server_.conninfo("postgres", "postgres"),
                                                            .writers_each = 2,
                                                            .seed = 7});
    sql_.exec(run_->schema_sql() + run_->rows_sql());
    run_->start_writers();
  }

  void wait_for_transactions(std::int64_t count) {
    const std::int64_t goal = run_->acknowledged() + count;
    wait_until("so much was committed", seconds(30), [&] { return run_->acknowledged() >= goal; });
  }
  void wait_for_snapshots(std::int64_t count) {
    const std::int64_t goal = run_->snapshots() + count;
    wait_until("so much was looked at", seconds(30), [&] { return run_->snapshots() >= goal; });
  }

  PgServer server_;
  Sql sql_ = server_.connect();
  std::unique_ptr<WorkloadRun> run_;
};

TEST_F(Workloads, FindNothingWrongWhereNothingIs) {
  run_->start_readers();
  wait_for_transactions(1000);
  wait_for_snapshots(10);
  run_->stop_writers();
  run_->stop_readers();
  EXPECT_EQ(run_->violations(), std::vector<std::string>());
  EXPECT_EQ(run_->check_at_rest(sql_), "");
  EXPECT_GT(run_->refused(), 0) << "nothing was rolled back on purpose";
  EXPECT_EQ(run_->in_doubt(), 0);
}

TEST_F(Workloads, A10TransactionsInDoubtAreSettledAfterACrash) {
  run_->start_readers();
  for (int i = 0; i < 4; ++i) {
    wait_for_transactions(200);
    server_.restart(StopMode::kImmediate);
  }
  wait_for_transactions(200);
  run_->stop_writers();
  run_->stop_readers();
  EXPECT_GT(run_->in_doubt(), 0);
  EXPECT_EQ(run_->violations(), std::vector<std::string>());
  Sql sql = server_.connect();
  EXPECT_EQ(run_->check_at_rest(sql), "");
}

struct Planted {
  const char* name;
  const char* sql;
  const char* found;
  bool by_readers;  ///< in any snapshot; else only when everything was applied
};

class WorkloadsFind : public Workloads, public testing::WithParamInterface<Planted> {};

TEST_P(WorkloadsFind, I3WhatWasPlanted) {
  wait_for_transactions(500);
  run_->stop_writers();
  sql_.exec(GetParam().sql);
  run_->start_readers();
  if (GetParam().by_readers) {
    wait_until("a reader has found it", seconds(20), [&] { return !run_->violations().empty(); });
    EXPECT_THAT(run_->violations().front(), HasSubstr(GetParam().found));
  } else {
    wait_for_snapshots(3);
    EXPECT_EQ(run_->violations(), std::vector<std::string>());
    EXPECT_THAT(run_->check_at_rest(sql_), HasSubstr(GetParam().found));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, WorkloadsFind,
    testing::Values(
        Planted{"HalfATransfer", "UPDATE bank SET balance = balance + 1 WHERE id = 3", "bank: 100 accounts with", true},
        Planted{"ATransferThatWasLost",
                "UPDATE bank SET balance = balance + CASE id WHEN 3 THEN 1 ELSE -1 END WHERE id IN (3, (SELECT id FROM "
                "bank WHERE id <> 3 AND balance > 0 LIMIT 1))",
                "bank: account 3 has", false},
        Planted{"ARowThatIsMissingInBetween", "DELETE FROM ledger WHERE client = 0 AND n = 5", "goes on after 4 with 6",
                true},
        Planted{"AHeadWithoutItsRows", "UPDATE ledger_head SET n = n + 1 WHERE client = 1", "the head of client 1",
                true},
        Planted{
            "TheLastTransactionThatWasLost",
            "WITH gone AS (DELETE FROM ledger WHERE client = 0 AND txn = (SELECT max(txn) FROM ledger WHERE client = "
            "0) RETURNING n) UPDATE ledger_head SET n = (SELECT min(n) FROM gone) - 1 WHERE client = 0",
            "ledger: client 0 committed", false},
        Planted{"ATokenTwice", "UPDATE swap_deferred SET token = 200 WHERE slot = 3", "swap_deferred: other tokens",
                true},
        Planted{"AnIntermediateToken", "UPDATE swap_temporary SET token = -4 WHERE slot = 3",
                "swap_temporary: other tokens", true},
        Planted{"AValueThatBecameNull", "UPDATE toast SET b = NULL WHERE id = (SELECT min(id) FROM toast)",
                "toast: rows", true},
        Planted{"AnOlderValue", "UPDATE toast SET a = 'old' WHERE id = (SELECT min(id) FROM toast)", "toast: rows",
                true},
        Planted{"AChangeThatWasLost", "UPDATE toast SET changes = changes - 1 WHERE changes > 0", "changes", false},
        Planted{"ATokenOfARolledBackTransaction", "UPDATE lists SET tokens = tokens || ' !0.1'", "was rolled back",
                true},
        Planted{"ATokenInTooManyLists", "UPDATE lists SET tokens = tokens || ' 0.999999.1'", "lists: 0.999999.1", true},
        Planted{"ATransactionThatWasNotCounted", "UPDATE workload_done SET txn = txn - 1 WHERE writer = 0",
                "transactions were committed, green has", false}),
    [](const auto& named) { return std::string(named.param.name); });

}  // namespace
}  // namespace teal::test
