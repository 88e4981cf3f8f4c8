// After a cutover somebody looks after it, and moves the writes back by himself where that was asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/scenario/cutover_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class CutoverWatchTest : public CutoverFixture {
 protected:
  [[nodiscard]] PgServerOptions green_options() const override {
    return {.settings = {"shared_preload_libraries=pg_stat_statements"}};
  }
};

TEST_F(CutoverWatchTest, NothingIsWrongAndTheWritesStay) {
  start_links();
  const nlohmann::json report = cut("cutover", 0,
                                    {"--unverified", "--watch", "5s", "--rollback-on", "lag>30s", "--rollback-on",
                                     "errors>50%", "--rollback-on", "command:true"});
  EXPECT_EQ(report["result"], "moved");
  EXPECT_EQ(writable(), "green");
}

TEST_F(CutoverWatchTest, CommandThatFailsThreeTimesBringsThemBack) {
  start_links();
  const TealResult result = run_teal(with_config({"cutover", "--yes", "--unverified", "--watch", "60s", "--rollback-on",
                                                  "command:echo the shop is down >&2; false"}));
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("moved: applications write on green"));
  EXPECT_THAT(result.out, HasSubstr("moved back by itself: command:"));
  EXPECT_THAT(result.out, HasSubstr("the shop is down"));
  EXPECT_THAT(result.out, HasSubstr("moved: applications write on blue"));
  EXPECT_EQ(writable(), "blue");
}

TEST_F(CutoverWatchTest, ErrorsAndSlowStatementsBringThemBack) {
  start_links();
  EXPECT_THAT(cut("cutover", 1, {"--unverified", "--watch", "60s", "--rollback-on", "latency>1s"})["obstacles"].dump(),
              HasSubstr("needs pg_stat_statements on green"));
  green().exec("CREATE EXTENSION pg_stat_statements");
  const std::filesystem::path script = make_scratch_directory("script") / "slow.sql";
  // Servers do not count transactions that have touched nothing.
  for (const std::string condition : {"errors>10%", "latency>50ms"}) {
    write_file(script, condition.starts_with("errors") ? "BEGIN;\nSELECT * FROM pgbench_tellers;\nROLLBACK;\n"
                                                       : "SELECT pg_sleep(0.1);\n");
    Pgbench clients(blue_server(), kOwnerRole, kShopDatabase,
                    {.clients = 4,
                     .seconds = 40,
                     .port = bouncer_->port(),
                     .more = {"-n", "--rate=" + std::string(condition.starts_with("errors") ? "200" : "30"), "-f",
                              script.string()}});
    const TealResult result =
        run_teal(with_config({"cutover", "--yes", "--unverified", "--watch", "60s", "--rollback-on", condition}));
    EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
    EXPECT_THAT(result.out, HasSubstr("moved back by itself: " + condition));
    EXPECT_EQ(writable(), "blue") << result.out << result.err;
    clients.stop();
  }
}

}  // namespace
}  // namespace teal::test
