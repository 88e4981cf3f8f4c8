// What tried to leave clients stuck, a pooler paused or rows behind, and did once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "tests/scenario/cutover_fixture.h"
#include "tests/support/pg_installation.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class CutoverAttack : public CutoverFixture {
 protected:
  std::string state(Sql& side) {
    return side.value("SELECT coalesce((SELECT state FROM teal.cutover_journal ORDER BY number DESC LIMIT 1), '')");
  }
};

// The guard comes while a server is away: it tries until it is there again.
TEST_F(CutoverAttack, W13KilledWhileGreenIsAwayThePoolerGoesOnAtOnceAndTheRestLater) {
  const std::filesystem::path mark = make_scratch_directory("mark") / "paused";
  start_links(", hooks: { repoint: \"test $TEAL_TO = blue || { echo > " + mark.string() + "; sleep 5; }\" }");
  TealProcess teal(arguments("cutover", {"--unverified"}));
  wait_until("writes are held back", seconds(30), [&] { return std::filesystem::exists(mark); });
  green_server().stop(StopMode::kImmediate);
  teal.kill9();
  wait_until("the pooler goes on", seconds(15), [&] { return !pooler_paused(); });
  EXPECT_EQ(Sql(bouncer_->conninfo(kOwnerRole)).sqlstate_of("UPDATE public.pgbench_branches SET filler = filler"), "");
  green_server().start();
  wait_until("the rest is taken back", seconds(30),
             [&] { return state(blue()) == "undone" && state(green()) == "undone"; });
  EXPECT_EQ(refusal(blue_server()), "");
}

TEST_F(CutoverAttack, W13HookThatOutlivesTheCommandIsEndedBeforeItIsTakenBack) {
  const std::filesystem::path where = make_scratch_directory("where") / "side";
  start_links(", hooks: { repoint: \"echo begun > " + where.string() +
              "; test $TEAL_TO = blue || sleep 2; echo $TEAL_TO > " + where.string() + "\" }");
  TealProcess teal(arguments("cutover", {"--unverified"}));
  wait_until("the hook runs", seconds(30), [&] { return std::filesystem::exists(where); });
  teal.kill9();
  wait_until("it was taken back", seconds(15), [&] { return state(blue()) == "undone"; });
  const auto begin = std::chrono::steady_clock::now();
  wait_until("an orphan would have ended", seconds(10),
             [&] { return std::chrono::steady_clock::now() - begin > seconds(3); });
  EXPECT_EQ(read_file(where), "blue\n");
}

TEST_F(CutoverAttack, L1PoolerThatIsStartedAnewInThePauseIsReachedAgain) {
  start_links(", tries: 1, hooks: { repoint: \"test $TEAL_TO = blue || { kill -STOP " +
              std::to_string(bouncer_->pid()) + "; (sleep 3; kill -CONT " + std::to_string(bouncer_->pid()) +
              ") > /dev/null 2>&1 & false; }\" }");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "undone") << report.dump(1);
  EXPECT_FALSE(pooler_paused());
  EXPECT_EQ(refusal(blue_server()), "");
}

TEST_F(CutoverAttack, L2PartitionThatIsMadeInThePauseUndoesIt) {
  blue_owner().exec("CREATE TABLE public.parts (id int PRIMARY KEY) PARTITION BY RANGE (id)");
  blue_owner().exec("CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10)");
  green_owner().exec("CREATE TABLE public.parts (id int PRIMARY KEY) PARTITION BY RANGE (id)");
  green_owner().exec("CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.parts");
  green_owner().exec("ALTER PUBLICATION teal_shop_green_to_blue ADD TABLE public.parts");
  const std::string psql =
      (pg_installation().bin / "psql").string() + " -Xqd \\\"" + blue_server().conninfo(kOwnerRole, kShopDatabase) +
      "\\\" -c 'CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES FROM (10) TO (20)' -c "
      "'INSERT INTO public.parts_2 VALUES (11)'";
  start_links(", tries: 1, hooks: { repoint: \"test $TEAL_TO = blue || " + psql + "\" }");
  const nlohmann::json report = cut("cutover", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "undone") << report.dump(1);
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("parts_2 is missing or disabled"));
}

TEST_F(CutoverAttack, L5WithoutAWayBackNobodyGoesBackBeforeTheSidesWereFoundEqual) {
  teal_.reset();
  config_ = write_config({.more = "direction: forward\n"}).string();
  run_streaming();
  wait_caught_up();
  EXPECT_EQ(command({"verify"}).exit_code, 0);
  EXPECT_EQ(cut("cutover", 0, {"--no-way-back"})["result"], "moved");
  green_owner().exec("INSERT INTO public.pgbench_history (tid, bid, aid, delta) VALUES (1, 1, 77, 0)");
  teal_->terminate();
  start_links("", false);
  const nlohmann::json report = cut("rollback", 1, {"--unverified"});
  EXPECT_EQ(report["result"], "refused");
  EXPECT_THAT(report["obstacles"].dump(), HasSubstr("teal verify --repair green"));
  EXPECT_EQ(command({"verify", "--repair", "green"}).exit_code, 0);
  EXPECT_EQ(command({"verify"}).exit_code, 0);
  EXPECT_EQ(cut("rollback", 0, {})["result"], "moved");
  EXPECT_EQ(blue().number("SELECT count(*) FROM public.pgbench_history WHERE aid = 77"), 1);
}

TEST_F(CutoverAttack, L2FenceOfAnEarlierMoveIsOpenedWhoeverMakesTheNext) {
  start_links("", true, "writers: both\n");
  EXPECT_EQ(cut("cutover", 0, {"--unverified", "--fence"})["result"], "moved");
  EXPECT_EQ(writable(), "green");
  EXPECT_EQ(cut("rollback", 0, {"--unverified"})["result"], "moved");
  EXPECT_EQ(refusal(blue_server()), "");
}

TEST_F(CutoverAttack, PoolerThatWouldLeadElsewhereIsFoundBefore) {
  start_links();
  const std::string config = read_file(config_);
  for (const auto& [green, said] :
       {std::pair<std::string, std::string>("host=127.0.0.1 port=9 dbname=shop", "cannot look at"),
        {"host=127.0.0.1 port=" + std::to_string(green_server().port()) + " dbname=postgres",
         "would lead clients to"}}) {
    std::string other = config;
    other.insert(other.find(", config:"), ", green: \"" + green + "\"");
    write_file(config_, other);
    const nlohmann::json report = cut("cutover", 1, {"--unverified", "--dry-run"});
    EXPECT_THAT(report["obstacles"].dump() + report["notes"].dump(), HasSubstr(said));
  }
  const std::filesystem::path copy = make_scratch_directory("copy") / "pgbouncer.ini";
  write_file(copy, read_file(bouncer_->config()));
  std::string other = config;
  other.replace(other.find(bouncer_->config().string()), bouncer_->config().string().size(), copy.string());
  write_file(config_, other);
  EXPECT_THAT(cut("cutover", 1, {"--unverified", "--dry-run"})["obstacles"].dump(), HasSubstr("the pooler runs with"));
}

}  // namespace
}  // namespace teal::test
