// What is in a cutover's way is found before anything is held back, or undone: exit code 1 with the reason and what to
// do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/cutover_fixture.h"
#include "tests/support/pg_installation.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

class CutoverChecks : public CutoverFixture {
 protected:
  /// The obstacles of a dry run.
  std::string obstacles(const std::vector<std::string>& more = {"--unverified"},
                        const std::string& command = "cutover") {
    std::vector<std::string> all{"--dry-run"};
    all.insert(all.end(), more.begin(), more.end());
    const nlohmann::json report = cut(command, 1, all);
    EXPECT_EQ(report["result"], "refused");
    return report["obstacles"].dump();
  }
};

TEST_F(CutoverChecks, DryRunMovesNothingAndSaysHowLongWritesWouldWait) {
  start_links();
  const nlohmann::json report = cut("cutover", 0, {"--unverified", "--dry-run"});
  EXPECT_EQ(report["result"], "ready");
  EXPECT_GT(report["predicted_ms"], 0);
  EXPECT_LT(report["predicted_ms"], 1000);
  EXPECT_EQ(blue().number("SELECT count(*) FROM teal.cutover_journal"), 0);
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'teal%'"), 0);
  EXPECT_THAT(obstacles({}, "rollback"), HasSubstr("applications write on blue already"));
}

TEST_F(CutoverChecks, L3SidesThatWereNotFoundEqualLatelyAreRefused) {
  start_links("", true, "verify: { max_age: 2s }\n");
  EXPECT_THAT(obstacles({}), HasSubstr("never compared"));
  EXPECT_EQ(command({"verify"}).exit_code, 0);
  EXPECT_EQ(cut("cutover", 0, {"--dry-run"})["result"], "ready");
  wait_until("that is old", seconds(20), [&] { return run_teal(arguments("cutover", {"--dry-run"})).exit_code == 1; });
  EXPECT_THAT(obstacles({}), HasSubstr("more than verify.max_age allows"));
  // As if a link had written it, so that none carries it. (Not in one transaction with the origin's creation: decoding
  // would not know its name.)
  const std::string origin = "'teal_shop_blue_to_green_test'";
  green().exec("SELECT pg_replication_origin_create(" + origin + ")");
  green().exec("SELECT pg_replication_origin_session_setup(" + origin +
               "); UPDATE public.pgbench_branches SET bbalance = 7");
  EXPECT_EQ(command({"verify"}).exit_code, 1);
  EXPECT_THAT(obstacles({}), HasSubstr("pgbench_branches differed"));
}

TEST_F(CutoverChecks, L4TransactionsThatWouldHoldItUpAreListed) {
  start_links(", pause_budget: 100ms");
  Sql idle = blue_server().connect(kOwnerRole, kShopDatabase);
  idle.exec("BEGIN; SELECT 1");
  Sql prepared = blue_server().connect(kOwnerRole, kShopDatabase);
  prepared.exec("BEGIN; UPDATE public.pgbench_tellers SET filler = 'p' WHERE tid = 1; PREPARE TRANSACTION 'left over'");
  std::string said;
  wait_until("they are listed", seconds(20), [&] {
    said = obstacles();
    return said.find("idle in transaction") != std::string::npos;
  });
  EXPECT_THAT(said, HasSubstr("pg_terminate_backend(" + idle.value("SELECT pg_backend_pid()") + ")"));
  EXPECT_THAT(said, HasSubstr("transaction 'left over' of shop_owner has been prepared"));
  prepared.exec("ROLLBACK PREPARED 'left over'");
}

TEST_F(CutoverChecks, RightsThatAreMissingAreSaidAsGrants) {
  start_links();
  blue().exec("REVOKE TRIGGER ON public.pgbench_history FROM teal; REVOKE pg_signal_backend FROM teal");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "refused");
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("GRANT TRIGGER ON public.pgbench_history TO teal"));
  EXPECT_THAT(report["notes"].dump(), HasSubstr("GRANT pg_signal_backend TO teal"));
}

