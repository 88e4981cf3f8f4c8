// Large tables are copied in pieces of their pages, which are committed one by one; and the copy's rate is bounded.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr int kReadsRanges = 14;  // of pages, without reading all; an older blue's tables are copied whole
constexpr int kRows = 5000;       // some hundred pages, most of them in `a`

class CopyInPieces : public SidecarFixture {
 protected:
  /// Table `a`, which is copied in pieces, and `b`, which is not.
  void prepare(const std::string& key = "id bigint PRIMARY KEY", const std::string& more = "") {
    create_tables_both("CREATE TABLE a (" + key + ", n int NOT NULL, note text); CREATE TABLE b (id int PRIMARY KEY)");
    blue_owner().exec("INSERT INTO a SELECT i, i, repeat(md5(i::text), 3) FROM generate_series(1, " +
                      std::to_string(kRows) + ") i; INSERT INTO b SELECT generate_series(1, 10)");
    // Versions that are dead, or were moved, lie between.
    blue_owner().exec("DELETE FROM a WHERE n % 10 = 0; UPDATE a SET note = 'moved' || n WHERE n % 7 = 0");
    create_publication({"public.a", "public.b"});
    configure_pieces(more);
  }
  void configure_pieces(const std::string& more = "") {
    configure("copy: { schema: false, jobs: 1, split_larger_than: 64KiB" + more + " }\n");
  }

  void expect_tables_equal() {
    expect_equal("public.a");
    expect_equal("public.b");
  }

  std::int64_t begun() {
    return green().number("SELECT count(*) FROM teal.table_state WHERE state = 'pending' AND copy_attempt > 0");
  }

  /// A run that has been killed once it has committed a piece of `a`, and not all of them.
  void leave_a_part_behind() {
    TealProcess& teal = run({}, {.environment = {"TEAL_FAILPOINT=copy_committed:2"}});
    ASSERT_EQ(teal.wait_exit(seconds(60)), 128 + SIGKILL) << teal.err();
    wait_until("green has rolled back what the dead process had open", seconds(20), [&] {
      return green().truth("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'teal/%'");
    });
    ASSERT_GT(green().number("SELECT count(*) FROM a"), 0);
    ASSERT_EQ(begun(), 1);
  }
};

TEST_F(CopyInPieces, I7EveryRowIsThereOnceAlsoWhileTheTableGrows) {
  prepare();
  configure("copy: { schema: false, jobs: 4, split_larger_than: 64KiB }\n");
  const std::filesystem::path script = make_scratch_directory("writer") / "script.sql";
  write_file(script,
             "\\set id random(1, 5000)\nINSERT INTO a VALUES (5000 + nextval('more'), 1, repeat('x', 100));\n"
             "UPDATE a SET n = n + 1 WHERE id = :id;\nDELETE FROM a WHERE id = 5001 - :id AND n % 3 = 0;\n");
  blue_owner().exec("CREATE SEQUENCE more");
  Pgbench writer(blue_server(), kOwnerRole, kShopDatabase,
                 {.clients = 2, .seconds = 120, .more = {"-f", script.string()}});
  wait_until("the writer writes", seconds(20),
             [&] { return blue().number("SELECT last_value FROM public.more") > 100; });
  TealProcess& teal = run();
  teal.wait_for_log("link streaming", seconds(120));
  writer.stop();
  EXPECT_EQ(times_logged(" pieces=1 "), blue_major() >= kReadsRanges ? 1U : 2U) << teal.err();
  wait_caught_up();
  expect_tables_equal();
}

class CopyInPiecesKilledAt : public CopyInPieces, public testing::WithParamInterface<const char*> {};

TEST_P(CopyInPiecesKilledAt, I2RunAgainEveryRowIsThereOnce) {
  prepare();
  TealProcess& teal = run({}, {.environment = {std::string("TEAL_FAILPOINT=") + GetParam()}});
  EXPECT_EQ(teal.wait_exit(seconds(60)), 128 + SIGKILL) << teal.err();
  blue_owner().exec(
      "UPDATE a SET n = -1 WHERE id % 3 = 0; DELETE FROM a WHERE id % 5 = 0; INSERT INTO a VALUES (0, 1)");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.table_state WHERE state = 'copied'"), 2);
  expect_tables_equal();
}

