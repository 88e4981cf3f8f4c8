// Tables that come later are copied and join the stream without stopping the others (TRAPS H1, H11).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Join : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both(
        "CREATE TABLE other (id int PRIMARY KEY, v text); "
        "CREATE TABLE late (id int PRIMARY KEY, v text, big text, u int UNIQUE)");
    blue_owner().exec("INSERT INTO other SELECT i, 'o' FROM generate_series(1, 100) i");
    blue_owner().exec("INSERT INTO late SELECT i, 'l', repeat('x', 3000), -i FROM generate_series(1, 2000) i");
    create_publication({"public.other"});
    configure("copy: { schema: false }\ntables: { exclude: [public.late] }\n");
    run_streaming();
    wait_caught_up();
    configure("copy: { schema: false }\n");
  }

  void publish() { blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.late"); }

  /// A link whose copy of `late` waits, between its snapshot and its first row, until the session that is returned ends
  /// its transaction.
  Sql run_with_the_copy_held() {
    publish();
    Sql blocker = green_server().connect("postgres", kShopDatabase);
    blocker.exec("BEGIN; LOCK TABLE public.late IN SHARE MODE");
    run_streaming().wait_for_log("table joining", seconds(30));
    wait_until("the copy waits", seconds(30), [&] {
      return green().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    });
    return blocker;
  }

  void expect_both_equal() {
    wait_caught_up();
    expect_equal("public.other");
    expect_equal("public.late");
  }
};

