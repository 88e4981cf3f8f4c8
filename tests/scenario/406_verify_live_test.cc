#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pgbench.h"

// Verified again and again while applications write. TEAL_VERIFY_SECONDS: for how long.
namespace teal::test {
namespace {

constexpr int kSeconds = 12;

std::chrono::seconds verify_seconds() {
  const char* given = std::getenv("TEAL_VERIFY_SECONDS");
  return std::chrono::seconds(given != nullptr ? std::atoi(given) : kSeconds);
}

class VerifyLive : public TwoWayFixture {
 protected:
  static constexpr const char* kTables = "copy: { schema: false }\nverify: { range_rows: 2000 }\n";

  void create_accounts() {
    create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase);
    create_pgbench_tables(green_server(), kOwnerRole, kShopDatabase);
  }

  // Returns how often it was verified.
  int stays_equal_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    int times = 0;
    for (; std::chrono::steady_clock::now() < end; ++times) {
      const TealResult result = command({"verify"});
      EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    }
    return times;
  }

  void expect_planted_row_named() {
    const TealResult planted = command({"--json", "verify"});
    EXPECT_EQ(planted.exit_code, 1) << planted.out << planted.err;
    const nlohmann::json accounts = nlohmann::json::parse(planted.out)["tables"][0];
    ASSERT_EQ(accounts["differences"].size(), 1U) << accounts;
    EXPECT_EQ(accounts["differences"][0]["kind"], "missing on blue");
    EXPECT_EQ(accounts["differences"][0]["key"]["aid"], "-7");
  }

  void found_in_between(const std::string& plant, const std::string& remove) {
    const int before = stays_equal_for(verify_seconds() / 2);
    green().exec(plant);
    expect_planted_row_named();
    green().exec(remove);
    const int after = stays_equal_for(verify_seconds() / 2);
    EXPECT_GE(before, 1);
    EXPECT_GE(after, 1);
    RecordProperty("verified", before + after);
  }
};

TEST_F(VerifyLive, K1RowsOnTheirWayAreNoDifferencesAndPlantedOnesAre) {
  create_accounts();
  create_publication(kPgbenchTables);
  configure(kTables);
  run_streaming({"--no-copy"});
  Pgbench load(blue_server(), kOwnerRole, kShopDatabase,
               {.clients = 4, .seconds = static_cast<int>(verify_seconds().count()) + 60});
  found_in_between("INSERT INTO public.pgbench_accounts VALUES (-7, 1, 0, '')",
                   "DELETE FROM public.pgbench_accounts WHERE aid = -7");
  EXPECT_TRUE(load.running());
}

// The planted row is written as if by a link, so no link brings it to the other side.
TEST_F(VerifyLive, K1BothSidesBeingWrittenAreEqualAndPlantedRowsAreFound) {
  create_accounts();
  green_owner().exec("ALTER SEQUENCE public.pgbench_history_hid_seq INCREMENT BY 2 RESTART 2");
  blue_owner().exec("ALTER SEQUENCE public.pgbench_history_hid_seq INCREMENT BY 2 RESTART 1");
  publish_both(kPgbenchTables);
  config_ = write_config({.more = std::string("direction: both\n") + kTables}).string();
  run({"--no-copy"}).wait_for_log("link streaming link=green_to_blue", std::chrono::seconds(60));
  const PgbenchOptions simple{.clients = 2, .seconds = static_cast<int>(verify_seconds().count()) + 60, .more = {"-N"}};
  Pgbench on_blue(blue_server(), kOwnerRole, kShopDatabase, simple);
  Pgbench on_green(green_server(), kOwnerRole, kShopDatabase, simple);
  const std::string planter = "teal_shop_blue_to_green_planted";
  green().exec("SELECT pg_replication_origin_create('" + planter + "'); SELECT pg_replication_origin_session_setup('" +
               planter + "')");
  found_in_between("INSERT INTO public.pgbench_accounts VALUES (-7, 1, 0, '')",
                   "DELETE FROM public.pgbench_accounts WHERE aid = -7");
  EXPECT_TRUE(on_blue.running());
  EXPECT_TRUE(on_green.running());
}

