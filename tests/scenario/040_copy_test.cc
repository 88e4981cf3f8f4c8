// The initial copy beside writers, killed at each of its steps, and with tables that can't be copied.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kTables = {"public.a", "public.b", "public.c"};

class InitialCopy : public SidecarFixture {
 protected:
  /// Tables a, b, c on both sides, `rows` each on blue, published.
  void prepare(int rows, const std::string& more = "") {
    for (const char* name : {"a", "b", "c"}) {
      create_tables_both(std::string("CREATE TABLE ") + name +
                         " (id bigserial PRIMARY KEY, n int NOT NULL, note text)");
      blue_owner().exec(std::string("INSERT INTO ") + name +
                        " (n, note) SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, " + std::to_string(rows) +
                        ") i");
    }
    create_publication(kTables);
    configure("copy: { schema: false }\n" + more);
  }

  void expect_tables_equal() {
    for (const std::string& table : kTables) expect_equal(table);
  }

  std::int64_t copied_tables() {
    return green().number("SELECT count(*) FROM teal.table_state WHERE state = 'copied'");
  }

  /// Whatever is in green's tables is a whole table, and its state says so.
  void expect_whole_or_untouched(int rows) {
    for (const std::string& table : kTables) {
      const std::int64_t there = green().number("SELECT count(*) FROM " + table);
      const bool copied = green().truth(
          "SELECT count(*) = 1 FROM teal.table_state WHERE state = 'copied' AND "
          "schema_name || '.' || table_name = " +
          sql_text(table));
      EXPECT_EQ(there, copied ? rows : 0) << table;
    }
  }
};

// Inserts, updates, deletes and key changes in all tables, in transactions that span them.
constexpr const char* kWriterScript = R"(\set id random(1, 100000)
\set other random(1, 100000)
BEGIN;
INSERT INTO a (n, note) VALUES (:id, 'new');
UPDATE b SET n = n + 1 WHERE id = :id;
DELETE FROM c WHERE id = :other;
INSERT INTO c (id, n, note) VALUES (:other, :id, 'again') ON CONFLICT (id) DO NOTHING;
UPDATE a SET note = note || 'x' WHERE id = :other;
DELETE FROM b WHERE id = :other AND n % 7 = 0;
END;
)";

