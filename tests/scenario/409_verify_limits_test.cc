// What `teal verify` cannot check it says, and how much memory it takes (TRAPS K).
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/scenario/verify_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

constexpr long kMiB = 1024;  // in KiB

class VerifyLimits : public Verify {
 protected:
  void both(const std::string& sql) {
    for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("SET search_path = public; " + sql);
  }

  /// The largest resident size of a comparison that ends so. Units: KiB.
  long peak_of(int expected, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"--json", "verify", "--rows-only"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    TealProcess teal(with_config(arguments));
    EXPECT_EQ(teal.wait_exit(std::chrono::minutes(2)), expected) << teal.out() << teal.err();
    return teal.peak_rss_kib();
  }
};

TEST_F(VerifyLimits, K6RowSecurityThatHidesRowsIsSaid) {
  fill();
  green_owner().exec(
      "ALTER TABLE number ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON number USING (id < 100); ALTER TABLE word "
      "ENABLE ROW LEVEL SECURITY");
  blue_owner().exec("ALTER TABLE word ENABLE ROW LEVEL SECURITY; ALTER TABLE pair ENABLE ROW LEVEL SECURITY");
  green().exec("ALTER ROLE teal NOBYPASSRLS");
  blue().exec("ALTER ROLE teal NOBYPASSRLS");
  const nlohmann::json report = verify(3);
  EXPECT_EQ(report["result"], "not fully checked");
  const std::string on_blue = "row security on blue would hide rows from teal's role";
  const std::string on_green = "row security on green would hide rows from teal's role";
  EXPECT_EQ(of_table(report, "number")["not_checked"], nlohmann::json{on_green});
  EXPECT_EQ(of_table(report, "pair")["not_checked"], nlohmann::json{on_blue});
  EXPECT_EQ(of_table(report, "word")["not_checked"], (nlohmann::json{on_blue, on_green}));
  EXPECT_EQ(of_table(report, "thing")["result"], "equal");
}

TEST_F(VerifyLimits, K6ColumnsWhoseTypesCannotBeComparedAreSaid) {
  both(
      "CREATE TABLE item (id int PRIMARY KEY, n int, v text); INSERT INTO item SELECT k, k, 'v' || k FROM "
      "generate_series(1, 100) k");
  green_owner().exec("ALTER TABLE item ALTER n TYPE text");
  configure("");
  const nlohmann::json report = verify(3, {"--rows-only"});
  EXPECT_THAT(of_table(report, "item")["not_checked"].dump(), HasSubstr("column n cannot be compared: it is integer"));
  green_owner().exec("UPDATE item SET n = '-1' WHERE id = 1");
  verify(3, {"--rows-only"});
  green_owner().exec("UPDATE item SET v = '' WHERE id = 1");
  EXPECT_EQ(of_table(verify(1, {"--rows-only"}), "item")["differences"].size(), 1U) << "the rest is compared";
}

// The session's own setting counts, whatever the role has; a statement that somebody ends is no proof.
TEST_F(VerifyLimits, K8TimeLimitOfTheRoleEndsNothingAndAStatementThatIsEndedIsSaid) {
  fill();
  for (Sql* side : {&blue(), &green()}) side->exec("ALTER ROLE teal SET statement_timeout = '1ms'");
  verify(0);
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.pair");
  TealProcess teal(with_config({"--json", "verify", "--rows-only"}));
  const std::string waiting = "application_name = 'teal/shop/verify' AND wait_event_type = 'Lock'";
  wait_until("verify waits for the table", std::chrono::seconds(60),
             [&] { return green().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE " + waiting); });
  // As often as it tries: each of its ranges is read by a statement of its own.
  wait_until("verify has ended", std::chrono::seconds(60), [&] {
    green().exec("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE " + waiting);
    return !teal.running();
  });
  EXPECT_EQ(teal.wait_exit(std::chrono::seconds(10)), 3) << teal.err();
  const nlohmann::json report = nlohmann::json::parse(teal.out());
  EXPECT_THAT(of_table(report, "pair")["not_checked"].dump(), HasSubstr("canceling statement due to user request"));
  EXPECT_EQ(of_table(report, "number")["result"], "equal");
}

// Rows of 100 MB are hashed where they are; in the client they come one by one.
TEST_F(VerifyLimits, K6RowsOfAHundredMegabytesTakeLittleMemory) {
  both(
      "CREATE TABLE item (id int PRIMARY KEY, v text); INSERT INTO item SELECT k, repeat(k::text, 100000000) FROM "
      "generate_series(1, 3) k");
  configure("verify: { jobs: 1 }\n");
  const long in_servers = peak_of(0);
  const long in_client = peak_of(0, {"--exact"});
  green_owner().exec("UPDATE item SET v = v || 'x' WHERE id = 2");
  const long differing = peak_of(1);
  RecordProperty("in_servers_kib", std::to_string(in_servers));
  RecordProperty("in_client_kib", std::to_string(in_client));
  RecordProperty("differing_kib", std::to_string(differing));
  std::printf("peak: %ld MiB in the servers, %ld in the client, %ld differing\n", in_servers / kMiB, in_client / kMiB,
              differing / kMiB);
  EXPECT_LT(in_servers, 100 * kMiB);
  EXPECT_LT(differing, 100 * kMiB);
  EXPECT_LT(in_client, 700 * kMiB) << "a row of each side, and its text";
}

TEST_F(VerifyLimits, K6TableOf1600ColumnsTakesLittleMemory) {
  std::string columns;
  for (int i = 0; i < 1599; ++i) columns += ", c" + std::to_string(i) + " int2 DEFAULT " + std::to_string(i % 100);
  both("CREATE TABLE wide (id int PRIMARY KEY" + columns + "); INSERT INTO wide (id) SELECT generate_series(1, 1000)");
  configure("verify: { jobs: 1, range_rows: 500 }\n");
  const long equal = peak_of(0);
  green_owner().exec("UPDATE wide SET c1598 = -1");
  const long differing = peak_of(1);
  std::printf("peak: %ld MiB equal, %ld differing\n", equal / kMiB, differing / kMiB);
  EXPECT_LT(equal, 100 * kMiB);
  EXPECT_LT(differing, 150 * kMiB);
}

}  // namespace
}  // namespace teal::test