// copy_started: the table is known as begun; then three passes for each piece, and for the whole.
INSTANTIATE_TEST_SUITE_P(EachStep, CopyInPiecesKilledAt,
                         testing::Values("copy_started", "copy_rows_sent", "before_copy_commit", "copy_committed",
                                         "copy_rows_sent:3", "before_copy_commit:3", "copy_committed:3"),
                         [](const auto& named) {
                           std::string name;
                           for (const char c : std::string(named.param)) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) name.push_back(c);
                           }
                           return name;
                         });

TEST_F(CopyInPieces, I8PartThatAKilledTealLeftIsEmptiedAlsoWithoutAKeyAndIsNoReasonToRefuse) {
  prepare("id bigint");
  blue_owner().exec("ALTER TABLE a REPLICA IDENTITY FULL");
  leave_a_part_behind();
  EXPECT_EQ(command({"check"}).exit_code, 0);
  const TealResult refused = command({"run", "--no-copy"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("public.a was being copied in pieces"));
  EXPECT_EQ(begun(), 1);
  // In one piece, this time.
  configure("copy: { schema: false, split_larger_than: 0 }\n");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  expect_tables_equal();
}

TEST_F(CopyInPieces, I8PartIsEmptiedThoughATableOfGreenRefersToIt) {
  prepare();
  leave_a_part_behind();
  green_owner().exec("CREATE TABLE note (a bigint REFERENCES a)");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  expect_tables_equal();
}

TEST_F(CopyInPieces, I6RowsOfSomebodyElseAreRefusedAndStay) {
  prepare();
  green_owner().exec("INSERT INTO a VALUES (7, 7, 'mine')");
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_EQ(green().value("SELECT string_agg(note, ',') FROM a"), "mine");
}

// TRUNCATE comes between two pieces, whose snapshot finds nothing in the table's new file.
TEST_F(CopyInPieces, TableThatIsTruncatedBetweenPiecesIsCopiedAgain) {
  prepare();
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.a IN SHARE MODE");
  TealProcess& teal = run();
  wait_until("the first piece waits", seconds(60), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'teal/%'");
  });
  Sql truncate = blue_server().connect(kOwnerRole, kShopDatabase);
  truncate.send("TRUNCATE public.a; INSERT INTO public.a VALUES (1, 1, 'after')");
  wait_until("TRUNCATE waits", seconds(30),
             [&] { return blue().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"); });
  blocker.exec("ROLLBACK");
  truncate.finish();
  teal.wait_for_log("table was altered after the snapshot, it is copied again", seconds(60));
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  expect_tables_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM a"), 1);
}

TEST_F(CopyInPieces, ServersThatCrashMeanwhileCostOnlyATime) {
  prepare("id bigint PRIMARY KEY", ", max_rate: 256KiB");
  TealProcess& teal = run();
  std::size_t copies = 0;
  for (PgServer* server : {&green_server(), &blue_server()}) {
    wait_until("a copy has begun", seconds(60), [&] { return times_logged("copy started") > copies; });
    copies = times_logged("copy started");
    const std::size_t interruptions = times_logged("copy interrupted");
    server->restart(StopMode::kImmediate);
    wait_until("teal has noticed", seconds(60), [&] { return times_logged("copy interrupted") > interruptions; });
  }
  teal.wait_for_log("link streaming", seconds(120));
  wait_caught_up();
  expect_tables_equal();
}

TEST_F(CopyInPieces, RateOfAllJobsTogetherIsBounded) {
  prepare();
  configure("copy: { schema: false, jobs: 4, split_larger_than: 64KiB, max_rate: 128KiB }\n");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run_until_synced().exit_code, 0);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::int64_t bytes = green().number("SELECT sum(copied_bytes) FROM teal.table_state");
  EXPECT_GT(bytes, 256 * 1024);
  EXPECT_GE(took, static_cast<double>(bytes) / (128 * 1024));
  expect_tables_equal();
}

TEST_F(CopyInPieces, TermEndsACopyThatWaitsForItsRate) {
  prepare("id bigint PRIMARY KEY", ", max_rate: 1");
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(60));
  EXPECT_EQ(teal.terminate(seconds(10)), 0) << teal.err();
  configure_pieces();
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_tables_equal();
}

}  // namespace
}  // namespace teal::test
