// Attacks on tables that join, on partitions, on rows without a key and on binary values.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

class Attack : public SidecarFixture {};

TEST_F(Attack, J4KeyThatMovedIntoAJoiningPartitionWhileTheLinkLags) {
  const std::string sql =
      "CREATE TABLE blocked (id int PRIMARY KEY); CREATE TABLE ev (id int PRIMARY KEY, v text) PARTITION BY RANGE "
      "(id); "
      "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (100); CREATE TABLE ev_2 PARTITION OF ev FOR VALUES "
      "FROM (100) TO (200)";
  start(sql, sql, {"public.ev", "public.blocked"}, "apply: { batch_rows_max: 1 }\n");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.blocked IN SHARE MODE");
  blue_owner().exec("INSERT INTO blocked VALUES (1)");
  // The key 50 lives in ev_1, whose range is then handed to a new partition.
  blue_owner().exec("INSERT INTO ev VALUES (50, 'first'), (10, 'stays')");
  blue_owner().exec("BEGIN; DELETE FROM ev WHERE id = 10; INSERT INTO ev VALUES (10, 'again'); COMMIT");
  blue_owner().exec("CREATE TABLE public.ev_new (id int PRIMARY KEY, v text); INSERT INTO ev_new VALUES (250, 'came')");
  green_owner().exec("CREATE TABLE public.ev_new PARTITION OF public.ev FOR VALUES FROM (200) TO (300)");
  blue_owner().exec("ALTER TABLE ev ATTACH PARTITION ev_new FOR VALUES FROM (200) TO (300)");
  blue_owner().exec("UPDATE ev SET id = 150 WHERE id = 250");  // out of the new one,
  blue_owner().exec("UPDATE ev SET v = 'seen' WHERE id = 150");
  blue_owner().exec("UPDATE ev SET id = 250 WHERE id = 150");  // and back
  teal_->wait_for_log("table joining.*ev_new", seconds(30));
  blocker.exec("ROLLBACK");
  wait_joined("ev_new");
  wait_caught_up();
  expect_equal("public.ev");
}

TEST_F(Attack, H11TableThatIsPublishedWithAFilterWaitsWithoutStoppingTheOthers) {
  start("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE newer (id int PRIMARY KEY)", {"public.r"},
        "tables: { exclude: [public.newer] }\n");
  EXPECT_EQ(teal_->terminate(), 0);
  blue_owner().exec("INSERT INTO newer VALUES (1), (10)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.newer");
  configure("copy: { schema: false }\n");
  run_streaming();
  wait_joined("newer");
  green_owner().exec("CREATE TABLE public.newest (id int PRIMARY KEY)");
  blue_owner().exec("CREATE TABLE public.newest (id int PRIMARY KEY); INSERT INTO newest VALUES (1), (10)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.newest WHERE (id > 5)");
  teal_->wait_for_log("table cannot join.*public.newest.*row filter", seconds(30));
  blue_owner().exec("INSERT INTO r VALUES (1); INSERT INTO newest VALUES (2), (12)");
  wait_caught_up();
  expect_equal("public.r");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.newest"), 0);
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.newest");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.newest");
  wait_joined("newest");
  wait_caught_up();
  expect_equal("public.newest");
}

TEST_F(Attack, W2TransactionOfManySlicesAroundTheHandOverWithAsynchronousCommits) {
  start("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE late (id int PRIMARY KEY, n int)", {"public.r"},
        "apply: { batch_rows_max: 50 }\ntables: { exclude: [public.late] }\n");
  blue_owner().exec("ALTER DATABASE shop SET synchronous_commit = off");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.late");
  configure("copy: { schema: false }\napply: { batch_rows_max: 50 }\n");
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  writers.reserve(3);
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      Sql sql = blue_server().connect(kOwnerRole, kShopDatabase);
      for (int n = 0; !done && n < 3000; ++n) {
        const std::string from = std::to_string(w * 100000000 + n * 1000);
        const std::string rows = n % 20 == 0 ? "400" : "2";
        sql.exec("SET synchronous_commit = off; BEGIN; INSERT INTO r SELECT " + from + " + i FROM generate_series(1, " +
                 rows + ") i; INSERT INTO late SELECT " + from + " + i, 1 FROM generate_series(1, " + rows +
                 ") i; UPDATE late SET n = n + 1 WHERE id > " + from + " AND id < " + from + " + 900; " + "COMMIT");
      }
    });
  }
  run_streaming();
  for (int i = 0; i < 3; ++i) {
    green().exec(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teal/shop/blue%'");
    blue().exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
  }
  try {
    wait_joined("late");
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  wait_caught_up();
  expect_equal("public.late");
  expect_equal("public.r");
}

}  // namespace
}  // namespace teal::test
