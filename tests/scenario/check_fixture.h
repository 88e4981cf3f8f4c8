#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {

/// What `teal check` says, and doing what it says.
class CheckFixture : public SidecarFixture {
 protected:
  Sql& side(const std::string& name) { return name == "blue" ? blue() : green(); }

  /// Errors: fails the test when the exit code does not agree with the findings.
  nlohmann::json check() {
    const TealResult result = command({"check", "--json"});
    nlohmann::json said = nlohmann::json::parse(result.out);
    EXPECT_EQ(result.exit_code, said.at("findings").empty() ? 0 : 1) << result.out << result.err;
    return said;
  }
  nlohmann::json findings() { return check().at("findings"); }
  std::string notes() {
    const nlohmann::json said = check();
    std::string all;
    for (const nlohmann::json& note : said.at("notes")) all += note.get<std::string>() + "\n";
    return all;
  }

  static std::string what(const nlohmann::json& finding) { return finding.at("what"); }
  static std::string mend(const nlohmann::json& finding) { return finding.at("mend"); }

  /// `run` ends with the findings' own words and leaves nothing behind.
  void expect_run_refuses(const nlohmann::json& found, int publications = 1) {
    const TealResult refused = command({"run"});
    EXPECT_EQ(refused.exit_code, 1) << refused.err;
    for (const nlohmann::json& finding : found) {
      EXPECT_THAT(refused.err, testing::HasSubstr(what(finding)));
      EXPECT_THAT(refused.err, testing::HasSubstr(mend(finding)));
    }
    expect_no_trace(publications);
  }

  /// Runs each finding's statements as an administrator until nothing is found. One mend may uncover another.
  void mend_all(int rounds_max = 3) {
    nlohmann::json found = findings();
    for (int round = 0; round < rounds_max && !found.empty(); ++round) {
      for (const nlohmann::json& finding : found) side(finding.at("side")).exec(mend(finding));
      found = findings();
    }
    EXPECT_TRUE(found.empty()) << found.dump(2);
  }
};

}  // namespace teal::test
