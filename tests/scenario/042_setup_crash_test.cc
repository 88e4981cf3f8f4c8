// Set-up that is killed, repeated, or meets what is not as it left it.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class SetUpOfLink : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
    blue_owner().exec("INSERT INTO item (name) SELECT 'n' || i FROM generate_series(1, 100) i");
    create_publication({"public.item"});
    configure("copy: { schema: false }\n");
  }

  void expect_refused(const std::string& word, const std::string& says) {
    const TealResult result = command({word});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr(says));
  }
};

TEST_F(SetUpOfLink, KilledAfterEachOfItsStepsItIsCompletedByTheNext) {
  for (const char* step : {"publication set up", "origin created", "slot created", "copy started", "link streaming"}) {
    SCOPED_TRACE(step);
    run().wait_for_log(step, seconds(30));
    teal_->kill9();
    blue_owner().exec("INSERT INTO item (name) VALUES ('meanwhile')");
    const TealResult result = run_until_synced();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    expect_equal("public.item");
    EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 1);
    EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1);  // the owner's publication stays
    expect_no_trace(1);
    green_owner().exec("TRUNCATE item");
  }
}

TEST_F(SetUpOfLink, KilledBeforeOrAfterItsSlotIsMadeItHasOneSlotInTheEnd) {
  for (const char* point : {"before_slot", "slot_created"}) {
    SCOPED_TRACE(point);
    EXPECT_EQ(run({}, {.environment = {std::string("TEAL_FAILPOINT=") + point}}).wait_exit(seconds(60)), 128 + SIGKILL)
        << teal_->err();
    blue_owner().exec("INSERT INTO item (name) VALUES ('meanwhile')");
    const TealResult result = run_until_synced();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    expect_equal("public.item");
    EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 1);
    EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1);  // the owner's publication stays
    expect_no_trace(1);
    green_owner().exec("TRUNCATE item");
  }
}

TEST_F(SetUpOfLink, TwoThatBeginTogetherBothSucceed) {
  TealProcess one(with_config({"init"}));
  TealProcess other(with_config({"init"}));
  EXPECT_EQ(one.wait_exit(seconds(60)), 0) << one.err();
  EXPECT_EQ(other.wait_exit(seconds(60)), 0) << other.err();
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 1);
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.item");
}

TEST_F(SetUpOfLink, SlotThatWasDroppedMeanwhileIsAGapAndNeverMadeAnew) {
  EXPECT_EQ(run_until_synced().exit_code, 0);
  blue_owner().exec("INSERT INTO item (name) VALUES ('lost')");
  blue().exec("SELECT pg_drop_replication_slot('teal_shop_blue_to_green')");
  for (const char* word : {"run", "init"}) {
    expect_refused(word, "the slot teal_shop_blue_to_green is gone");
    expect_refused(word, "teal finish");
  }
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 0);
  EXPECT_THAT(command({"status"}).out, HasSubstr("missing: changes are lost"));
}

TEST_F(SetUpOfLink, A15AnotherClusterUnderBluesAddressIsRefused) {
  EXPECT_EQ(run_until_synced().exit_code, 0);
  PgServer other;
  prepare_shop(other);
  other.psql(
      "CREATE TABLE item (id bigserial PRIMARY KEY, name text); CREATE PUBLICATION teal_shop_blue_to_green FOR "
      "TABLE item",
      kOwnerRole, kShopDatabase);
  config_ = write_config(
                {.blue = other.uri(kTealRole, kShopDatabase), .more = "direction: forward\ncopy: { schema: false }\n"})
                .string();
  expect_refused("run", "this is another cluster");
  EXPECT_EQ(other.connect().number("SELECT count(*) FROM pg_replication_slots"), 0);
  expect_equal("public.item");
}

TEST_F(SetUpOfLink, TermWhileAServerIsAwayEndsTeal) {
  TealProcess& teal = run_streaming();
  blue_server().stop(StopMode::kImmediate);
  teal.wait_for_log("link interrupted.*Connection refused", seconds(30));
  EXPECT_EQ(teal.terminate(seconds(5)), 0) << teal.err();
}

}  // namespace
}  // namespace teal::test