TEST_F(CutoverChecks, L5LinkThatDoesNotRunIsRefusedAlsoTheOneBack) {
  start_links();
  teal_->terminate();
  EXPECT_THAT(obstacles(), HasSubstr("link blue_to_green is stopped"));
  EXPECT_THAT(obstacles(), HasSubstr("link green_to_blue is stopped"));
}

TEST_F(CutoverChecks, L5WithoutAWayBackItHasToBeAskedFor) {
  teal_.reset();
  config_ = write_config({.more = "direction: forward\n"}).string();
  run_streaming();
  wait_caught_up();
  EXPECT_THAT(obstacles(), HasSubstr("say --no-way-back"));
  const nlohmann::json report = cut("cutover", 0, {"--unverified", "--no-way-back"});
  EXPECT_EQ(report["result"], "moved");
  EXPECT_EQ(writable(), "green");
}

TEST_F(CutoverChecks, PoolerThatCannotBeReachedOrLeadsElsewhereIsRefused) {
  start_links();
  const std::string config = read_file(config_);
  write_file(config_, std::string(config).replace(config.find("port=", config.find("admin")), 6, "port=9"));
  EXPECT_THAT(obstacles(), HasSubstr("the pooler of"));
  std::string other = config;
  other.insert(other.find(", config:"), ", blue: \"host=10.9.9.9 dbname=shop\"");
  write_file(config_, other);
  EXPECT_THAT(obstacles(), HasSubstr("and not to blue (host=10.9.9.9 port=5432 dbname=shop)"));
}

TEST_F(CutoverChecks, HookThatFailsIsToldBeforeOrUndoesAll) {
  const std::filesystem::path said = make_scratch_directory("hooks") / "said";
  const std::string tell = "echo $TEAL_TO $TEAL_RESULT >> " + said.string();
  start_links(", hooks: { before: \"/no/such/program x\" }");
  EXPECT_THAT(obstacles(), HasSubstr("cutover.hooks.before cannot be run"));
  start_links(", hooks: { before: \"false\", failed: \"" + tell + "\" }");
  EXPECT_EQ(cut("cutover", 1, {"--unverified"})["result"], "refused");
  EXPECT_EQ(read_file(said), "green refused\n");
  start_links(", hooks: { repoint: \"" + tell + "; test $TEAL_TO = blue\" }");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "undone") << report.dump(1);
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("cutover.hooks.repoint ended with 1"));
  EXPECT_EQ(read_file(said), "green refused\ngreen\nblue\n") << "led there, and back";
  EXPECT_EQ(writable(), "both") << "as before";
  const auto begin = steady_clock::now();
  start_links(", pause_budget: 500ms, hooks: { repoint: \"test $TEAL_TO = blue || sleep 60\" }");
  EXPECT_EQ(cut("cutover", 1, {"--unverified"})["result"], "undone");
  EXPECT_LT(steady_clock::now() - begin, seconds(20));
}

// Clients that come by themselves, each trying again where the hook says: none of what was acknowledged is lost, and
// none is refused for longer than the budget.
TEST_F(CutoverChecks, L2ClientsWithoutAPoolerAreRefusedForAMomentAndLoseNothing) {
  const std::filesystem::path where = make_scratch_directory("where") / "side";
  write_file(where, "blue");
  start_links(", hooks: { repoint: \"echo -n $TEAL_TO > " + where.string() + "\" }", false);
  blue_owner().exec("SET search_path = public");
  std::set<int> acknowledged;
  int refused = 0;
  steady_clock::duration longest{};
  std::jthread client([&](const std::stop_token& stop) {
    auto since = steady_clock::now();
    for (int i = 1; !stop.stop_requested(); ++i) {
      for (bool done = false; !done && !stop.stop_requested();) {
        try {
          Sql session =
              (read_file(where) == "green" ? green_server() : blue_server()).connect(kOwnerRole, kShopDatabase);
          for (; !stop.stop_requested(); ++i) {
            session.exec("INSERT INTO public.pgbench_history (tid, bid, aid, delta) VALUES (1, 1, " +
                         std::to_string(i) + ", 0)");
            acknowledged.insert(i);
            since = steady_clock::now();
          }
          done = true;
        } catch (const SqlError&) {
          ++refused;
          longest = std::max(longest, steady_clock::now() - since);
        }
      }
    }
  });
  bool on_green = false;
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(cut(on_green ? "rollback" : "cutover", 0, {"--unverified"})["result"], "moved");
    on_green = !on_green;
    Sql& side = on_green ? green() : blue();
    const std::int64_t before = history(side);
    wait_until("it writes there", seconds(20), [&] { return history(side) > before + 50; });
  }
  client.request_stop();
  client.join();
  wait_both_caught_up();
  EXPECT_GT(refused, 0);
  EXPECT_LT(longest, seconds(2));
  for (Sql* side : {&blue(), &green()}) {
    EXPECT_EQ(side->number("SELECT count(DISTINCT aid) FROM public.pgbench_history"), std::ssize(acknowledged));
    EXPECT_EQ(history(*side), std::ssize(acknowledged)) << "an insert that was not acknowledged may be there";
  }
  expect_sides_equal();
}

