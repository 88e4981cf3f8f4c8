#include <chrono>
#include <nlohmann/json.hpp>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pgbench.h"

// `verify: { continuous: true }`: teal run compares both sides while its links stream.
namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class ContinuousVerify : public TwoWayFixture {
 protected:
  static constexpr const char* kOn = "copy: { schema: false }\nverify: { continuous: true, range_rows: 2000 }\n";
  static constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, n int);";

  nlohmann::json status() {
    const TealResult result = command({"--json", "status"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  }
  std::uint64_t counted(const std::string& name) {
    const nlohmann::json running = status()["verifying"];
    return running.is_null() ? 0 : running["counters"][name].get<std::uint64_t>();
  }
  void wait_for(const std::string& what, const std::function<bool()>& condition) {
    wait_until(what, seconds(90), [&] {
      if (!teal_->running()) throw std::runtime_error("teal ended: " + what);
      return condition();
    });
  }
  void wait_for_passes(std::uint64_t more) {
    const std::uint64_t before = counted("passes");
    wait_for("passes of the comparison", [&] { return counted("passes") >= before + more; });
  }
  void wait_for_result(const std::string& result) {
    wait_for("the result " + result, [&] {
      const nlohmann::json verify = status()["verify"];
      return !verify.is_null() && verify["result"] == result;
    });
  }

  // `kItems` with so many rows, which stream.
  void start_items(int rows, const std::string& verify) {
    const std::string insert = "INSERT INTO item SELECT k, k FROM generate_series(1, " + std::to_string(rows) + ") k; ";
    for (Sql* owner : {&blue_owner(), &green_owner()}) {
      owner->exec("SET search_path = public; " + std::string(kItems) + insert + "ANALYZE item");
    }
    create_publication({"item"});
    configure("copy: { schema: false }\nverify: { continuous: true, " + verify + " }\n");
    run_streaming({"--no-copy"});
  }
};

TEST_F(ContinuousVerify, K1PassesUnderLoadFindWhatWasPlantedAndNothingElse) {
  create_pgbench_tables(blue_server(), kOwnerRole, kShopDatabase);
  create_pgbench_tables(green_server(), kOwnerRole, kShopDatabase);
  create_publication(kPgbenchTables);
  configure(kOn);
  run_streaming({"--no-copy"});
  Pgbench load(blue_server(), kOwnerRole, kShopDatabase, {.clients = 4, .seconds = 300});
  wait_for_passes(2);
  EXPECT_THAT(teal_->err(), Not(HasSubstr("a row differs")));
  wait_for_result("equal");
  const nlohmann::json equal = status();
  EXPECT_EQ(equal["verify"]["fresh"], true) << equal;
  EXPECT_EQ(equal["verify"]["tables"][0]["made_by"], "run");
  EXPECT_EQ(equal["verify"]["tables"][0]["whole"], true);
  EXPECT_EQ(equal["verifying"]["active"], true);
  EXPECT_THAT(command({"status"}).out, HasSubstr("verifying  "));

  green().exec("INSERT INTO public.pgbench_accounts VALUES (-7, 1, 0, '')");
  teal_->wait_for_log(
      "a row differs between the sides table=public.pgbench_accounts row=\"missing on blue: .aid.=.-7.\"", seconds(90));
  EXPECT_EQ(status()["verify"]["result"], "differs");
  wait_for_passes(2);
  EXPECT_EQ(times_logged("a row differs"), 1U) << "once as long as it does";
  EXPECT_EQ(counted("differences"), 1U);
  green().exec("DELETE FROM public.pgbench_accounts WHERE aid = -7");
  wait_for_result("equal");
  teal_->wait_for_log("rows that differed are the same again table=public.pgbench_accounts", seconds(60));
  EXPECT_TRUE(load.running());
}

TEST_F(ContinuousVerify, K1BothSidesBeingWrittenAreEqual) {
  start_both(kItems, {"item"}, "verify: { continuous: true }\n");
  for (int i = 0; i < 20; ++i) {
    blue_owner().exec("INSERT INTO item SELECT k * 2, 0 FROM generate_series(" + std::to_string(i * 100) + ", " +
                      std::to_string(i * 100 + 99) + ") k");
    green_owner().exec("INSERT INTO item SELECT k * 2 + 1, 0 FROM generate_series(" + std::to_string(i * 100) + ", " +
                       std::to_string(i * 100 + 99) + ") k");
  }
  wait_both_caught_up();
  wait_for_passes(2);
  wait_for_result("equal");
  EXPECT_EQ(status()["verify"]["tables"][0]["rows"], 4000);
  EXPECT_THAT(teal_->err(), Not(HasSubstr("a row differs")));
  // As if a link had written it.
  green().exec(
      "SELECT pg_replication_origin_create('teal_shop_blue_to_green_planted'); SELECT "
      "pg_replication_origin_session_setup('teal_shop_blue_to_green_planted')");
  green().exec("UPDATE public.item SET n = 1 WHERE id = 77");
  ASSERT_EQ(green().number("SELECT n FROM public.item WHERE id = 77"), 1);
  teal_->wait_for_log("row=\"differs: .id.=.77.\"", seconds(90));
}

TEST_F(ContinuousVerify, K8SessionsThatAreEndedAreMadeAgain) {
  start_items(20'000, "range_rows: 500");
  wait_for("ranges", [&] { return counted("ranges") > 0; });
  for (Sql* side : {&blue(), &green()}) {
    wait_for("a session is ended", [&] {
      return side->number(
                 "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = "
                 "'teal/shop/continuous'") > 0;
    });
    teal_->wait_for_log("comparison of both sides interrupted, trying again", seconds(30));
    wait_for_passes(1);
  }
  teal_->wait_for_log("both sides are compared again", seconds(30));
  wait_for_result("equal");
  EXPECT_EQ(times_logged("link interrupted"), 0U);
}

// Waiting for a lock, they are in nobody's way: what the link brings meanwhile goes past them.
TEST_F(ContinuousVerify, K8TableThatIsLockedIsNotFullyCheckedAndTheLinkGoesOn) {
  start_items(100, "range_rows: 500");
  wait_for_result("equal");
  Sql blocker = blue_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.item");
  wait_for_result("not fully checked");
  EXPECT_THAT(command({"status"}).out, HasSubstr("canceling statement due to lock timeout"));
  blocker.exec("ROLLBACK");
  wait_for_result("equal");
}

TEST_F(ContinuousVerify, K8MaxRateBoundsTheRowsOfASecond) {
  const auto began = std::chrono::steady_clock::now();
  start_items(20'000, "max_rate: 2000");
  wait_for("10,000 rows", [&] { return counted("rows") >= 10'000; });
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(3900));
  EXPECT_EQ(counted("passes"), 0U);
  const nlohmann::json running = status()["verifying"];
  EXPECT_EQ(running["table"], "public.item");
  EXPECT_GE(running["ranges"], 10);
  EXPECT_LT(running["ranges_done"], 20);
}

TEST_F(ContinuousVerify, K8StopEndsItAtOnceWhateverItDoes) {
  start_items(20'000, "max_rate: 100");
  wait_for("it rests", [&] { return counted("rows") >= 1000; });
  auto asked = std::chrono::steady_clock::now();
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, seconds(10));

  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.item");
  run_streaming();
  wait_for("it waits for the table", [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
        "application_name = 'teal/shop/continuous'");
  });
  asked = std::chrono::steady_clock::now();
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, seconds(10));
}

TEST_F(ContinuousVerify, K8TableThatJoinsLaterIsCompared) {
  start_items(100, "range_rows: 500");
  wait_for_result("equal");
  create_tables_both("CREATE TABLE later (id int PRIMARY KEY)");
  blue_owner().exec(
      "INSERT INTO later SELECT generate_series(1, 50); ALTER PUBLICATION teal_shop_blue_to_green ADD "
      "TABLE later");
  wait_joined("later");
  wait_for("the table that came later is compared", [&] {
    const nlohmann::json verify = status()["verify"];
    return verify["tables"].size() == 2 && verify["tables"][1]["rows"] == 50 && verify["result"] == "equal";
  });
  blue_owner().exec("ALTER TABLE later ADD v text");
  wait_for_result("not fully checked");
}

// A pass takes minutes. The row goes wrong on its way: a trigger of green's that fires for links as well.
TEST_F(ContinuousVerify, K1RowThatWasJustChangedIsComparedBeforeItsTurn) {
  start_items(50'000, "max_rate: 500");
  wait_for("the first range", [&] { return counted("ranges") > 0; });
  green_owner().exec(
      "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := -1; RETURN NEW; END'; CREATE "
      "TRIGGER "
      "spoil BEFORE UPDATE ON item FOR EACH ROW WHEN (NEW.id = 49000) EXECUTE FUNCTION spoil(); ALTER TABLE item "
      "ENABLE "
      "ALWAYS TRIGGER spoil");
  blue_owner().exec("UPDATE item SET n = n + 1 WHERE id BETWEEN 48990 AND 49010");
  teal_->wait_for_log("a row differs between the sides table=public.item row=\"differs: .id.=.49000.\"", seconds(30));
  EXPECT_EQ(counted("passes"), 0U);
  EXPECT_LT(counted("rows"), 40'000U);
  wait_for_result("differs");
  EXPECT_EQ(status()["verify"]["tables"][0]["differences"], 1);
  wait_for("all of them are compared", [&] { return counted("keys") >= 21; });
  EXPECT_EQ(times_logged("a row differs"), 1U);
}

// By its key, at the beginning of a pass that takes half a minute; by the time its range is compared it is equal.
TEST_F(ContinuousVerify, K4RowThatIsMendedDuringAPassIsEqualAtItsEnd) {
  start_items(30'000, "max_rate: 1000");
  wait_for("the first range", [&] { return counted("ranges") > 0; });
  green_owner().exec(
      "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := -1; RETURN NEW; END'; CREATE "
      "TRIGGER spoil BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION spoil(); ALTER TABLE item ENABLE ALWAYS "
      "TRIGGER spoil");
  blue_owner().exec("UPDATE item SET n = n + 1 WHERE id = 29900");
  teal_->wait_for_log("a row differs between the sides table=public.item row=\"differs: .id.=.29900.\"", seconds(30));
  wait_for_result("differs");
  green_owner().exec("DROP TRIGGER spoil ON item");
  const TealResult repaired = command({"verify", "--repair", "blue"});
  ASSERT_EQ(repaired.exit_code, 0) << repaired.out << repaired.err;
  ASSERT_EQ(counted("passes"), 0U) << "the pass that found it goes on";
  wait_for_passes(1);
  EXPECT_EQ(status()["verify"]["result"], "equal") << status()["verify"];
  EXPECT_EQ(status()["verify"]["tables"][0]["differences"], 0);
}

}  // namespace
}  // namespace teal::test
