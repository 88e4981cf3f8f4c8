// A link that stopped at a row, from the operator's side: what status and quarantine say, and how the next run goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class QuarantineCommand : public SidecarFixture {
 protected:
  /// Streams, and then stops at `UPDATE ... WHERE id = 2`, whose row is gone from green.
  void stop_at_a_row() {
    start("CREATE TABLE t (id int PRIMARY KEY, v text)", {"public.t"});
    blue_owner().exec("INSERT INTO t SELECT i, 'secret' FROM generate_series(1, 3) i");
    wait_for_count("t", 3);
    green_owner().exec("DELETE FROM t WHERE id = 2");
    blue_owner().exec(
        "BEGIN; UPDATE t SET v = 'a' WHERE id = 1; UPDATE t SET v = 'b' WHERE id = 2; UPDATE t SET v = 'c' WHERE id = "
        "3; COMMIT");
    EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  }

  json quarantine() {
    const TealResult result = command({"quarantine", "list", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  }
  json link_status() { return json::parse(command({"status", "--json"}).out).at("links").at(0); }
  static std::string id_of(const json& list) { return std::to_string(list.at("changes").at(0).at("id").get<int>()); }
  std::string rows() { return green().value("SELECT string_agg(id || v, ' ' ORDER BY id) FROM public.t"); }
};

TEST_F(QuarantineCommand, F11StoppedChangeIsListedAndTheNextRunGoesOnWithoutItWhenTold) {
  stop_at_a_row();
  const json list = quarantine();
  EXPECT_EQ(list.at("open"), 1);
  const json& change = list.at("changes").at(0);
  EXPECT_EQ(change.at("state"), "stopped");
  EXPECT_EQ(change.at("operation"), "UPDATE");
  EXPECT_EQ(change.at("table"), "public.t");
  EXPECT_EQ(change.at("key"), "(\"id\")=(2)");
  EXPECT_EQ(change.at("position"), 2);
  EXPECT_EQ(link_status().at("quarantine").at("open"), 1);
  EXPECT_THAT(command({"status"}).out, HasSubstr("quarantine 1 open: teal quarantine list"));
  const TealResult text = command({"quarantine", "list"});
  EXPECT_THAT(text.out, HasSubstr("UPDATE on public.t key (\"id\")=(2)"));
  EXPECT_THAT(text.out, HasSubstr("teal quarantine skip ID"));
  EXPECT_THAT(text.out + teal_->err(), Not(HasSubstr("secret"))) << "a row's value was shown";

  const TealResult unasked = command({"quarantine", "skip", id_of(list)});
  EXPECT_EQ(unasked.exit_code, 2);
  EXPECT_THAT(unasked.err, HasSubstr("--yes"));
  EXPECT_EQ(quarantine().at("changes").at(0).at("state"), "stopped");
  const TealResult skip = command({"quarantine", "skip", id_of(list), "--yes"});
  EXPECT_EQ(skip.exit_code, 0) << skip.err;
  EXPECT_THAT(skip.out, HasSubstr("the sides differ in this row"));
  EXPECT_EQ(link_status().at("quarantine").at("skip"), 1);

  run_streaming();
  wait_caught_up();
  EXPECT_EQ(rows(), "1a 3c");
  const json counters = link_status().at("counters");
  EXPECT_EQ(counters.at("quarantined"), 1);
  // The INSERT comes again if the link stopped before the slot had moved past it.
  EXPECT_EQ(counters.at("received").get<int>() - counters.at("already_applied").get<int>(), 6);
  EXPECT_EQ(counters.at("applied"), 5);
  EXPECT_EQ(times_logged("stopped change passed over"), 1U);
  EXPECT_EQ(quarantine().at("open"), 0);
  EXPECT_EQ(quarantine().at("changes").at(0).at("state"), "skipped");
  const TealResult late = command({"quarantine", "retry", id_of(list)});
  EXPECT_EQ(late.exit_code, 1);
  EXPECT_THAT(late.err, HasSubstr("is skipped: the link has passed it"));
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1) << "the publication is its owner's";
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_namespace WHERE nspname = 'teal'"), 0);
}

TEST_F(QuarantineCommand, F11RetryTakesASkipBackAndTheCorrectedRowGoesThrough) {
  stop_at_a_row();
  const std::string id = id_of(quarantine());
  EXPECT_EQ(command({"quarantine", "skip", id, "--yes"}).exit_code, 0);
  const TealResult retry = command({"quarantine", "retry", id, "--json"});
  EXPECT_EQ(json::parse(retry.out).at("state"), "retry");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 5) << again.err;
  EXPECT_EQ(quarantine().at("changes").at(0).at("times"), 2);
  green_owner().exec("INSERT INTO t VALUES (2, 'x')");
  const TealResult mended = run_until_synced();
  EXPECT_EQ(mended.exit_code, 0) << mended.err;
  EXPECT_EQ(rows(), "1a 2b 3c");
  EXPECT_EQ(quarantine().at("changes").at(0).at("state"), "resolved");
  EXPECT_EQ(link_status().at("counters").at("quarantined"), 0);
  EXPECT_THAT(command({"quarantine", "skip", "999", "--yes"}).err, HasSubstr("there is no change 999"));
}

}  // namespace
}  // namespace teal::test
