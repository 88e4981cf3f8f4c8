// What a server sends of transactions that are streamed while they run, or prepared, replayed by the decoder, against
// test_decoding over the same WAL (TRAPS C5, C6, M2, S24). A server of 13 streams nothing: there, the same transactions
// are compared as protocol 1 has them.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/pg_server.h"
#include "tests/support/random_seed.h"
#include "tests/support/random_workload.h"
#include "tests/support/wal_oracle.h"

namespace teal::test {
namespace {

constexpr int kFirstStreaming = 14;
constexpr int kFirstTwoPhase = 15;
constexpr int kFirstParallel = 16;  // and the first that can be told to stream every change at once

class StreamedWalOracleTest : public testing::Test {
 protected:
  StreamedWalOracleTest()
      : server_({.settings = {"logical_decoding_work_mem=64kB", "max_prepared_transactions=4"}, .major = blue_major()}),
        sql_(server_.connect()) {}

  /// The SQLSTATE with which the server refuses protocol 1 with one more option.
  std::string refusal(const std::string& option) {
    sql_.exec("CREATE PUBLICATION p FOR ALL TABLES");
    sql_.exec("SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
    return sql_.sqlstate_of(
        "SELECT * FROM pg_logical_slot_peek_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', "
        "'p', " +
        option + ")");
  }
  static bool streams() { return blue_major() >= kFirstStreaming; }

  /// Makes tables, then the oracle.
  void watch(const std::string& tables, WalOracleOptions options = {.protocol = newest_protocol(blue_major())}) {
    sql_.exec(tables);
    oracle_.emplace(sql_, options);
  }
  /// In every way in which the server streams; the last one brings what was rolled back before it was decoded too,
  /// which servers from 18 on leave out otherwise.
  void expect_agreement() {
    EXPECT_TRUE(oracle_->agree());
    if (blue_major() < kFirstParallel) return;
    oracle_->ask({.protocol = 4, .parallel = true});
    EXPECT_TRUE(oracle_->agree()) << "streaming 'parallel'";
    oracle_->ask({.protocol = 4, .parallel = true, .immediate = true});
    EXPECT_TRUE(oracle_->agree()) << "every change for itself";
  }
  [[nodiscard]] const StreamCounts& streamed() const { return oracle_->streamed(); }
  /// How many changes the transactions had that committed, one number for each.
  [[nodiscard]] std::vector<std::size_t> changes() const {
    std::vector<std::size_t> counts;
    for (const DecodedTransaction& transaction : oracle_->wal()) counts.push_back(transaction.changes.size());
    return counts;
  }

  PgServer server_;
  Sql sql_;
  std::optional<WalOracle> oracle_;
};

constexpr const char* kTable = "CREATE TABLE t (id int PRIMARY KEY, v text)";

/// Rows `from` to `to`; some 600 of them are more than the server keeps in memory.
std::string rows(int from, int to) {
  return "INSERT INTO public.t SELECT i, repeat('x', 100) FROM generate_series(" + std::to_string(from) + ", " +
         std::to_string(to) + ") i;";
}

TEST_F(StreamedWalOracleTest, C5RandomTransactionsThatAreStreamedAreDecodedAlike) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomWorkload workload(server_, "postgres", seed, {.finish_percent = 2, .alone_percent = 1});
  oracle_.emplace(sql_, WalOracleOptions{.protocol = newest_protocol(blue_major())});
  workload.run(3'000);
  expect_agreement();
  if (!streams()) return;
  EXPECT_GT(streamed().streamed_commits, 5U);
  EXPECT_GT(streamed().blocks, streamed().streamed_commits + 5) << "transactions of several blocks";
  // Not every seed has one that is rolled back as a whole once it was streamed; the next test does.
  EXPECT_GT(streamed().aborted_transactions + streamed().aborted_subtransactions, 10U);
}

TEST_F(StreamedWalOracleTest, C5OfInterleavedTransactionsOnlyWhatSurvivesIsLeft) {
  watch(kTable);
  Sql one = server_.connect();
  Sql two = server_.connect();
  Sql three = server_.connect();
  for (Sql* session : {&one, &two, &three}) session->exec("BEGIN");
  one.exec(rows(1, 1'000) + "SAVEPOINT a;" + rows(1'001, 2'000));
  two.exec(rows(10'001, 12'000));
  three.exec(rows(20'001, 21'000));
  one.exec("ROLLBACK TO a;" + rows(2'001, 2'500));
  sql_.exec("INSERT INTO public.t VALUES (0, 'between')");
  two.exec("ROLLBACK");
  three.exec("SAVEPOINT b; SAVEPOINT c;" + rows(21'001, 22'000) + "RELEASE c; ROLLBACK TO b; COMMIT");
  one.exec("DELETE FROM public.t WHERE id BETWEEN 1 AND 10; COMMIT");
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{1, 1'000, 1'510}));
  if (!streams()) return;
  EXPECT_GE(streamed().streamed_commits, 2U);
  EXPECT_EQ(streamed().aborted_transactions, 1U);
  EXPECT_GE(streamed().aborted_subtransactions, 2U);
  EXPECT_GE(streamed().discarded, 3'000U);
}

// The table is announced anew after an abort, because the announcement may have gone with what was aborted.
TEST_F(StreamedWalOracleTest, C4C5ARelationThatChangesInsideIsReadAsItWasForEachRow) {
  watch(kTable);
  sql_.exec("BEGIN; SAVEPOINT a;" + rows(1, 700) + "ALTER TABLE public.t ADD w int DEFAULT 1;" + rows(701, 1'400) +
            "ROLLBACK TO a;" + rows(1'401, 2'100) +
            "ALTER TABLE public.t RENAME v TO v2; ALTER TABLE public.t ADD z int;" + rows(2'101, 2'800) +
            "ALTER TABLE public.t RENAME TO u; COMMIT");
  sql_.exec("INSERT INTO public.u VALUES (0, 'after', 1)");
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{1'400, 1}));
  const std::vector<DecodedChange>& decoded = oracle_->wal().at(0).changes;
  EXPECT_EQ(decoded.front().new_row.size(), 2U);
  EXPECT_EQ(decoded.back().new_row.size(), 3U);
  EXPECT_EQ(decoded.back().new_row.at(1).name, "v2");
  EXPECT_EQ(oracle_->wal().at(1).changes.at(0).tables.at(0), decoded_table("public", "u"));
  EXPECT_GE(streamed().aborted_subtransactions, streams() ? 1U : 0U);
}

TEST_F(StreamedWalOracleTest, C5ATransactionThatIsStreamedTwiceAndTouchesNothingPublishedIsEmpty) {
  watch(std::string(kTable) + "; CREATE UNLOGGED TABLE unseen (LIKE t)");
  sql_.exec("BEGIN; INSERT INTO public.unseen SELECT i, '' FROM generate_series(1, 1000) i; SAVEPOINT a;" +
            rows(1, 2'000) + "ROLLBACK TO a; COMMIT");
  sql_.exec(rows(1, 1));
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{1}));
}

// A block of PL/pgSQL with an exception handler is a subtransaction: every third one here fails and is rolled back.
TEST_F(StreamedWalOracleTest, M2TenThousandSubtransactionsLeaveThoseThatDidNotFail) {
  watch(kTable);
  sql_.exec(
      "DO $$ BEGIN FOR i IN 1..10000 LOOP BEGIN INSERT INTO public.t VALUES (i, repeat('x', 100)); "
      "IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END "
      "$$");
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{6'667}));
  EXPECT_GE(streamed().blocks, streams() ? 11U : 0U);
}

// More open subtransactions than a backend's cache holds (64), so that their parents are looked up elsewhere.
TEST_F(StreamedWalOracleTest, M2NestedSavepointsAreRolledBackWithAllThatIsInside) {
  watch(kTable);
  std::string script = "BEGIN;";
  for (int depth = 0; depth < 100; ++depth) {
    script += "SAVEPOINT s" + std::to_string(depth) + ";" + rows(1 + depth * 100, 100 + depth * 100);
    if (depth % 10 == 9) script += "RELEASE s" + std::to_string(depth) + ";";
  }
  sql_.exec(script + "ROLLBACK TO s70;" + rows(20'001, 20'050) + "ROLLBACK TO s30; RELEASE s2;" + rows(30'001, 31'000) +
            "COMMIT");
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{4'000}));
  EXPECT_GE(streamed().aborted_subtransactions, streams() ? 60U : 0U);
}

// B7: it would be missing in later blocks, and the rows would go back to where they came from.
TEST_F(StreamedWalOracleTest, B7AStreamedTransactionIsAnOwnOneInAllItsBlocks) {
  sql_.exec(kTable);
  sql_.exec("CREATE PUBLICATION p FOR ALL TABLES");
  sql_.exec("SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
  sql_.exec("SELECT pg_replication_origin_create('teal_demo_green_to_blue')");
  sql_.exec("SELECT pg_replication_origin_session_setup('teal_demo_green_to_blue')");
  sql_.exec("BEGIN;" + rows(1, 3'000) + "COMMIT");
  std::size_t received = 0;
  std::size_t own = 0;
  const int protocol = newest_protocol(blue_major());
  StreamReplay replay(protocol, {.own_origin_prefix = "teal_demo_"}, [&](const TransactionSlice& slice) {
    received += slice.counts.received;
    own += slice.counts.own;
  });
  replay_slot(sql_, "s", "p", {.protocol = protocol}, replay);
  EXPECT_EQ(received, 3'000U);
  EXPECT_EQ(own, 3'000U);
  EXPECT_GE(replay.counts().blocks, streams() ? 4U : 0U);
}

TEST_F(StreamedWalOracleTest, C6WithoutTwoPhaseDecodingPreparedTransactionsComeAtTheirCommit) {
  watch(kTable);
  sql_.exec("BEGIN;" + rows(1, 1'000) + "SAVEPOINT a;" + rows(1'001, 2'000) +
            "ROLLBACK TO a; PREPARE TRANSACTION 'large'");
  sql_.exec("BEGIN;" + rows(3'001, 3'002) + "PREPARE TRANSACTION 'small'");
  sql_.exec("BEGIN;" + rows(4'001, 6'000) + "PREPARE TRANSACTION 'undone'");
  sql_.exec("INSERT INTO public.t VALUES (0, 'between')");
  sql_.exec("COMMIT PREPARED 'small'; ");
  sql_.exec("ROLLBACK PREPARED 'undone'");
  sql_.exec("COMMIT PREPARED 'large'");
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{1, 2, 1'000}));
  EXPECT_EQ(streamed().aborted_transactions, streams() ? 1U : 0U);
}

TEST_F(StreamedWalOracleTest, C6WithTwoPhaseDecodingTheyComeAtTheirPrepareAndCountAtTheirCommit) {
  if (blue_major() < kFirstTwoPhase) {
    EXPECT_EQ(refusal("'two_phase', 'on'"), "XX000") << "nothing of it can reach the decoder";
    return;
  }
  watch(kTable, {.protocol = newest_protocol(blue_major()), .two_phase = true});
  sql_.exec("BEGIN;" + rows(1, 1'000) + "SAVEPOINT a;" + rows(1'001, 2'000) +
            "ROLLBACK TO a; PREPARE TRANSACTION 'large'");
  sql_.exec("BEGIN;" + rows(3'001, 3'002) + "PREPARE TRANSACTION 'it''s \"small\"'");
  sql_.exec("BEGIN;" + rows(4'001, 4'003) + "PREPARE TRANSACTION 'undone'");
  sql_.exec("BEGIN;" + rows(5'001, 7'000) + "PREPARE TRANSACTION 'large and undone'");
  sql_.exec("INSERT INTO public.t VALUES (0, 'between')");
  sql_.exec("COMMIT PREPARED 'it''s \"small\"'");
  sql_.exec("ROLLBACK PREPARED 'undone'");
  sql_.exec("COMMIT PREPARED 'large'");
  sql_.exec("ROLLBACK PREPARED 'large and undone'");
  EXPECT_TRUE(oracle_->agree());
  EXPECT_EQ(changes(), (std::vector<std::size_t>{1, 2, 1'000}));
  EXPECT_EQ(streamed().prepared, 4U);
  EXPECT_EQ(streamed().prepared_commits, 2U);
  EXPECT_EQ(streamed().prepared_rollbacks, 2U);
  EXPECT_GT(streamed().blocks, 4U);
}

TEST_F(StreamedWalOracleTest, C5ParallelStreamingBringsTheAbortsRecords) {
  if (blue_major() < kFirstParallel) {
    EXPECT_NE(refusal("'streaming', 'parallel'"), "") << "nothing of it can reach the decoder";
    return;
  }
  watch(kTable);
  sql_.exec("BEGIN;" + rows(1, 1'000) + "SAVEPOINT a;" + rows(1'001, 2'000) + "ROLLBACK TO a; COMMIT");
  sql_.exec("BEGIN;" + rows(2'001, 4'000) + "ROLLBACK");
  sql_.exec(rows(5'001, 5'001));
  expect_agreement();
  EXPECT_EQ(changes(), (std::vector<std::size_t>{1'000, 1}));
  EXPECT_EQ(streamed().abort_records, 2U);
  EXPECT_EQ(streamed().aborted_transactions, 1U);
}

// With protocol 1 too, a server of 18 sends the aborts of subtransactions of which it sent nothing.
TEST_F(StreamedWalOracleTest, C5WithoutStreamingLargeTransactionsThatWereRolledBackLeaveNothing) {
  watch(kTable, {.protocol = 1});
  sql_.exec("BEGIN; SAVEPOINT a;" + rows(1, 10) + "RELEASE a;" + rows(11, 2'000) + "ROLLBACK");
  sql_.exec("BEGIN;" + rows(1, 10) + "SAVEPOINT a;" + rows(1'001, 2'000) + "ROLLBACK TO a; COMMIT");
  EXPECT_TRUE(oracle_->agree());
  EXPECT_EQ(changes(), (std::vector<std::size_t>{10}));
  EXPECT_EQ(streamed().blocks, 0U);
}

}  // namespace
}  // namespace teal::test