TEST_F(CutoverChecks, W13TwoPoolersMoveTogether) {
  PgBouncer second(blue_server());
  start_links();
  std::string config = read_file(config_);
  config.insert(config.find(" } ]") + 2,
                ", { admin: \"" + second.admin() + "\", database: shop, config: " + second.config().string() + " }");
  write_file(config_, config);
  std::vector<std::unique_ptr<Pgbench>> clients;
  for (const int port : {bouncer_->port(), second.port()}) {
    clients.push_back(std::make_unique<Pgbench>(
        blue_server(), kOwnerRole, kShopDatabase,
        PgbenchOptions{.clients = 4, .seconds = 8, .port = port, .more = {"-n", "--rate=200"}}));
  }
  wait_until("they write", seconds(20), [&] { return history(blue()) > 100; });
  bool on_green = false;
  while (clients[0]->running()) {
    EXPECT_EQ(cut(on_green ? "rollback" : "cutover", 0, {"--unverified"})["result"], "moved");
    on_green = !on_green;
  }
  std::int64_t transactions = 0;
  for (auto& load : clients) {
    const PgbenchResult result = load->wait(seconds(60));
    EXPECT_EQ(result.failed, 0) << result.output;
    transactions += result.transactions;
  }
  wait_both_caught_up();
  EXPECT_EQ(history(green()), transactions);
  expect_sides_equal();
}

TEST_F(CutoverChecks, L6SlotsOfOthersAreNamedWithWhereTheyGoOn) {
  start_links();
  blue().exec("SELECT pg_create_logical_replication_slot('warehouse', 'test_decoding')");
  const nlohmann::json report = cut("cutover", 0, {"--unverified"});
  EXPECT_THAT(report["notes"].dump(), HasSubstr("slot warehouse on blue (test_decoding"));
  EXPECT_NE(report["left_at"], "");
  EXPECT_NE(report["opened_at"], "");
  blue().exec("SELECT pg_drop_replication_slot('warehouse')");
}

TEST_F(CutoverChecks, ReportMayBeAPageAndFinishLeavesNothing) {
  start_links();
  const std::filesystem::path page = make_scratch_directory("report") / "cutover.html";
  cut("cutover", 0, {"--unverified", "--report", page.string()});
  EXPECT_THAT(read_file(page), HasSubstr("moved: applications write on green"));
  teal_->terminate();
  const std::string dump = (page.parent_path() / "blue.dump").string();
  const TealResult finished = command({"finish", "--yes", "--archive", dump});
  EXPECT_EQ(std::filesystem::status(dump).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(run_program({.argv = {pg_installation().bin / "pg_restore", "--list", dump}}, seconds(20)), 0);
  EXPECT_THAT(finished.out, HasSubstr("removed blue: the fence: applications can write there again"));
  for (const PgServer* server : {&blue_server(), &green_server()}) expect_no_trace(*server, 1);
  EXPECT_EQ(refusal(blue_server()), "");
}

}  // namespace
}  // namespace teal::test
