#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Three tables on both sides, compared in the order of their names, a range at a time, and noted in a file.
class VerifyState : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    for (Sql* owner : {&blue_owner(), &green_owner()}) {
      owner->exec("SET search_path = public");
      for (const char* table : {"first", "second", "third"}) {
        owner->exec(std::string("CREATE TABLE ") + table + " (id int PRIMARY KEY, v text); INSERT INTO " + table +
                    " SELECT k, 'v' || k FROM generate_series(1, 3000) k; ANALYZE " + table);
      }
    }
    configure("verify: { range_rows: 500, jobs: 1 }\n");
  }

  [[nodiscard]] std::vector<std::string> arguments() const {
    return {"--json", "verify", "--rows-only", "--state", state_, "--report", report_};
  }
  nlohmann::json verify(int expected) {
    const TealResult result = command(arguments());
    EXPECT_EQ(result.exit_code, expected) << result.out << result.err;
    return nlohmann::json::parse(result.out);
  }
  [[nodiscard]] nlohmann::json written() const { return nlohmann::json::parse(read_file(report_)); }

  /// Starts a comparison that has compared the first table and waits for the second.
  std::unique_ptr<TealProcess> start_halfway(Sql& blocker) {
    blocker.exec("BEGIN; LOCK TABLE public.second");
    auto teal = std::make_unique<TealProcess>(with_config(arguments()));
    wait_until("verify waits for the table", std::chrono::seconds(30), [&] {
      return green().truth(
          "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = "
          "'teal/shop/verify'");
    });
    return teal;
  }
  void wait_for_no_session() {
    for (Sql* side : {&blue(), &green()}) {
      wait_until("its sessions are gone", std::chrono::seconds(30), [&] {
        return side->number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'teal/shop/verify'") == 0;
      });
    }
  }
  /// What only somebody who reads the table again finds.
  void plant_in_first() { green().exec("UPDATE public.first SET v = 'planted' WHERE id = 7"); }

  std::filesystem::path directory_ = make_scratch_directory("verify");
  std::string state_ = directory_ / "state";
  std::string report_ = directory_ / "report.json";
};

TEST_F(VerifyState, K8InterruptedItReportsWhatWasDoneAndGoesOnWithTheRest) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  const auto teal = start_halfway(blocker);
  ::kill(teal->pid(), SIGINT);
  EXPECT_EQ(teal->wait_exit(std::chrono::seconds(30)), 3) << teal->err();
  nlohmann::json report = written();
  EXPECT_EQ(report["result"], "not fully checked");
  EXPECT_EQ(report["tables"][0]["result"], "equal");
  EXPECT_EQ(report["tables"][1]["not_checked"], nlohmann::json{"it was stopped before all of it was compared"});
  blocker.exec("ROLLBACK");
  plant_in_first();
  report = verify(0);
  EXPECT_EQ(report["tables"][0]["rows"], 3000);
  EXPECT_EQ(report["tables"][0]["ranges_compared_before"], report["tables"][0]["ranges"]);
  EXPECT_EQ(report["tables"][1]["ranges_compared_before"], 0);
  EXPECT_THAT(report["notes"].dump(), HasSubstr("were compared by earlier runs"));
  EXPECT_FALSE(std::filesystem::exists(state_)) << "nothing is left to go on with";
  EXPECT_EQ(verify(1)["tables"][0]["differences"].size(), 1U) << "the next one begins anew";
}

TEST_F(VerifyState, K8KilledItGoesOnWithTheRest) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  start_halfway(blocker)->kill9();
  blocker.exec("ROLLBACK");
  wait_for_no_session();
  plant_in_first();
  EXPECT_EQ(verify(0)["tables"][0]["ranges_compared_before"], 6);
}

