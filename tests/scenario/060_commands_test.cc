// The commands around `run`: check, init, status, finish, version.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class Commands : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
    blue_owner().exec("INSERT INTO item (name) SELECT 'n' || i FROM generate_series(1, 100) i");
    create_publication({"public.item"});
    configure("copy: { schema: false }\n");
  }

  /// The one link of `status --json`.
  nlohmann::json link_status() {
    const TealResult result = command({"status", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const nlohmann::json json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json.at("name"), "shop");
    EXPECT_EQ(json.at("links").size(), 1U);
    return json.at("links").at(0);
  }

  std::string status_text() {
    const TealResult result = command({"status"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }

  static void expect_ledger_closed(const nlohmann::json& link) {
    const nlohmann::json& counters = link.at("counters");
    const auto count = [&](const char* name) { return counters.value(name, std::int64_t{0}); };
    EXPECT_EQ(count("received"), count("applied") + count("own") + count("below_watermark") + count("already_applied"))
        << counters.dump();
    EXPECT_GT(count("received"), 0);
  }

  /// Everything that a command could have created or written: catalogs' sizes and both positions of the tables.
  static std::string fingerprint(const PgServer& server) {
    return server.connect("postgres", kShopDatabase)
        .value(
            "SELECT concat_ws(' ', (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_namespace), (SELECT "
            "count(*) FROM pg_publication), (SELECT count(*) FROM pg_publication_rel), (SELECT count(*) FROM "
            "pg_replication_slots), (SELECT count(*) FROM pg_replication_origin), (SELECT count(*) FROM pg_proc), "
            "(SELECT md5(string_agg(datacl::text, ',')) FROM pg_database), (SELECT max(xmin::text::bigint) FROM "
            "pg_class), (SELECT count(*) FROM item))");
  }
};

TEST_F(Commands, CheckSaysReadyAndChangesNothing) {
  const std::string blue_before = fingerprint(blue_server());
  const std::string green_before = fingerprint(green_server());
  const TealResult result = command({"check"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "note: blue is " + blue_server().address(kShopDatabase) + "\nnote: green is " +
                            green_server().address(kShopDatabase) + "\nready\n");
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(nlohmann::json::parse(command({"--json", "check"}).out).at("ready"));
  blue().exec("ALTER ROLE teal NOREPLICATION");
  EXPECT_FALSE(nlohmann::json::parse(command({"check", "--json"}).out).at("ready"));
  EXPECT_EQ(fingerprint(blue_server()), blue_before);
  EXPECT_EQ(fingerprint(green_server()), green_before);
}

TEST_F(Commands, CheckIsReadyBesideARunningSidecarAndDoesNotDisturbIt) {
  TealProcess& teal = run_streaming();
  const std::string reader = slot_reader();
  const TealResult result = command({"check"});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_EQ(slot_reader(), reader);
  EXPECT_THAT(teal.err(), Not(HasSubstr("interrupted")));
}

TEST_F(Commands, InitMayBeRepeatedAndRunGoesOnFromIt) {
  const TealResult first = command({"init"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("set up on both sides"));
  const std::string blue_after = fingerprint(blue_server());
  const std::string green_after = fingerprint(green_server());
  const std::string slot = blue().value("SELECT confirmed_flush_lsn FROM pg_replication_slots");
  EXPECT_EQ(command({"init"}).exit_code, 0);
  EXPECT_EQ(fingerprint(blue_server()), blue_after);
  EXPECT_EQ(fingerprint(green_server()), green_after);
  EXPECT_EQ(blue().value("SELECT confirmed_flush_lsn FROM pg_replication_slots"), slot);
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
  blue_owner().exec("DELETE FROM item WHERE id = 3");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.item");
  EXPECT_EQ(command({"init"}).exit_code, 0);
  expect_equal("public.item");
}

TEST_F(Commands, StatusBeforeAnythingIsSetUpSaysWhatToDo) {
  const TealResult result = command({"status"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("nothing is set up for \"shop\""));
  EXPECT_EQ(nlohmann::json::parse(command({"status", "--json"}).out).at("links").size(), 0U);
}

TEST_F(Commands, StatusShowsCopyingThenStreamingThenStopped) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE item IN SHARE MODE");
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(30));
  nlohmann::json link = link_status();
  EXPECT_EQ(link.at("phase"), "copying");
  EXPECT_EQ(link.at("tables_copied"), 0);
  EXPECT_EQ(link.at("tables_total"), 1);
  EXPECT_THAT(status_text(), HasSubstr("copying, 0 of 1 tables copied"));
  blocker.exec("ROLLBACK");
  teal.wait_for_log("link streaming", seconds(30));
  blue_owner().exec(
      "UPDATE item SET name = 'new'; DELETE FROM item WHERE id = 1; INSERT INTO item (name) VALUES ('x')");
  wait_caught_up();
  wait_until("the lag falls to 0", seconds(30), [&] {
    link = link_status();
    return link.at("lag_bytes") == 0 && link.at("lag_seconds") == 0;
  });
  EXPECT_EQ(link.at("phase"), "streaming");
  EXPECT_EQ(link.at("tables_copied"), 1);
  EXPECT_EQ(link.at("tables").at(0).at("copied_rows"), 100);
  EXPECT_EQ(link.at("slot").at("wal_status"), "reserved");
  EXPECT_EQ(link.at("slot").at("active_pid"), std::stoi(slot_reader()));
  expect_ledger_closed(link);
  EXPECT_THAT(status_text(), HasSubstr("phase      streaming"));
  EXPECT_THAT(status_text(), HasSubstr("public.item  copied, 100 rows"));
  EXPECT_EQ(teal.terminate(), 0);
  blue_owner().exec("INSERT INTO item (name) SELECT repeat('y', 100) FROM generate_series(1, 1000)");
  link = link_status();
  EXPECT_EQ(link.at("phase"), "stopped");
  EXPECT_GT(link.at("lag_bytes"), 100'000);
  EXPECT_GT(link.at("lag_seconds"), 0);
  EXPECT_TRUE(link.at("slot").at("active_pid").is_null());
  expect_ledger_closed(link);
}

TEST_F(Commands, StatusCountsAllChangesOnceOverRestarts) {
  constexpr int kRounds = 3;
  run_streaming();
  for (int round = 0; round < kRounds; ++round) {
    blue_owner().exec("INSERT INTO item (name) SELECT 'r' FROM generate_series(1, 50)");
    wait_for_count("item", 100 + 50 * (round + 1));
    teal_->kill9();
    run_streaming();
  }
  wait_caught_up();
  EXPECT_EQ(teal_->terminate(), 0);
  const nlohmann::json link = link_status();
  expect_ledger_closed(link);
  EXPECT_EQ(link.at("counters").at("applied"), 50 * kRounds);
}

TEST_F(Commands, RunLogsOneJsonObjectPerLine) {
  const TealResult result = command({"--log-format", "json", "run", "--until-synced"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.err);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const nlohmann::json object = nlohmann::json::parse(line);
    for (const char* key : {"time", "level", "event"}) EXPECT_TRUE(object.contains(key)) << line;
    EXPECT_TRUE(object.at("time").get<std::string>().ends_with("Z")) << line;
  }
  EXPECT_GT(count, 5);
  EXPECT_EQ(result.out, "");
}

TEST_F(Commands, VersionNeedsNoServers) {
  const TealResult text = run_teal({"version"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, HasSubstr("libpq"));
  const nlohmann::json json = nlohmann::json::parse(run_teal({"--json", "version"}).out);
  EXPECT_THAT(text.out, HasSubstr("teal " + json.at("version").get<std::string>()));
  EXPECT_FALSE(json.at("libpq").get<std::string>().empty());
}

TEST_F(Commands, HelpOfEveryCommandHasAnExample) {
  for (const char* name : {"check", "init", "run", "status", "tail", "finish", "version"}) {
    const TealResult result = run_teal({name, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, HasSubstr("Example:\n  teal "));
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(run_teal({"rnu"}).exit_code, 2);
  EXPECT_THAT(run_teal({"rnu"}).err, HasSubstr("run"));
  EXPECT_EQ(run_teal({}).exit_code, 2);
  EXPECT_EQ(run_teal({"run", "--nonsense"}).exit_code, 2);
}

class Finish : public Commands {
 protected:
  void stream_then_stop() {
    run_streaming();
    blue_owner().exec("INSERT INTO item (name) VALUES ('more')");
    wait_for_count("item", 101);
    EXPECT_EQ(teal_->terminate(), 0);
  }
};

TEST_F(Finish, LeavesNoTraceAndMayBeRepeated) {
  stream_then_stop();
  const TealResult first = command({"finish", "--yes"});
  EXPECT_THAT(first.out, HasSubstr("removed blue: slot teal_shop_blue_to_green"));
  EXPECT_THAT(first.out, HasSubstr("removed green: schema teal"));
  // The owner's publication is the owner's to drop: that is said, with the statement.
  EXPECT_EQ(first.exit_code, 1) << first.out << first.err;
  EXPECT_THAT(first.out, HasSubstr("DROP PUBLICATION \"teal_shop_blue_to_green\";"));
  expect_no_trace(1);
  blue_owner().exec("DROP PUBLICATION teal_shop_blue_to_green");
  for (int again = 0; again < 2; ++again) {
    const TealResult result = command({"finish", "--yes"});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.out, "nothing of \"shop\" is left\n");
  }
  expect_no_trace(0);
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 101);
}

TEST_F(Finish, WithANameThatNothingHasListsTheNamesThatAreThere) {
  stream_then_stop();
  const std::string shop = config_;
  config_ = write_config({.name = "shpo", .more = "direction: forward\ncopy: { schema: false }\n"}).string();
  const TealResult result = command({"finish", "--yes"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "there was nothing of \"shpo\"; migrations that are there: shop\n");
  EXPECT_THAT(command({"finish", "--yes", "--json"}).out, HasSubstr("\"others\": [\n    \"shop\"\n  ]"));
  config_ = shop;
  run_streaming();
  blue_owner().exec("INSERT INTO item (name) VALUES ('still there')");
  wait_for_count("item", 102);
}

TEST_F(Finish, AsksOnATerminalAndNeedsYesWithoutOne) {
  stream_then_stop();
  const TealResult result = command({"finish"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--yes"));
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 1);
}

TEST_F(Finish, RefusesWhileTealRunsAndTakesNothingFromUnderIt) {
  run_streaming();
  const TealResult result = command({"finish", "--yes"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("another teal runs the migration \"shop\""));
  EXPECT_THAT(result.err, HasSubstr("stop that one first"));
  blue_owner().exec("INSERT INTO item (name) VALUES ('still there')");
  wait_for_count("item", 101);
  EXPECT_THAT(teal_->err(), Not(HasSubstr("interrupted")));
}

TEST_F(Finish, RefusesWhileTealStillCopies) {
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE item IN SHARE MODE");
  run();
  teal_->wait_for_log("copy started", seconds(30));
  const TealResult result = command({"finish", "--yes"});
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots WHERE NOT temporary"), 1);
  blocker.exec("ROLLBACK");
  teal_->wait_for_log("link streaming", seconds(30));
  blue_owner().exec("INSERT INTO item (name) VALUES ('still there')");
  wait_for_count("item", 101);
}

TEST_F(Finish, ForceGoesOnWithOneSideGone) {
  stream_then_stop();
  blue_owner().exec("DROP PUBLICATION teal_shop_blue_to_green");
  green_server().stop();
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 4);
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 1);
  const TealResult forced = command({"finish", "--yes", "--force"});
  EXPECT_EQ(forced.exit_code, 0) << forced.out << forced.err;
  EXPECT_THAT(forced.out, HasSubstr("left green: not reached"));
  expect_no_trace(blue_server());
  green_server().start();
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 0);
  expect_no_trace();
}

TEST_F(Finish, AfterItANewMigrationCanBegin) {
  stream_then_stop();
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1);  // the owner's publication stays
  green_owner().exec("TRUNCATE item");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.item");
}

}  // namespace
}  // namespace teal::test
