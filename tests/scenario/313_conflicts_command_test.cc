// Conflicts from the operator's side: what `teal conflicts` and `teal status` say about rows that were changed on both
// sides, and how long it is kept (TRAPS G1, G11).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/scenario/two_way_fixture.h"

namespace teal::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class ConflictsCommand : public TwoWayFixture {
 protected:
  /// Rows 1 to 30 are changed on blue, 21 to 40 on green a moment later, by applications that could not see each other.
  void disagree(const std::string& more = "") {
    start_both("CREATE TABLE item (id int PRIMARY KEY, v text, price numeric(10, 2), at timestamptz, sold boolean)",
               {"public.item"}, more);
    blue_owner().exec(
        "INSERT INTO item SELECT i, 'old', i, '2026-01-02 03:04:05+00', true FROM generate_series(1, 50) i");
    wait_both_caught_up();
    EXPECT_EQ(teal_->terminate(), 0);
    blue_owner().exec("UPDATE item SET v = 'blue' WHERE id <= 30");
    green_owner().exec("UPDATE item SET v = 'green', sold = NULL WHERE id BETWEEN 21 AND 40");
    run_both();
    wait_both_caught_up();
    expect_all_equal();
  }

  json asked(const std::vector<std::string>& arguments) {
    std::vector<std::string> all{"conflicts"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.emplace_back("--json");
    const TealResult result = command(all);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  }
  std::string said(const std::vector<std::string>& arguments) {
    std::vector<std::string> all{"conflicts"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return command(all).out;
  }
};

TEST_F(ConflictsCommand, G1EachRowThatBothSidesChangedIsInBothLogsAndTheyAgree) {
  disagree();
  const json all = asked({"list"});
  EXPECT_EQ(all.at("more"), false);
  std::map<std::string, std::set<std::string>> of_key;
  for (const json& conflict : all.at("conflicts")) {
    EXPECT_EQ(conflict.at("type"), "update_origin_differs");
    EXPECT_EQ(conflict.at("stays"), "green");
    of_key[conflict.at("key")].insert(std::string(conflict.at("link")) + " " + std::string(conflict.at("resolution")));
  }
  EXPECT_EQ(of_key.size(), 10U);
  for (const auto& [key, decided] : of_key) {
    EXPECT_EQ(decided, (std::set<std::string>{"blue_to_green kept", "green_to_blue applied"})) << key;
  }
  const json stats = asked({"stats"});
  EXPECT_EQ(stats.at("links").at(0).at("kinds"),
            json::parse(R"([{"table":"public.item","type":"update_origin_differs","applied":0,"kept":10}])"));
  EXPECT_EQ(stats.at("links").at(1).at("kinds"),
            json::parse(R"([{"table":"public.item","type":"update_origin_differs","applied":10,"kept":0}])"));
  // Both name the same two commits.
  const std::string commits = "SELECT string_agg(key || source_lsn || target_lsn, ' ' ORDER BY key)";
  EXPECT_EQ(blue().value(commits + " FROM (SELECT key, target_lsn AS source_lsn, source_lsn AS target_lsn FROM "
                                   "teal.conflict_log) AS turned"),
            green().value(commits + " FROM teal.conflict_log"));
  const json status = json::parse(command({"status", "--json"}).out);
  EXPECT_EQ(status.at("links").at(0).at("conflicts"), json({{"applied", 0}, {"kept", 10}}));
  EXPECT_EQ(status.at("links").at(1).at("conflicts"), json({{"applied", 10}, {"kept", 0}}));
  EXPECT_THAT(command({"status"}).out, HasSubstr("conflicts  applied 0, kept 10: teal conflicts list"));
}

TEST_F(ConflictsCommand, ListIsCutAndShowTellsBothRowsAlikeWhateverFormTheStreamHas) {
  disagree();
  EXPECT_EQ(json::parse(command({"status", "--json"}).out).at("links").at(0).at("counters").at("values"), "binary");
  const json some = asked({"list", "--limit", "3"});
  EXPECT_EQ(some.at("conflicts").size(), 3U);
  EXPECT_EQ(some.at("more"), true);
  EXPECT_EQ(asked({"list", "--table", "public.item", "--since", "1h"}).at("conflicts").size(), 20U);
  EXPECT_EQ(asked({"list", "--table", "public.other"}).at("conflicts").size(), 0U);
  blue().exec("UPDATE teal.conflict_log SET at = at - interval '2 hours'");
  EXPECT_EQ(asked({"list", "--since", "1h"}).at("conflicts").size(), 10U);

  const std::string id = "g" + green().value("SELECT id FROM teal.conflict_log WHERE key = '(\"id\")=(25)'");
  const json one = asked({"show", id});
  EXPECT_EQ(one.at("incoming_row"),
            json::parse(R"({"id":"25","v":"blue","price":"25.00","at":"2026-01-02 03:04:05+00","sold":"t"})"));
  EXPECT_EQ(one.at("standing_row"),
            json::parse(R"({"id":"25","v":"green","price":"25.00","at":"2026-01-02 03:04:05+00","sold":null})"));
  const std::string text = said({"show", id});
  EXPECT_THAT(text, HasSubstr("decided    kept: green's version stays; by link blue_to_green"));
  EXPECT_THAT(text, HasSubstr("  v  blue \"blue\"  green \"green\"\n"));
  EXPECT_THAT(text, HasSubstr("  sold  blue \"t\"  green null\n"));
  EXPECT_THAT(said({"list"}), HasSubstr(id + "  "));
  EXPECT_THAT(said({"list"}), Not(HasSubstr("\"green\""))) << "a row's value was shown";
  EXPECT_THAT(teal_->err(), Not(HasSubstr("\"green\"")));

  const TealResult none = command({"conflicts", "show", "g999999"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("there is no conflict g999999"));
  EXPECT_EQ(command({"conflicts", "show", "17"}).exit_code, 2);
}

TEST_F(ConflictsCommand, RowsAreNotLoggedWhereTheConfigurationForbidsIt) {
  disagree("conflicts: { log_rows: false }\n");
  for (Sql* side : {&blue(), &green()}) {
    EXPECT_EQ(side->number("SELECT count(*) FROM teal.conflict_log"), 10);
    EXPECT_EQ(side->number("SELECT count(*) FROM teal.conflict_log WHERE incoming_row IS NOT NULL OR standing_row IS "
                           "NOT NULL"),
              0);
  }
  EXPECT_THAT(said({"show", "g" + green().value("SELECT max(id) FROM teal.conflict_log")}),
              HasSubstr("blue: no row, or it is not logged\n"));
}

TEST_F(ConflictsCommand, OldRowsAreDeletedAndTheirNumberIsKnownStill) {
  disagree();
  EXPECT_EQ(teal_->terminate(), 0);
  blue().exec("UPDATE teal.conflict_log SET at = now() - interval '30 days 1 minute'");
  green().exec("UPDATE teal.conflict_log SET at = now() - interval '29 days'");
  // One row that is a million younger than the others.
  green().exec(
      "INSERT INTO teal.conflict_log (id, migration, link, type, table_name, key, resolution, source_lsn, source_time, "
      "target_lsn, target_time) OVERRIDING SYSTEM VALUE SELECT max(id) - 4 + 1000000, 'shop', 'blue_to_green', "
      "'insert_exists', 'public.item', '', 'kept', '0/0', now(), '0/0', now() FROM teal.conflict_log");
  run_both();
  wait_until("blue's old ones are deleted", seconds(30),
             [&] { return blue().number("SELECT count(*) FROM teal.conflict_log") == 0; });
  wait_until("green's oldest ones are deleted", seconds(30),
             [&] { return green().number("SELECT count(*) FROM teal.conflict_log") == 5; });
  const json stats = asked({"stats"});
  EXPECT_EQ(stats.at("links").at(0).at("kept"), 10);
  EXPECT_EQ(stats.at("links").at(0).at("logged"), 5);
  EXPECT_EQ(stats.at("links").at(1).at("applied"), 10);
  EXPECT_EQ(stats.at("links").at(1).at("logged"), 0);
  EXPECT_TRUE(stats.at("links").at(1).at("oldest").is_null());
}

TEST_F(ConflictsCommand, StatusShowsThatTheClocksAgree) {
  start_both("CREATE TABLE item (id int PRIMARY KEY)", {"public.item"});
  const json status = json::parse(command({"status", "--json"}).out);
  const double error = status.at("clock_skew_error_seconds");
  EXPECT_LE(std::abs(status.at("clock_skew_seconds").get<double>()), error + 0.001);
  EXPECT_LT(error, 1.0);
  EXPECT_THAT(command({"status"}).out, HasSubstr("clocks     green's is 0.0"));
  EXPECT_EQ(asked({"list"}).at("conflicts").size(), 0U);
  EXPECT_EQ(said({"list"}), "there are no such conflicts\n");
  EXPECT_EQ(times_logged("clocks differ"), 0U);
}

}  // namespace
}  // namespace teal::test