TEST_F(VerifyState, K8AfterAMendOnlyTheRangesThatDifferedAreComparedAgain) {
  green().exec("UPDATE public.second SET v = 'x' WHERE id = 1");
  EXPECT_EQ(verify(1)["tables"][1]["differences"].size(), 1U);
  green().exec("UPDATE public.second SET v = 'v1' WHERE id = 1");
  green_owner().exec("ALTER TABLE public.third ADD more int");
  const nlohmann::json report = verify(3);
  EXPECT_EQ(report["tables"][1]["ranges_compared_before"].get<int>() + 1, report["tables"][1]["ranges"].get<int>());
  EXPECT_FALSE(std::filesystem::exists(state_)) << "the column of one side is not for a next run to compare";
}

TEST_F(VerifyState, K8TableThatWasMadeAnewIsComparedAnew) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  start_halfway(blocker)->kill9();
  blocker.exec("ROLLBACK");
  wait_for_no_session();
  green_owner().exec("DROP TABLE public.first; CREATE TABLE public.first (id int PRIMARY KEY, v text)");
  EXPECT_EQ(verify(1)["tables"][0]["ranges_compared_before"], 0);
}

TEST_F(VerifyState, K8TableWhoseTypesWereChangedIsComparedAnew) {
  green().exec("UPDATE public.second SET v = 'x' WHERE id = 1");
  verify(1);
  green_owner().exec("ALTER TABLE public.first ALTER v TYPE varchar(3)  USING left(v, 3)");
  const nlohmann::json report = verify(1);
  EXPECT_EQ(report["tables"][0]["ranges_compared_before"], 0);
  EXPECT_EQ(report["tables"][0]["result"], "differs");
  EXPECT_EQ(report["tables"][2]["ranges_compared_before"], 6);
  green_owner().exec("TRUNCATE public.third");
  EXPECT_EQ(verify(1)["tables"][2]["ranges_compared_before"], 0);
}

// The next run of all tables goes on with what this one has not looked at.
TEST_F(VerifyState, K8OneTableThatIsEqualLeavesWhatIsKnownOfTheOthers) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  start_halfway(blocker)->kill9();
  blocker.exec("ROLLBACK");
  wait_for_no_session();
  std::vector<std::string> one = arguments();
  one.insert(one.end(), {"--tables", "public.third"});
  TealResult result = command(one);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_TRUE(std::filesystem::exists(state_));
  const nlohmann::json report = verify(0);
  EXPECT_EQ(report["tables"][0]["ranges_compared_before"], 6);
  EXPECT_EQ(report["tables"][2]["ranges_compared_before"], 6);
  EXPECT_FALSE(std::filesystem::exists(state_));
  result = command(one);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(std::filesystem::exists(state_)) << "nothing else was begun";
}

TEST_F(VerifyState, IsRefusedForOtherServersOrAnotherWay) {
  green().exec("UPDATE public.second SET v = 'x' WHERE id = 1");
  verify(1);
  std::vector<std::string> more = arguments();
  more.emplace_back("--exact");
  TealResult refused = command(more);
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("remove the file to begin anew"));
  config_ = write_config({.blue = green_server().conninfo(kTealRole, kShopDatabase)}).string();
  refused = command(arguments());
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("blue was another database"));
  EXPECT_THAT(refused.err, Not(HasSubstr("password")));
}

TEST_F(VerifyState, ReportMayBeAPage) {
  for (Sql* owner : {&blue_owner(), &green_owner()}) {
    owner->exec("CREATE TABLE \"<script>\" (\"<b>\" text PRIMARY KEY)");
  }
  green_owner().exec("INSERT INTO \"<script>\" VALUES ('<script>alert(1)</script>')");
  const std::string page = directory_ / "report.html";
  EXPECT_EQ(command({"verify", "--report", page}).exit_code, 1);
  const std::string html = read_file(page);
  EXPECT_THAT(html, HasSubstr("missing on blue: (&lt;b&gt;)=(&lt;script&gt;alert(1)&lt;/script&gt;)"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
}

}  // namespace
}  // namespace teal::test
