// Whatever happens during a cutover: it is either moved or undone within the budget, as the report says, the
// application goes on on one side, and a second run finishes the job (TRAPS L1 to L6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenario/cutover_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::AnyOf;
using testing::HasSubstr;

class CutoverFaults : public CutoverFixture {
 protected:
  Sql client() { return Sql(bouncer_->conninfo(kOwnerRole)); }
};

TEST_F(CutoverFaults, L1TransactionThatTakesAWhileIsWaitedFor) {
  start_links(", pause_budget: 10s");
  Sql slow = client();
  slow.exec("BEGIN; UPDATE public.pgbench_branches SET filler = 'slow' WHERE bid = 1");
  std::jthread ends([&] { slow.exec("SELECT pg_sleep(1.5); COMMIT"); });
  const nlohmann::json report = cut("cutover", 0, {"--unverified"});
  ends.join();
  EXPECT_LT(report["pause_ms"], 4000) << report.dump(1);
  EXPECT_EQ(green().value("SELECT rtrim(filler) FROM public.pgbench_branches WHERE bid = 1"), "slow");
  EXPECT_EQ(writable(), "green");
}

TEST_F(CutoverFaults, L1TransactionThatDoesNotEndUndoesAllAndGoesOn) {
  start_links(", pause_budget: 700ms, tries: 2");
  for (const char* command : {"cutover", "rollback"}) cut(command, 0, {"--unverified"});
  Sql idle = client();
  idle.exec("BEGIN; UPDATE public.pgbench_branches SET filler = 'idle' WHERE bid = 1");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "undone") << report.dump(1);
  EXPECT_LT(report["pause_ms"], 1200);
  EXPECT_EQ(report["tries"], 2);
  EXPECT_FALSE(pooler_paused());
  idle.exec("COMMIT");
  EXPECT_EQ(client().value("SELECT rtrim(filler) FROM public.pgbench_branches WHERE bid = 1"), "idle");
  EXPECT_EQ(writable(), "blue");
  EXPECT_EQ(cut("cutover", 0, {"--unverified"})["result"], "moved");
  EXPECT_EQ(writable(), "green");
}

// Before the first cutover there are no triggers yet.
TEST_F(CutoverFaults, L1TransactionThatHoldsATableKeepsTheFenceFromItAndIsNamed) {
  start_links(", timeout: 3s");
  Sql idle = client();
  idle.exec("BEGIN; UPDATE public.pgbench_branches SET filler = 'idle' WHERE bid = 1");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "undone");
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("idle in transaction"));
  idle.exec("COMMIT");
  EXPECT_EQ(writable(), "both") << "as before";
}

TEST_F(CutoverFaults, L1TransactionThatDoesNotEndIsEndedWhereThatIsAskedFor) {
  start_links(", pause_budget: 2s, end_writers: true", false);
  Sql idle = blue_server().connect(kOwnerRole, kShopDatabase);
  idle.exec("BEGIN; UPDATE public.pgbench_branches SET filler = 'idle' WHERE bid = 1");
  const nlohmann::json report = cut("cutover", 0, {"--unverified"});
  EXPECT_THAT(report["notes"].dump(), HasSubstr("ended: session"));
  EXPECT_THROW(idle.exec("COMMIT"), SqlError);
  EXPECT_EQ(writable(), "green");
}

TEST_F(CutoverFaults, PoolerThatStandsStillIsFoundBeforeAndInTheMiddle) {
  start_links(", tries: 1, hooks: { before: \"test ! -e \\\"$STOP\\\" || kill -STOP $(cat \\\"$STOP\\\")\" }");
  bouncer_->send(SIGSTOP);
  const nlohmann::json before = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(before["result"], "refused");
  bouncer_->send(SIGCONT);
  const std::filesystem::path file = make_scratch_directory("stop") / "pid";
  write_file(file, std::to_string(bouncer_->pid()));
  const TealResult middle =
      run_teal(arguments("cutover", {"--unverified"}), {.environment = {"STOP=" + file.string()}});
  bouncer_->send(SIGCONT);
  EXPECT_EQ(middle.exit_code, 1);
  EXPECT_THAT(nlohmann::json::parse(middle.out)["result"], AnyOf("undone", "broken"));
  EXPECT_EQ(cut("cutover", 0, {"--unverified"})["result"], "moved");
  EXPECT_FALSE(pooler_paused());
  EXPECT_EQ(writable(), "green");
}

