// Transactions that are larger than any buffer: they come in blocks while the source still writes them, wait on disk,
// and are applied in one target transaction (TRAPS C5, M1, M2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/pg_installation.h"
#include "tests/support/random_seed.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class LargeTransactions : public SidecarFixture {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"logical_decoding_work_mem=64kB", "wal_sender_timeout=10s"}};
  }

  void stream(const std::string& more = "apply: { spill_dir: %s }\n") {
    spill_ = make_scratch_directory("spill");
    std::string options = more;
    if (const auto at = options.find("%s"); at != std::string::npos) options.replace(at, 2, spill_.string());
    SidecarFixture::start("CREATE TABLE big (id bigint PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY)",
                          {"public.big", "public.small"}, options);
  }

  /// Files of teal's that have no name: what waits on disk.
  std::size_t spilled_files() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(teal_->pid()) + "/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
      if (!gone && target.starts_with(spill_.string())) ++count;
    }
    return count;
  }
  void wait_spilled() {
    if (!source_streams()) return;
    wait_until("blocks of the open transaction are on disk", seconds(30), [&] { return spilled_files() > 0; });
  }
  /// Older ones send a transaction only when it has committed.
  static bool source_streams() { return blue_major() >= 14; }
  /// How many of the slot's transactions blue has sent in blocks.
  std::int64_t streamed() {
    return blue().number("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = " + sql_text(kSlot));
  }
  void expect_streamed(std::int64_t least) {
    if (!source_streams()) return;
    EXPECT_GE(streamed(), least);
  }

  static std::string rows(int from, int to, const std::string& value = "repeat(md5(i::text), 4)") {
    return "INSERT INTO public.big SELECT i, " + value + " FROM generate_series(" + std::to_string(from) + ", " +
           std::to_string(to) + ") i";
  }

  void expect_both_equal() {
    wait_caught_up();
    expect_equal("public.big");
    expect_equal("public.small");
    EXPECT_EQ(spilled_files(), 0U);
    EXPECT_TRUE(std::filesystem::is_empty(spill_));
  }

  std::filesystem::path spill_;
};

