#include <nlohmann/json.hpp>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

/// Two tables that stream, and what status says of their comparison.
class KeptVerdicts : public SidecarFixture {
 protected:
  void start_two(const std::string& more = "") {
    start("CREATE TABLE item (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY, n int)",
          {"item", "other"}, more);
    for (const char* table : {"item", "other"}) {
      blue_owner().exec(std::string("INSERT INTO ") + table + " SELECT k, k FROM generate_series(1, 100) k");
    }
    wait_caught_up();
  }

  void verify(int expected, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"verify"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const TealResult result = command(arguments);
    ASSERT_EQ(result.exit_code, expected) << result.out << result.err;
  }

  nlohmann::json kept() {
    const TealResult result = command({"--json", "status"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out)["verify"];
  }
  std::string status() { return command({"status"}).out; }
};

TEST_F(KeptVerdicts, K8WhatWasFoundIsKeptUntilTheNextComparison) {
  start_two();
  EXPECT_TRUE(kept().is_null());
  EXPECT_THAT(status(), HasSubstr("verified   never"));
  verify(0);
  const nlohmann::json equal = kept();
  EXPECT_EQ(equal["result"], "equal") << equal;
  EXPECT_EQ(equal["fresh"], true);
  EXPECT_LT(equal["age_seconds"], 300);
  ASSERT_EQ(equal["tables"].size(), 2U);
  EXPECT_EQ(equal["tables"][1]["table"], "other");
  EXPECT_EQ(equal["tables"][1]["rows"], 100);
  EXPECT_EQ(equal["tables"][1]["whole"], true);
  EXPECT_THAT(status(), HasSubstr("verified   equal, 2 tables, the oldest "));

  green_owner().exec("UPDATE item SET n = -1 WHERE id IN (7, 8)");
  verify(1);
  EXPECT_EQ(kept()["result"], "differs");
  EXPECT_EQ(kept()["tables"][0]["differences"], 2);
  EXPECT_THAT(status(), HasSubstr("  public.item  differs, 2 rows, "));
  // The other table alone says nothing of this one.
  verify(0, {"--tables", "public.other"});
  EXPECT_EQ(kept()["result"], "differs");

  green_owner().exec("UPDATE item SET n = id; ALTER TABLE item ADD more int");
  verify(3);
  EXPECT_EQ(kept()["result"], "not fully checked");
  EXPECT_THAT(status(), HasSubstr("  public.item  not fully checked, "));
  EXPECT_THAT(status(), HasSubstr("column more is not on blue"));
  green_owner().exec("ALTER TABLE item DROP more");
  verify(0);
  EXPECT_EQ(kept()["result"], "equal");
}

TEST_F(KeptVerdicts, K8TablesThatWereNotComparedAndOldResultsAreNoProof) {
  start_two("verify: { max_age: 1ms }\n");
  verify(0, {"--tables", "public.other"});
  const nlohmann::json part = kept();
  EXPECT_EQ(part["result"], "not fully checked");
  EXPECT_EQ(part["never_compared"], nlohmann::json{"public.item"});
  EXPECT_EQ(part["fresh"], false);
  EXPECT_THAT(status(), HasSubstr("older than verify.max_age"));
}

// An orphan on green: links bypass its foreign key. Who compares rows alone sees that they are the same.
TEST_F(KeptVerdicts, K3WhatIsWrongBesidesRowsIsNotEqualUntilSomebodyHasLookedAgain) {
  start_two();
  green_owner().exec("ALTER TABLE other ADD FOREIGN KEY (n) REFERENCES item (id)");
  blue_owner().exec("INSERT INTO other VALUES (200, 5000)");
  wait_caught_up();
  verify(1);
  EXPECT_EQ(kept()["result"], "differs");
  EXPECT_EQ(kept()["tables"][0]["result"], "equal");
  EXPECT_EQ(kept()["tables"][1]["result"], "differs");
  EXPECT_THAT(status(), HasSubstr("wrong besides rows: green: "));
  verify(0, {"--rows-only"});
  EXPECT_EQ(kept()["result"], "differs");
  blue_owner().exec("DELETE FROM other WHERE id = 200");
  wait_caught_up();
  verify(0, {"--rows-only"});
  EXPECT_EQ(kept()["result"], "differs");
  verify(0);
  EXPECT_EQ(kept()["result"], "equal");
}

// A comparison of ten hours says nothing of what was written since it began.
TEST_F(KeptVerdicts, K8AgeIsThatOfTheBeginning) {
  start_two();
  const std::string before = green().value("SELECT clock_timestamp()");
  verify(0);
  EXPECT_EQ(kept()["fresh"], true);
  EXPECT_TRUE(green().truth("SELECT bool_and(started_at BETWEEN " + sql_text(before) +
                            " AND finished_at) FROM teal.verify_state"));
  green().exec("UPDATE teal.verify_state SET started_at = now() - interval '10 hours' WHERE table_name = 'item'");
  EXPECT_EQ(kept()["fresh"], false);
  EXPECT_GE(kept()["age_seconds"], 36'000);
  EXPECT_THAT(status(), HasSubstr("older than verify.max_age"));
}

TEST_F(KeptVerdicts, K8WhatEarlierRunsHaveComparedIsNotKeptAsEqual) {
  start_two();
  const std::string state = make_scratch_directory("kept") / "state";
  green_owner().exec("UPDATE other SET n = -1 WHERE id = 7");
  verify(1, {"--state", state});
  const std::string between = green().value("SELECT clock_timestamp()");
  green_owner().exec("UPDATE other SET n = 7 WHERE id = 7");
  verify(0, {"--state", state});
  const nlohmann::json found = kept();
  EXPECT_EQ(found["result"], "not fully checked") << found;
  EXPECT_EQ(found["tables"][0]["whole"], false);
  EXPECT_EQ(found["tables"][0]["result"], "not fully checked");
  EXPECT_EQ(found["tables"][1]["result"], "equal") << "all of it was compared by this run";
  EXPECT_THAT(status(), HasSubstr("ranges were compared by earlier runs"));
  EXPECT_TRUE(
      green().truth("SELECT started_at < " + sql_text(between) + " FROM teal.verify_state WHERE table_name = 'item'"));
  // As an earlier version kept it.
  green().exec("UPDATE teal.verify_state SET result = 'equal'");
  EXPECT_EQ(kept()["result"], "not fully checked");
  verify(0);
  EXPECT_EQ(kept()["result"], "equal");
}

TEST_F(KeptVerdicts, K8TablesThatAreNotSelectedAnyMoreAreForgotten) {
  start_two();
  verify(0);
  config_ = write_config({.more = "direction: forward\ntables: { exclude: [\"public.other\"] }\n"}).string();
  verify(0);
  EXPECT_EQ(kept()["tables"].size(), 1U);
}

TEST_F(KeptVerdicts, K9MarkersOfAComparisonGoWithIt) {
  start_two();
  green_owner().exec("UPDATE item SET n = -1 WHERE id IN (7, 8)");
  const auto markers = [&] {
    return blue().value("SELECT count(*) FROM teal.marker") + " " +
           green().value("SELECT count(*) FROM teal.marker_applied");
  };
  const std::string made = "SELECT last_value FROM teal.marker_id_seq";
  const std::string before = markers();
  const auto made_before = blue().number(made);
  verify(1);
  EXPECT_GT(blue().number(made), made_before) << "none was needed";
  EXPECT_EQ(markers(), before);
}

TEST_F(KeptVerdicts, K9NothingIsKeptOfAMigrationThatWasNotSetUp) {
  start_two();
  verify(0);
  teal_.reset();
  config_ = write_config({.name = "later", .more = "direction: forward\n"}).string();
  verify(0);
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.verify_state WHERE migration = 'later'"), 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.verify_state WHERE migration = 'shop'"), 2);
}

TEST_F(KeptVerdicts, K8FinishLeavesNothingOfIt) {
  start_two();
  verify(0);
  teal_.reset();
  const TealResult finished = command({"finish", "--yes"});
  EXPECT_THAT(finished.out, HasSubstr("removed green: schema teal")) << finished.err;
  expect_no_trace(1);
}

// As version 4 left it.
TEST_F(KeptVerdicts, K8SchemaThatIsOlderIsCompletedByRunAndBearsVerifyBefore) {
  start_two();
  green().exec(
      "DROP TABLE teal.verify_state; DELETE FROM teal.schema_version WHERE version > 4; "
      "INSERT INTO teal.schema_version VALUES (4) ON CONFLICT DO NOTHING");
  verify(0);
  EXPECT_TRUE(kept().is_null());
  run_streaming();
  wait_caught_up();
  verify(0);
  EXPECT_EQ(kept()["result"], "equal");
  EXPECT_GE(green().number("SELECT max(version) FROM teal.schema_version"), 5);
}

}  // namespace
}  // namespace teal::test
