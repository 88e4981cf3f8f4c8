// Faults of green and of what stands between, while a link runs: what passes is waited for, and nothing is skipped.
// Each test is judged by plain SQL on both sides and by the ledger.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/random_seed.h"

namespace teal::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

class Faults : public SidecarFixture {
 protected:
  void start_link() { start("CREATE TABLE item (id bigserial PRIMARY KEY, v text)", {"public.item"}); }

  void insert(const std::string& value, int count = 1) {
    blue_owner().exec("INSERT INTO item (v) SELECT " + sql_text(value) + " FROM generate_series(1, " +
                      std::to_string(count) + ")");
  }

  /// Everything has arrived once, in the process that was started, and every change is accounted for.
  void expect_nothing_lost(const std::string& table = "public.item") {
    wait_caught_up();
    expect_equal(table);
    const json link = json::parse(command({"status", "--json"}).out).at("links").at(0);
    const json& counters = link.at("counters");
    std::uint64_t sum = 0;
    for (const char* term : {"applied", "own", "filtered", "below_watermark", "already_applied", "quarantined"}) {
      sum += counters.at(term).get<std::uint64_t>();
    }
    EXPECT_EQ(counters.at("received").get<std::uint64_t>(), sum) << counters.dump();
    EXPECT_EQ(counters.at("quarantined"), 0);
    EXPECT_EQ(green().number("SELECT count(*) FROM teal.quarantine"), 0) << "what passes was taken for data";
    EXPECT_TRUE(teal_->running()) << teal_->err();
  }