TEST_F(LargeTransactions, C5IsReceivedWhileItIsOpenAndAppearsWholeAtItsCommit) {
  stream();
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; " + rows(1, 20'000));
  wait_spilled();
  blue_owner().exec("INSERT INTO small VALUES (1)");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.small"), 1) << "others overtake it";
  EXPECT_EQ(green().number("SELECT count(*) FROM public.big"), 0);
  writer.exec("COMMIT");
  expect_both_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.big"), 20'000);
  EXPECT_EQ(green().number("SELECT count(DISTINCT xmin::text) FROM public.big"), 1) << "one target transaction";
  expect_streamed(1);
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

TEST_F(LargeTransactions, C5M2SubtransactionsThatAreRolledBackLeaveNothing) {
  stream();
  blue_owner().exec(rows(1, 1000));
  Sql first = blue_server().connect(kOwnerRole, kShopDatabase);
  Sql second = blue_server().connect(kOwnerRole, kShopDatabase);
  first.exec("BEGIN; " + rows(10'001, 12'000));
  second.exec("BEGIN; " + rows(20'001, 22'000));
  first.exec("SAVEPOINT a; " + rows(12'001, 14'000) + "; SAVEPOINT b; UPDATE public.big SET v = 'b' WHERE id < 500");
  second.exec("SAVEPOINT a; DELETE FROM public.big WHERE id BETWEEN 500 AND 1000; ROLLBACK TO a; " +
              rows(22'001, 24'000));
  first.exec("ROLLBACK TO b; UPDATE public.big SET v = 'after b' WHERE id > 11000; SAVEPOINT c; " +
             rows(14'001, 16'000) + "; RELEASE c; ROLLBACK TO a; " + rows(16'001, 18'000));
  Sql third = blue_server().connect(kOwnerRole, kShopDatabase);
  third.exec("BEGIN; " + rows(30'001, 33'000) + "; ROLLBACK");
  second.exec("COMMIT");
  first.exec("COMMIT");
  expect_both_equal();
  expect_streamed(2);
  EXPECT_EQ(green().value("SELECT string_agg(DISTINCT (id / 1000)::text, ',' ORDER BY (id / 1000)::text) FROM "
                          "public.big"),
            "0,1,10,11,12,16,17,18,20,21,22,23,24");
}

TEST_F(LargeTransactions, M2TenThousandSavepointsHalfOfThemRolledBack) {
  stream();
  blue_owner().exec(
      "DO $$ BEGIN FOR i IN 1..10000 LOOP BEGIN INSERT INTO public.big VALUES (i, repeat('x', 100)); IF i % 2 = 0 THEN "
      "RAISE division_by_zero; END IF; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$");
  expect_both_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.big"), 5000);
  expect_streamed(1);
}

TEST_F(LargeTransactions, C4TableThatIsAlteredInsideOfItAndInASubtransactionThatIsRolledBack) {
  stream();
  green_owner().exec("ALTER TABLE public.big ADD extra int");
  blue_owner().exec(
      "BEGIN; " + rows(1, 3000) + "; SAVEPOINT a; ALTER TABLE public.big ADD gone int; " +
      "INSERT INTO public.big (id, gone) SELECT i, i FROM generate_series(3001, 6000) i; ROLLBACK TO a; " +
      rows(6001, 9000) + "; ALTER TABLE public.big ADD extra int; UPDATE public.big SET extra = id; COMMIT");
  blue_owner().exec("INSERT INTO big VALUES (-1, 'after', 7)");
  expect_both_equal();
  // A server may fail at this while the transaction is open, and is asked for it again once it has ended.
  if (teal_->err().find("could not map filenode") == std::string::npos) expect_streamed(1);
}

TEST_F(LargeTransactions, A13KilledWhileItIsOpenAndWhileItIsAppliedItIsAppliedOnce) {
  stream();
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; " + rows(1, 20'000));
  wait_spilled();
  teal_->kill9();
  EXPECT_TRUE(std::filesystem::is_empty(spill_)) << "nothing is left of it";
  run_streaming();
  wait_spilled();
  writer.exec(rows(20'001, 60'000));
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; INSERT INTO public.big VALUES (59000, 'in the way')");
  writer.exec("COMMIT");
  wait_until("the applier waits for the row", seconds(60),
             [&] { return green().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"); });
  teal_->kill9();
  blocker.exec("ROLLBACK");
  run_streaming();
  expect_both_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.big"), 60'000);
}

TEST_F(LargeTransactions, I7MoreThanTheCapIsLeftToTheSource) {
  stream("apply: { spill_dir: %s, spill_bytes_max: 1MiB }\n");
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; " + rows(1, 20'000));
  teal_->wait_for_log("apply.spill_bytes_max", seconds(30));
  wait_caught_up();
  EXPECT_EQ(spilled_files(), 0U);
  writer.exec("COMMIT");
  expect_both_equal();
  EXPECT_EQ(times_logged("link interrupted"), 1U) << "the session after it asks for no blocks";
}

TEST_F(LargeTransactions, ZeroLeavesAllOfThemToTheSource) {
  stream("apply: { spill_dir: %s, spill_bytes_max: 0 }\n");
  blue_owner().exec(rows(1, 20'000));
  expect_both_equal();
  EXPECT_EQ(streamed(), 0);
}

TEST_F(LargeTransactions, DirectoryThatCannotBeWrittenToIsRefusedAtTheStart) {
  create_tables_both("CREATE TABLE t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  configure("copy: { schema: false }\napply: { spill_dir: /proc }\n");
  const TealResult result = command({"run"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("apply.spill_dir: spilling to /proc: cannot make a file"));
}

// Interleaved transactions at random, with savepoints, rollbacks and kills; both sides equal at the end.
TEST_F(LargeTransactions, C5InterleavedAtRandomUnderKills) {
  stream();
  std::mt19937_64 random(random_seed());
  const auto pick = [&random](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  struct Writer {
    Sql sql;
    bool open = false;
    int savepoints = 0;
  };
  std::vector<Writer> writers;
  writers.reserve(4);
  for (int i = 0; i < 4; ++i) writers.push_back({blue_server().connect(kOwnerRole, kShopDatabase)});
  int next = 1;
  for (int step = 0; step < 200; ++step) {
    const auto w = static_cast<std::size_t>(pick(3));
    Writer& writer = writers[w];
    if (!writer.open) {
      writer.sql.exec("BEGIN");
      writer.open = true;
      writer.savepoints = 0;
    }
    const int what = pick(99);
    if (what < 50) {
      const int count = 1 + pick(1500);
      writer.sql.exec(rows(next, next + count - 1));
      next += count;
    } else if (what < 65) {  // own rows only: no writer waits for another
      writer.sql.exec(
          "UPDATE public.big SET v = v || 'u' WHERE xmin::text = pg_current_xact_id()::text AND id % 3 = 0");
    } else if (what < 75) {
      writer.sql.exec("SAVEPOINT s" + std::to_string(++writer.savepoints));
    } else if (what < 85 && writer.savepoints > 0) {
      writer.savepoints = 1 + pick(writer.savepoints - 1);
      writer.sql.exec("ROLLBACK TO s" + std::to_string(writer.savepoints));
    } else {
      writer.sql.exec(what < 96 ? "COMMIT" : "ROLLBACK");
      writer.open = false;
    }
    if (step % 50 == 49) {
      teal_->kill9();
      run();
    }
  }
  for (Writer& writer : writers) {
    if (writer.open) writer.sql.exec("COMMIT");
  }
  expect_both_equal();
  EXPECT_GT(green().number("SELECT count(*) FROM public.big"), 0);
  expect_streamed(1);
}

// The ordinary run does three hundredths of it.
TEST_F(LargeTransactions, M1MemoryStaysWithinWhatIsConfiguredForTenMillionRowsInOneTransaction) {
  const int count = by_hand_tier() ? 10'000'000 : 300'000;
  stream();
  wait_caught_up();
  const long before = teal_->peak_rss_kib();
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; " + rows(1, count, "'v' || i"));
  writer.exec("COMMIT");
  wait_until("all of them are there", seconds(by_hand_tier() ? 1200 : 120),
             [&] { return green().number("SELECT count(*) FROM public.big") == count; });
  expect_both_equal();
  const long memory = teal_->peak_rss_kib();
  std::printf("%d rows in one transaction: %ld KiB, of these %ld KiB before it\n", count, memory, before);
  EXPECT_LE(memory, (16 + 4 + 32) * 1024L) << "queue, batch, and what teal needs by itself";
  EXPECT_EQ(times_logged("link interrupted"), 0U);
}

}  // namespace
}  // namespace teal::test