TEST_F(InitialCopy, I1RowsWrittenWhileItRunsAreThereOnce) {
  prepare(100'000);
  const std::filesystem::path script = make_scratch_directory("writer") / "script.sql";
  write_file(script, kWriterScript);
  Pgbench writer(blue_server(), kOwnerRole, kShopDatabase,
                 {.clients = 4, .seconds = 120, .more = {"-f", script.string()}});
  const std::string written = "SELECT last_value FROM public.a_id_seq";
  wait_until("the writer writes", seconds(20), [&] { return blue().number(written) > 100'200; });
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(60));
  const std::int64_t at_start = blue().number(written);
  teal.wait_for_log("link streaming", seconds(120));
  const std::int64_t at_end = blue().number(written);
  wait_until("the writer has written on", seconds(20), [&] { return blue().number(written) > at_end + 200; });
  writer.stop();
  EXPECT_GT(at_end, at_start) << "nothing was written while the copy ran: this proves nothing";
  wait_caught_up();
  expect_tables_equal();
  EXPECT_GT(blue().number("SELECT count(*) FROM a"), 100'000);
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%copy%'"), 0);
}

class CopyKilledAt : public InitialCopy, public testing::WithParamInterface<const char*> {};

TEST_P(CopyKilledAt, I2RunAgainEveryRowIsThereOnce) {
  constexpr int kRows = 2000;
  prepare(kRows, "");
  const std::string failpoint = std::string("TEAL_FAILPOINT=") + GetParam();
  TealProcess& teal = run({}, {.environment = {failpoint}});
  EXPECT_EQ(teal.wait_exit(seconds(60)), 128 + SIGKILL) << teal.err();
  wait_until("green has rolled back what the dead process had open", seconds(20), [&] {
    return green().truth("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'teal/%'");
  });
  expect_whole_or_untouched(kRows);
  blue_owner().exec(
      "UPDATE a SET n = -1 WHERE id % 3 = 0; DELETE FROM b WHERE id % 5 = 0; INSERT INTO c (n) VALUES (1)");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(copied_tables(), 3);
  expect_tables_equal();
}

INSTANTIATE_TEST_SUITE_P(EachStep, CopyKilledAt,
                         testing::Values("before_copy_snapshot", "copy_snapshot_made", "copy_started", "copy_started:2",
                                         "copy_started:3", "copy_rows_sent", "copy_rows_sent:3", "before_copy_commit:2",
                                         "copy_committed", "copy_committed:2", "copy_committed:3"),
                         [](const auto& named) {
                           std::string name;
                           for (const char c : std::string(named.param)) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) name.push_back(c);
                           }
                           return name;
                         });

TEST_F(InitialCopy, I8ServersThatCrashMeanwhileCostOnlyATime) {
  constexpr int kRows = 100'000;
  prepare(kRows);
  TealProcess& teal = run();
  std::size_t copies = 0;
  for (PgServer* server : {&green_server(), &blue_server()}) {
    wait_until("a copy has begun", seconds(60), [&] { return times_logged("copy started") > copies; });
    copies = times_logged("copy started");
    const std::size_t interruptions = times_logged("copy interrupted");
    server->restart(StopMode::kImmediate);
    wait_until("teal has noticed", seconds(60), [&] { return times_logged("copy interrupted") > interruptions; });
    expect_whole_or_untouched(kRows);
  }
  teal.wait_for_log("link streaming", seconds(120));
  wait_caught_up();
  expect_tables_equal();
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

// Also while it is asked which tables are left.
TEST_F(InitialCopy, I8ConnectionThatIsLostAgainBeforeTheNextAttemptCostsNoTable) {
  FaultProxy proxy(green_server().port());
  prepare(100'000);
  config_ = write_config({.green = "postgresql://teal@127.0.0.1:" + std::to_string(proxy.port()) + "/" +
                                   std::string(kShopDatabase),
                          .more = "direction: forward\ncopy: { schema: false, jobs: 1 }\n"})
                .string();
  TealProcess& teal = run();
  teal.wait_for_log("table copied", seconds(60));
  proxy.cut_at_commit(1, CommitCut::kBefore);
  teal.wait_for_log("copy interrupted, trying again", seconds(60));
  proxy.cut_after(Toward::kServer, 0);
  teal.wait_for_log("link streaming", seconds(120));
  EXPECT_FALSE(proxy.armed());
  EXPECT_GE(times_logged("copy interrupted"), 2U);
  wait_caught_up();
  expect_tables_equal();
}

TEST_F(InitialCopy, TermEndsItQuicklyAndTheNextRunGoesOn) {
  constexpr int kRows = 100'000;
  prepare(kRows);
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(60));
  EXPECT_EQ(teal.terminate(seconds(10)), 0) << teal.err();
  expect_whole_or_untouched(kRows);
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%copy%'"), 0);
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_tables_equal();
}

TEST_F(InitialCopy, I6TableThatIsNotEmptyOnGreenIsRefusedBeforeAnythingIsMade) {
  prepare(500);
  green_owner().exec("INSERT INTO b (id, n, note) VALUES (7, 7, 'mine')");
  for (const char* what : {"check", "run"}) {
    const TealResult result = command({what});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_THAT(result.out + result.err, HasSubstr("public.b is not empty"));
    EXPECT_THAT(result.out + result.err, HasSubstr("--no-copy"));
  }
  EXPECT_EQ(green().value("SELECT string_agg(note, ',') FROM b"), "mine");
  EXPECT_EQ(green().number("SELECT count(*) FROM a"), 0);
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 0);
  green_owner().exec("TRUNCATE b");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_tables_equal();
}

TEST_F(InitialCopy, I9TableThatFailsDoesNotStopTheOthers) {
  prepare(500);
  green_owner().exec("ALTER TABLE b ADD CONSTRAINT refuses CHECK (n <> 250)");
  const TealResult result = command({"run"});
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_THAT(result.err, HasSubstr("public.b"));
  EXPECT_THAT(result.err, HasSubstr("refuses"));
  EXPECT_THAT(result.err, Not(HasSubstr(blue().value("SELECT note FROM b WHERE n = 250")))) << "a row's values";
  EXPECT_EQ(copied_tables(), 2);
  EXPECT_EQ(green().number("SELECT count(*) FROM b"), 0);
  green_owner().exec("ALTER TABLE b DROP CONSTRAINT refuses");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_tables_equal();
}

TEST_F(InitialCopy, I3OpenTransactionOnBlueIsNamedAndTermLeavesNoSlotBehind) {
  prepare(500);
  Sql open = blue_server().connect(kOwnerRole, kShopDatabase);
  open.exec("BEGIN; INSERT INTO a (n) VALUES (1)");
  const std::string pid = std::to_string(open.backend_pid());
  {
    TealProcess& teal = run();
    teal.wait_for_log("slot creation waits for an open transaction pid=" + pid + " user=shop_owner", seconds(30));
    EXPECT_EQ(teal.terminate(seconds(10)), 0) << teal.err();
    EXPECT_THAT(teal.err(), HasSubstr("no slot was left behind"));
    EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 0);
  }
  TealProcess& teal = run();
  teal.wait_for_log("slot creation waits for an open transaction pid=" + pid, seconds(30));
  open.exec("COMMIT");
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  expect_tables_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM a"), 501);
}