// Its last moment before the decision.
TEST_F(CutoverFaults, GreenThatIsGoneInTheMiddleLeavesTheApplicationOnBlue) {
  start_links(", tries: 1, timeout: 5s, hooks: { repoint: \"test $TEAL_TO = blue || { kill -QUIT " +
              std::to_string(green_server().pid()) + "; sleep 0.5; }\" }");
  const auto begin = steady_clock::now();
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_LT(steady_clock::now() - begin, seconds(30));
  EXPECT_EQ(report["result"], "broken") << "green's fence could not be taken back";
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("applications write on blue"));
  EXPECT_EQ(refusal(blue_server()), "");
  EXPECT_EQ(client().sqlstate_of("UPDATE public.pgbench_branches SET filler = filler"), "");
  green_server().stop(StopMode::kImmediate);
  green_server().start();
  teal_->wait_for_log("link streaming link=green_to_blue", seconds(60));
  start_links();
  const nlohmann::json again = cut("cutover", 0, {"--unverified"});
  EXPECT_THAT(again["notes"].dump(), HasSubstr("was taken back"));
  EXPECT_EQ(writable(), "green");
}

TEST_F(CutoverFaults, InterruptedItIsUndone) {
  start_links(", hooks: { repoint: \"test $TEAL_TO = blue || kill -INT $PPID; sleep 0.2\" }");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "undone");
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("interrupted"));
  EXPECT_EQ(refusal(blue_server()), "");
  EXPECT_FALSE(pooler_paused());
}

// At the beginning and at the end of every step, under load: whoever guards the process ends what it has left.
TEST_F(CutoverFaults, W13KilledAtEachStepItIsMovedOrUndoneWithinTheBudgetAndASecondRunFinishes) {
  start_links();
  Pgbench clients(
      blue_server(), kOwnerRole, kShopDatabase,
      {.clients = 8, .seconds = by_hand_tier() ? 240 : 100, .port = bouncer_->port(), .more = {"-n", "--rate=200"}});
  wait_until("they write", seconds(20), [&] { return history(blue()) > 100; });
  bool on_green = false;
  int moved = 0;
  int undone = 0;
  bool killed = true;
  for (int step = 1; killed; step += by_hand_tier() ? 1 : 3) {
    ASSERT_TRUE(clients.running()) << "it takes longer than the load";
    TealProcess teal(arguments(on_green ? "rollback" : "cutover", {"--unverified"}),
                     {.environment = {"TEAL_FAILPOINT=cutover_step:" + std::to_string(step)}});
    killed = teal.wait_exit(seconds(60)) == 128 + SIGKILL;
    const auto begin = steady_clock::now();
    std::string state;
    wait_until("it has ended after step " + std::to_string(step), seconds(20), [&] {
      state = blue().value(
          "SELECT coalesce((SELECT state FROM teal.cutover_journal ORDER BY number DESC LIMIT 1), 'done')");
      const std::string other = green().value(
          "SELECT coalesce((SELECT state FROM teal.cutover_journal ORDER BY number DESC LIMIT 1), 'done')");
      return state == other && (state == "done" || state == "undone") && !pooler_paused();
    });
    EXPECT_LT(steady_clock::now() - begin, seconds(5)) << "step " << step;
    if (killed && state == "undone") ++undone;
    const bool now_green = !refusal(blue_server()).empty();
    if (killed && now_green != on_green) ++moved;
    on_green = now_green;
    EXPECT_EQ(refusal(on_green ? green_server() : blue_server()), "") << "step " << step;
  }
  const PgbenchResult result = clients.wait(seconds(300));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.failed, 0) << result.output;
  wait_both_caught_up();
  EXPECT_EQ(history(blue()), result.transactions);
  expect_sides_equal();
  EXPECT_GT(moved, 0);
  EXPECT_GT(undone, 3);
  std::printf("%d moved, %d undone\n", moved, undone);
  EXPECT_EQ(cut(on_green ? "rollback" : "cutover", 0, {"--unverified"})["result"], "moved");
}

}  // namespace
}  // namespace teal::test