TEST_F(Join, H11TableThatIsAddedJoinsWhileTheOthersGoOn) {
  Sql blocker = run_with_the_copy_held();
  for (int i = 0; i < 5; ++i) {
    blue_owner().exec("INSERT INTO other VALUES (" + std::to_string(1000 + i) + ", 'now')");
    blue_owner().exec("UPDATE late SET v = 'changed' WHERE id = " + std::to_string(i + 1));
    EXPECT_LT(wait_caught_up(), seconds(5));
    expect_equal("public.other");
  }
  EXPECT_EQ(green().value("SELECT state FROM teal.table_state WHERE table_name = 'late'"), "pending");
  blocker.exec("ROLLBACK");
  wait_joined("late");
  blue_owner().exec("DELETE FROM late WHERE id > 1000");
  expect_both_equal();
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

TEST_F(Join, H11TableThatItsOwnerPublishesMeanwhileIsFoundWithoutARestart) {
  publish();
  TealProcess& teal = run_streaming();
  wait_joined("late");
  // Only on blue at first: named, and the others go on; then on green too.
  blue_owner().exec("CREATE TABLE public.newer (id int PRIMARY KEY, v numeric(9,4)); INSERT INTO newer VALUES (1, 1)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.newer");
  blue_owner().exec("INSERT INTO newer VALUES (2, 2); INSERT INTO other VALUES (2000, 'now')");
  teal.wait_for_log("table cannot join.*public.newer.*missing tables", seconds(30));
  EXPECT_LT(wait_caught_up(), seconds(5));
  expect_equal("public.other");
  EXPECT_THAT(command({"status"}).out, HasSubstr("public.newer  pending: green: missing tables"));
  green_owner().exec("CREATE TABLE public.newer (id int PRIMARY KEY, v numeric(9,2))");
  teal.wait_for_log("table cannot join.*public.newer.*numeric", seconds(30));
  green_owner().exec("ALTER TABLE public.newer ALTER v TYPE numeric(9,4)");
  wait_joined("newer");
  blue_owner().exec("UPDATE newer SET v = 1.2345");
  expect_both_equal();
  expect_equal("public.newer");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Join, TableThatCannotJoinEndsARunUntilSynced) {
  EXPECT_EQ(teal_->terminate(), 0);
  publish();
  green_owner().exec("ALTER TABLE public.late ADD CHECK (id < 1000)");
  const TealResult result = run_until_synced();
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_THAT(result.err, HasSubstr("public.late: write rows: "));
  EXPECT_EQ(green().number("SELECT count(*) FROM public.late"), 0);
}

TEST_F(Join, H11WritersOnTheJoiningTableAllAlong) {
  const char* given = std::getenv("TEAL_TEST_SEED");
  const auto seed = given != nullptr ? std::strtoul(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("TEAL_TEST_SEED=" + std::to_string(seed));
  publish();
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  writers.reserve(3);
  for (unsigned writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&, writer] {
      std::mt19937 random(static_cast<std::mt19937::result_type>(seed + writer));
      Sql sql = blue_server().connect(kOwnerRole, kShopDatabase);
      for (int n = 0; !done; ++n) {
        const std::string own = std::to_string(100'000'000 * (static_cast<int>(writer) + 1) + n);
        const std::string id = std::to_string(1 + random() % 2000 / 3 * 3 + writer);
        sql.exec("BEGIN; INSERT INTO late VALUES (" + own + ", 'w', NULL, " + own + "); UPDATE late SET v = '" + own +
                 "' WHERE id = " + id + "; " + (n % 3 == 0 ? "DELETE FROM late WHERE id = " + own + "; " : "") +
                 "INSERT INTO other VALUES (" + own + ", 'w'); " + (n % 7 == 0 ? "ROLLBACK" : "COMMIT"));
      }
    });
  }
  TealProcess& teal = run_streaming({"--log-level", "debug"});
  try {
    wait_joined("late");
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  expect_both_equal();
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(Join, KilledAtEachOfItsStepsItBeginsAnewAndNothingIsTwice) {
  publish();
  for (const char* point :
       {"join_snapshot_made", "join_rows_copied", "join_locked", "join_before_commit", "join_committed"}) {
    SCOPED_TRACE(point);
    TealProcess& teal = run({}, {.environment = {std::string("TEAL_FAILPOINT=") + point}});
    blue_owner().exec("UPDATE late SET v = v || '!' WHERE id < 100; UPDATE other SET v = v || '!'");
    EXPECT_EQ(teal.wait_exit(seconds(60)), 128 + SIGKILL) << teal.err();
    blue_owner().exec("INSERT INTO late SELECT max(id) + 1, 'more' FROM late; DELETE FROM late WHERE id = 500");
  }
  EXPECT_EQ(run_until_synced().exit_code, 0);
  run_streaming();
  expect_both_equal();
}

TEST_F(Join, H1WriterThatWasOpenWhenTheTableWasPublished) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; UPDATE late SET v = 'before' WHERE id = 1");
  Sql owner = blue_server().connect(kOwnerRole, kShopDatabase);
  owner.exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.late");
  TealProcess& teal = run_streaming();
  teal.wait_for_log("table joining", seconds(30));
  writer.exec("UPDATE late SET v = 'after' WHERE id IN (1, 2); INSERT INTO late VALUES (9001, 'after')");
  blue_owner().exec("INSERT INTO other VALUES (9001, 'goes on')");
  EXPECT_LT(wait_caught_up(), seconds(5));
  writer.exec("COMMIT");
  wait_joined("late");
  expect_both_equal();
}

TEST_F(Join, F1UniqueValuesThatSwapWhileItJoins) {
  Sql blocker = run_with_the_copy_held();
  blue_owner().exec(
      "BEGIN; UPDATE late SET u = 999999 WHERE id = 1; UPDATE late SET u = -1 WHERE id = 2; UPDATE late SET u = -2 "
      "WHERE id = 1; COMMIT");
  blocker.exec("ROLLBACK");
  wait_joined("late");
  expect_both_equal();
}

TEST_F(Join, TruncatedAndRewrittenWhileItJoins) {
  Sql blocker = run_with_the_copy_held();
  std::thread truncate([&] {  // waits for the reader, as every TRUNCATE during a copy
    blue_server()
        .connect(kOwnerRole, kShopDatabase)
        .exec("TRUNCATE late, other; INSERT INTO late VALUES (1, 'after', NULL, 1)");
  });
  wait_until("TRUNCATE waits", seconds(30),
             [&] { return blue().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"); });
  blocker.exec("ROLLBACK");
  truncate.join();
  wait_joined("late");
  blue_owner().exec("INSERT INTO late VALUES (2, 'after', NULL, 2); INSERT INTO other VALUES (1, 'after')");
  expect_both_equal();
}

}  // namespace
}  // namespace teal::test