TEST_F(InitialCopy, I3PreparedTransactionOnBlueIsNamed) {
  blue_server().configure({"max_prepared_transactions=2"});
  blue_server().restart();
  prepare(10);
  blue_owner().exec("BEGIN; INSERT INTO a (n) VALUES (1); PREPARE TRANSACTION 'forgotten'");
  TealProcess& teal = run();
  teal.wait_for_log("slot creation waits for a prepared transaction gid=forgotten", seconds(30));
  blue_owner().exec("COMMIT PREPARED 'forgotten'");
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  expect_tables_equal();
}

TEST_F(InitialCopy, NoCopyLeavesGreenAsItIsAndStreams) {
  prepare(100);
  green_owner().exec("INSERT INTO a (id, n, note) VALUES (1, 1, 'green has it already')");
  run_streaming({"--no-copy"});
  EXPECT_EQ(green().value("SELECT string_agg(note, ',') FROM a"), "green has it already");
  EXPECT_EQ(green().number("SELECT count(*) FROM b"), 0);
  EXPECT_EQ(copied_tables(), 3);
  blue_owner().exec("INSERT INTO b (n, note) VALUES (1, 'after')");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(note, ',') FROM b"), "after");
}

TEST_F(InitialCopy, H1TableAddedLaterIsCopiedByTheNextRun) {
  prepare(200, "tables: { include: [public.a, public.b] }\n");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE c");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM c"), 0);
  // Written before the table is published, and after that but before it is copied.
  blue_owner().exec("UPDATE c SET n = -n WHERE id <= 50; INSERT INTO a (n) VALUES (1)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE c");
  blue_owner().exec("UPDATE c SET n = 0 WHERE id BETWEEN 51 AND 100; DELETE FROM c WHERE id > 150");
  configure("copy: { schema: false }\ntables: { include: [public.a, public.b, public.c] }\n");
  run_streaming();
  blue_owner().exec("INSERT INTO c (n) VALUES (1); UPDATE c SET note = 'late' WHERE id = 10");
  wait_joined("c");
  wait_caught_up();
  EXPECT_EQ(copied_tables(), 3);
  expect_tables_equal();
}

}  // namespace
}  // namespace teal::test