TEST_F(VerifyLive, H4ValuesOfAVolatileDefaultAreFound) {
  start("CREATE TABLE item (id int PRIMARY KEY);", {"item"});
  blue_owner().exec("INSERT INTO item SELECT generate_series(1, 100)");
  wait_caught_up();
  ASSERT_EQ(command({"verify"}).exit_code, 0);
  for (Sql* owner : {&green_owner(), &blue_owner()}) owner->exec("ALTER TABLE item ADD v float8 DEFAULT random()");
  const TealResult result = command({"--json", "verify"});
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["tables"][0]["differences"].size(), 100U);
}

// What green has just deleted is still on blue, and looks on green as if it had never come.
TEST_F(VerifyLive, K1RowsThatComeFromOneSideAndGoOnTheOtherAreNoDifferences) {
  start_both("CREATE TABLE job (id int PRIMARY KEY, v text);", {"job"}, "verify: { range_rows: 2000 }\n");
  std::jthread makes([conninfo = blue_server().conninfo(kOwnerRole, kShopDatabase)](const std::stop_token& stop) {
    Sql sql(conninfo);
    for (int i = 0; !stop.stop_requested(); i += 5) {
      const std::string first = std::to_string(i);
      sql.exec("INSERT INTO public.job SELECT " + first + " + k, md5(k::text) FROM generate_series(0, 4) k");
    }
  });
  std::jthread takes([conninfo = green_server().conninfo(kOwnerRole, kShopDatabase)](const std::stop_token& stop) {
    Sql sql(conninfo);
    while (!stop.stop_requested()) {
      sql.exec("DELETE FROM public.job WHERE id IN (SELECT id FROM public.job ORDER BY id LIMIT 50)");
    }
  });
  EXPECT_GE(stays_equal_for(verify_seconds()), 1);
}

// What the slot holds is on its way, whoever has to bring it.
TEST_F(VerifyLive, K1RowsThatALinkHoldsWhichDoesNotRunAreNotFullyChecked) {
  start("CREATE TABLE item (id int PRIMARY KEY);", {"item"});
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_EQ(command({"verify"}).exit_code, 0) << "nothing is on its way";
  blue_owner().exec("INSERT INTO item SELECT generate_series(1, 100)");
  const TealResult waiting = command({"--json", "verify"});
  EXPECT_EQ(waiting.exit_code, 3) << waiting.out;
  EXPECT_THAT(waiting.out, testing::HasSubstr("set up and not running: blue_to_green"));
  run_streaming();
  wait_caught_up();
  EXPECT_EQ(command({"verify"}).exit_code, 0);
}

TEST_F(VerifyLive, I6ComparisonWaitsWhileTheLinkLags) {
  start("CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE held (id int PRIMARY KEY);", {"item", "held"},
        "verify: { max_lag: 6s }\n");
  Sql holder(green_server().conninfo(kOwnerRole, kShopDatabase));
  holder.exec("BEGIN; LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE");
  blue_owner().exec("INSERT INTO held VALUES (1)");
  const auto lags = [&] {
    return nlohmann::json::parse(command({"--json", "status"}).out)["links"][0]["lag_seconds"].get<double>() > 7;
  };
  wait_until("the link lags", std::chrono::seconds(60), lags);
  std::string problem;
  std::jthread releases([&] {
    try {
      wait_until("it is compared", std::chrono::seconds(60), [&] {
        return blue().number(
                   "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'teal/shop/verify' AND query LIKE "
                   "'%clock_timestamp() - $2%'") > 0;
      });
    } catch (const std::exception& error) {
      problem = error.what();
    }
    holder.exec("COMMIT");
  });
  const TealResult result = command({"verify", "--tables", "public.item"});
  releases.join();
  EXPECT_EQ(problem, "");
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("the comparison waits for the link"));
}

}  // namespace
}  // namespace teal::test