  static void end_sessions(Sql& admin) {
    admin.exec(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'teal' AND pid <> pg_backend_pid()");
  }
};

// ------------------------------------------------------------------------------------------------- what passes

class TransientError : public Faults, public testing::WithParamInterface<const char*> {};

TEST_P(TransientError, M10RepeatsTheWholeTransactionUntilItPasses) {
  const std::string code = sql_text(GetParam());
  start_link();
  green().exec(
      "CREATE SEQUENCE attempts; CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN "
      "IF nextval('public.attempts') <= 2 THEN RAISE EXCEPTION 'fault' USING ERRCODE = " +
      code +
      "; END IF; RETURN NULL; END$$; CREATE TRIGGER fault AFTER INSERT ON item FOR EACH STATEMENT EXECUTE FUNCTION "
      "fault(); ALTER TABLE item ENABLE ALWAYS TRIGGER fault");
  insert("a", 3);
  wait_for_count("item", 3);
  EXPECT_EQ(times_logged("link interrupted"), 2U);
  expect_nothing_lost();
  EXPECT_EQ(times_logged("rows refused"), 0U) << "what passes was taken for data";
  EXPECT_EQ(green().number("SELECT count(DISTINCT xmin::text) FROM item"), 1);
}

INSTANTIATE_TEST_SUITE_P(Sqlstates, TransientError,
                         testing::Values("40001", "40P01", "55P03", "53100", "53200", "53300", "57014", "57P01",
                                         "08006", "25006", "42501", "58030"),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(Faults, DeadlockWithAnApplicationOnGreenCostsTealOneAttempt) {
  start_link();
  insert("a", 2);
  wait_for_count("item", 2);
  Sql application = green_server().connect("postgres", kShopDatabase);
  application.exec("SET deadlock_timeout = '1h'; BEGIN; UPDATE item SET v = 'app' WHERE id = 2");
  blue_owner().exec("UPDATE item SET v = 'b'");
  wait_until("teal waits for the row", seconds(30), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'teal' AND wait_event_type = 'Lock'");
  });
  application.send("UPDATE item SET v = 'app' WHERE id = 1");
  teal_->wait_for_log("link interrupted .*40P01");
  application.finish();
  application.exec("ROLLBACK");
  expect_nothing_lost();
}

TEST_F(Faults, LockHeldOnGreenIsWaitedForWithItsHolderNamedAndNothingHalfApplied) {
  start("CREATE TABLE item (id bigserial PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)",
        {"public.item", "public.other"});
  Sql holder = green_server().connect("postgres", kShopDatabase);
  holder.exec("SET application_name = 'nightly'; BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE");
  blue_owner().exec("BEGIN; INSERT INTO other VALUES (1); INSERT INTO item (v) VALUES ('a'); COMMIT");
  teal_->wait_for_log("held up by a lock.*blocked_by=\"" + std::to_string(holder.backend_pid()) + " .nightly");
  EXPECT_EQ(green().number("SELECT count(*) FROM other"), 0) << "half a transaction is there";
  EXPECT_EQ(slot_reader().empty(), false) << "the stream was given up";
  holder.exec("COMMIT");
  expect_nothing_lost();
  expect_equal("public.other");
  EXPECT_EQ(times_logged("link interrupted"), 0U);
}

TEST_F(Faults, RightThatIsRevokedIsWaitedForAndNoChangeIsSkipped) {
  start_link();
  green().exec("REVOKE INSERT ON item FROM teal");
  insert("without the right");
  teal_->wait_for_log("link interrupted .*42501");
  insert("still without");
  green().exec("GRANT INSERT ON item TO teal");
  expect_nothing_lost();

  blue().exec("ALTER ROLE teal NOREPLICATION");
  end_sessions(blue());
  teal_->wait_for_log("link interrupted .*(WAL sender|replication role)");
  insert("not replicated");
  blue().exec("ALTER ROLE teal REPLICATION");
  expect_nothing_lost();
}

TEST_F(Faults, ConnectionLimitIsWaitedFor) {
  start_link();
  for (Sql* side : {&green(), &blue()}) {
    const std::size_t before = times_logged("too many connections for role");
    side->exec("ALTER ROLE teal CONNECTION LIMIT 0");
    end_sessions(*side);
    wait_until("teal is refused", seconds(30), [&] { return times_logged("too many connections for role") > before; });
    insert("no room");
    side->exec("ALTER ROLE teal CONNECTION LIMIT -1");
    expect_nothing_lost();
  }
}

TEST_F(Faults, M10GreenThatIsAStandbyForAWhileIsWaitedFor) {
  start_link();
  green_server().stop();
  std::ofstream(green_server().directory() / "data" / "standby.signal").flush();
  green_server().start();
  insert("read-only");
  teal_->wait_for_log("link interrupted .*25006");
  green().exec("SELECT pg_promote()");
  expect_nothing_lost();
}

TEST_F(Faults, M7HostileDefaultsThatComeInMidStreamChangeNothing) {
  start_link();
  for (Sql* side : {&green(), &blue()}) {
    side->exec(
        "ALTER ROLE teal SET statement_timeout = '1ms'; ALTER ROLE teal SET lock_timeout = '1ms'; ALTER ROLE teal SET "
        "idle_in_transaction_session_timeout = '1ms'; ALTER DATABASE shop SET default_transaction_read_only = on; "
        "ALTER "
        "DATABASE shop SET default_transaction_isolation = serializable");
    end_sessions(*side);
  }
  blue_owner().exec("SET default_transaction_read_only = off");
  blue().exec("SET default_transaction_read_only = off");
  insert("hostile", 1000);
  expect_nothing_lost();
  EXPECT_EQ(times_logged("57014"), 0U);
}

TEST_F(Faults, A1BackendsThatAreEndedAtRandomNeverMoveThePosition) {
  std::mt19937_64 random(random_seed());
  std::uniform_int_distribution<int> rows(1, 2000);
  start_link();
  const int kills = long_tier() ? 100 : 15;
  for (int i = 0; i < kills; ++i) {
    insert("kill " + std::to_string(i), rows(random));
    blue_owner().exec("UPDATE item SET v = v || '.' WHERE id % 7 = " + std::to_string(i % 7) +
                      "; DELETE FROM item WHERE id % 11 = " + std::to_string(i % 11));
    green().exec(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green'");
  }
  expect_nothing_lost();
  EXPECT_GT(times_logged("link interrupted"), 0U);
}

// ------------------------------------------------------------------------------------------------- passwords

class ChangedPassword : public Faults {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override { return {.passwords = true}; }
  [[nodiscard]] PgServerOptions green_options() const override { return {.passwords = true}; }

  void set_password(Sql& side, const std::string& password) {
    side.exec("ALTER ROLE teal PASSWORD " + sql_text(password));
  }
  void write_passfile(const std::string& password) const {
    std::ofstream(passfile_) << "*:*:*:teal:" << password << "\n";
    std::filesystem::permissions(passfile_, std::filesystem::perms(0600));
  }

  std::filesystem::path passfile_ = write_yaml("");
};

TEST_F(ChangedPassword, IsWaitedForUntilItIsSetBackOrThePassfileHasTheNewOne) {
  for (Sql* side : {&blue(), &green()}) {
    set_password(*side, "first");
    side->exec("SET ROLE shop_owner; CREATE TABLE item (id bigserial PRIMARY KEY, v text); RESET ROLE");
  }
  blue().exec("SET ROLE shop_owner; CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE item; RESET ROLE");
  write_passfile("first");
  configure("copy: { schema: false }\n");
  run({}, {.environment = {"PGPASSFILE=" + passfile_.string()}}).wait_for_log("link streaming", seconds(60));

  set_password(blue(), "other");
  end_sessions(blue());
  teal_->wait_for_log("link interrupted .*password authentication failed");
  blue().exec("INSERT INTO item (v) VALUES ('locked out of blue')");
  set_password(blue(), "first");
  wait_caught_up();

  set_password(green(), "second");
  end_sessions(green());
  const std::size_t before = times_logged("link interrupted");
  blue().exec("INSERT INTO item (v) VALUES ('locked out of green')");
  wait_until("teal is refused", seconds(30), [&] { return times_logged("link interrupted") > before + 1; });
  set_password(blue(), "second");
  write_passfile("second");
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

}  // namespace
}  // namespace teal::test
