// `teal tail`: what it shows, how it ends, and that nothing of it stays on the server.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class Tail : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both(
        "CREATE TYPE mood AS ENUM ('fine', 'so so'); "
        "CREATE TABLE item (id bigint PRIMARY KEY, price numeric(40,20), m mood, note text, doc text); "
        "ALTER TABLE item ALTER doc SET STORAGE EXTERNAL; "
        "CREATE TABLE log (line text, n int); CREATE TABLE other (id int PRIMARY KEY)");
    blue_owner().exec("ALTER TABLE log REPLICA IDENTITY FULL");
    configure("copy: { schema: false }\n");
  }

  void publish() { create_publication({"public.item", "public.log", "public.other"}); }

  std::unique_ptr<TealProcess> tail(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> arguments = with_config({"tail"});
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    auto process = std::make_unique<TealProcess>(arguments);
    process->wait_for_log("tail started");
    return process;
  }

  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  static std::vector<std::string> wait_for_lines(TealProcess& process, std::size_t count) {
    wait_until("tail has printed " + std::to_string(count) + " lines", seconds(30), [&] {
      const std::string out = process.out();
      return static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n')) >= count;
    });
    return lines_of(process.out());
  }

  static std::vector<json> wait_for_json(TealProcess& process, std::size_t count) {
    std::vector<json> objects;
    for (const std::string& line : wait_for_lines(process, count)) objects.push_back(json::parse(line));
    return objects;
  }

  std::int64_t tail_slots(Sql& side) {
    return side.number("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%tail%'");
  }
  void expect_no_slot_is_left() {
    wait_until("the slot of tail is gone", seconds(30), [&] { return tail_slots(blue()) == 0; });
  }
};

TEST_F(Tail, PrintsEachTransactionAsTextUntilItIsTerminated) {
  publish();
  blue_owner().exec("INSERT INTO item VALUES (0, 0, NULL, 'before')");
  const auto process = tail({"--format", "text"});
  blue_owner().exec(
      "BEGIN; INSERT INTO item VALUES (1, 0.1, 'so so', E'a\\nb \"q\"'); UPDATE item SET id = 2 WHERE id = 1; "
      "DELETE FROM item WHERE id = 2; COMMIT");
  blue_owner().exec("INSERT INTO log VALUES ('null'), (NULL); UPDATE log SET n = 5 WHERE line IS NULL");
  blue_owner().exec("TRUNCATE log, other RESTART IDENTITY");
  const auto lines = wait_for_lines(*process, 13);
  const std::string price = "price[numeric(40,20)]=\"0.10000000000000000000\"";
  const std::string rest = " m[public.mood]=\"so so\" note[text]=\"a\\nb \\\"q\\\"\" doc[text]=null";
  EXPECT_THAT(lines.at(0), MatchesRegex("begin xid=[0-9]+ commit_lsn=[0-9A-F]+/[0-9A-F]+ commit_time=\"20.*00\""));
  EXPECT_EQ(lines.at(1), "insert public.item new: id[bigint]=\"1\" " + price + rest);
  EXPECT_EQ(lines.at(2), "update public.item key: id[bigint]=\"1\" new: id[bigint]=\"2\" " + price + rest);
  EXPECT_EQ(lines.at(3), "delete public.item key: id[bigint]=\"2\"");
  EXPECT_THAT(lines.at(4), MatchesRegex("commit xid=[0-9]+ end_lsn=.* changes=3"));
  EXPECT_EQ(lines.at(6), "insert public.log new: line[text]=\"null\" n[integer]=null");
  EXPECT_EQ(lines.at(7), "insert public.log new: line[text]=null n[integer]=null");
  EXPECT_EQ(lines.at(8),
            "update public.log old: line[text]=null n[integer]=null new: line[text]=null n[integer]=\"5\"");
  EXPECT_THAT(lines.at(11), StartsWith("truncate public."));
  EXPECT_THAT(lines.at(11), HasSubstr(" restart_identity"));
  EXPECT_EQ(process->terminate(), 0) << process->err();
  EXPECT_THAT(process->err(), HasSubstr("tail ended side=blue transactions=3 changes=7"));
  expect_no_slot_is_left();
}

TEST_F(Tail, C1C2C3D12PrintsJsonWithExactValuesKeysAndUnchangedColumns) {
  publish();
  create_tables_both(
      "CREATE TABLE big_key (k text PRIMARY KEY, v int); ALTER TABLE big_key ALTER k SET STORAGE EXTERNAL");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE big_key");
  const auto process = tail({"--json"});
  const std::string doc(2600, 'd');
  blue_owner().exec(
      "INSERT INTO item VALUES (9223372036854775807, '12345678901234567890.12345678901234567890', 'fine', '', '" + doc +
      "'); UPDATE item SET note = NULL; INSERT INTO big_key VALUES ('" + doc +
      "', 1); UPDATE big_key SET v = 2; DELETE FROM item");
  const auto objects = wait_for_json(*process, 7);
  const json& insert = objects.at(1);
  EXPECT_EQ(insert.at("op"), "insert");
  EXPECT_EQ(insert.at("schema"), "public");
  EXPECT_EQ(insert.at("table"), "item");
  EXPECT_EQ(insert.at("new").at("id"), "9223372036854775807");
  EXPECT_EQ(insert.at("new").at("price"), "12345678901234567890.12345678901234567890");
  EXPECT_EQ(insert.at("new").at("note"), "");
  EXPECT_EQ(insert.at("new").at("doc"), doc);
  EXPECT_EQ(insert.at("types"), json::parse(R"json({"id": "bigint", "price": "numeric(40,20)", "m": "public.mood",
    "note": "text", "doc": "text"
})json"));
  const json& update = objects.at(2);
  EXPECT_EQ(update.at("key"), json::parse(R"({"id": "9223372036854775807"})"));
  EXPECT_TRUE(update.at("new").at("note").is_null());
  EXPECT_FALSE(update.at("new").contains("doc"));
  EXPECT_EQ(update.at("unchanged"), json::parse(R"(["doc"])"));
  const json& toasted_key = objects.at(4);
  EXPECT_EQ(toasted_key.at("key").at("k"), doc);
  EXPECT_EQ(toasted_key.at("unchanged"), json::parse(R"(["k"])"));
  EXPECT_EQ(objects.at(5).at("key"), update.at("key"));
  EXPECT_EQ(objects.at(6).at("op"), "commit");
  EXPECT_EQ(objects.at(6).at("changes"), 5);
  EXPECT_EQ(objects.at(6).at("xid"), objects.at(0).at("xid"));
  EXPECT_EQ(objects.at(0).at("commit_lsn"), objects.at(6).at("commit_lsn"));
}

TEST_F(Tail, ALargeTransactionIsPrintedWhole) {
  publish();
  const auto process = tail({"-n", "1"});
  blue_owner().exec("INSERT INTO item (id, note) SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i");
  EXPECT_EQ(process->wait_exit(seconds(60)), 0) << process->err();
  const auto lines = lines_of(process->out());
  ASSERT_EQ(lines.size(), 5002U);
  EXPECT_EQ(json::parse(lines.back()).at("changes"), 5000);
}

TEST_F(Tail, EndsAfterSoManyTransactionsOrSoMuchTime) {
  publish();
  const auto counted = tail({"--count", "2", "--tables", "public.item,public.l*"});
  const auto timed = tail({"--for", "500ms"});
  const auto both = tail({"--for", "500ms", "--count", "1000"});
  blue_owner().exec("INSERT INTO other VALUES (1)");
  for (const char* id : {"1", "2", "3"}) blue_owner().exec(std::string("INSERT INTO item VALUES (") + id + ")");
  EXPECT_EQ(counted->wait_exit(seconds(30)), 0);
  EXPECT_EQ(lines_of(counted->out()).size(), 6U) << counted->out();
  EXPECT_THAT(counted->out(), Not(HasSubstr("other")));
  EXPECT_EQ(timed->wait_exit(seconds(30)), 0);
  EXPECT_EQ(both->wait_exit(seconds(30)), 3) << "fewer transactions than were asked for";
}

TEST_F(Tail, SaysWhatIsMissingInsteadOfWaitingForNothing) {
  const TealResult nothing = command({"tail"});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_THAT(nothing.err, HasSubstr("there is none on blue; teal init makes it"));
  publish();
  const TealResult pattern = command({"tail", "--tables", "public.itme"});
  EXPECT_EQ(pattern.exit_code, 2);
  EXPECT_THAT(pattern.err, HasSubstr("\"public.itme\" matches no table"));
  EXPECT_THAT(pattern.err, HasSubstr("did you mean public.item"));
  EXPECT_EQ(command({"tail", "--tables", "item"}).exit_code, 2);
  EXPECT_EQ(command({"--json", "tail", "--format", "text"}).exit_code, 2);
  const TealResult green_side = command({"tail", "--side", "green"});
  EXPECT_EQ(green_side.exit_code, 1);
  EXPECT_THAT(green_side.err,
              HasSubstr("CREATE PUBLICATION \"teal_shop_green_to_blue\" FOR TABLE \"public\".\"item\", "));
  blue().exec("ALTER ROLE teal NOREPLICATION");
  const TealResult no_right = command({"tail"});
  EXPECT_EQ(no_right.exit_code, 4);
  EXPECT_THAT(no_right.err, HasSubstr("ALTER ROLE ... REPLICATION"));
  EXPECT_EQ(tail_slots(blue()), 0);
}

TEST_F(Tail, SaysThatNoSlotIsFree) {
  publish();
  blue_server().configure({"max_replication_slots=1"});
  blue_server().restart();
  blue().exec("SELECT pg_create_physical_replication_slot('taken')");
  const TealResult result = command({"tail"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("raise max_replication_slots"));
}

TEST_F(Tail, ShowsOnGreenWhatTealWroteThereAndDisturbsNobody) {
  publish();
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE log");
  configure("copy: { schema: false }\ntables: { exclude: [public.log] }\n");
  green_owner().exec("CREATE PUBLICATION teal_shop_green_to_blue FOR TABLE item");
  TealProcess& sidecar = run_streaming();
  const auto process = tail({"--side", "green"});
  blue_owner().exec("INSERT INTO item VALUES (1)");
  wait_for_count("item", 1);
  green_owner().exec("INSERT INTO item VALUES (2)");
  const auto objects = wait_for_json(*process, 6);
  EXPECT_EQ(objects.at(0).at("origin"), "teal_shop_blue_to_green");
  EXPECT_EQ(objects.at(1).at("new").at("id"), "1");
  EXPECT_TRUE(objects.at(3).at("origin").is_null());
  EXPECT_EQ(objects.at(4).at("new").at("id"), "2");
  EXPECT_EQ(process->terminate(), 0);
  wait_caught_up();
  EXPECT_THAT(sidecar.err(), Not(HasSubstr("interrupted")));
}

TEST_F(Tail, KilledItLeavesNoSlot) {
  publish();
  const auto process = tail();
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots WHERE temporary AND plugin = 'pgoutput' AND "
                          "slot_name LIKE 'teal_shop_blue_to_green_tail%'"),
            1);
  process->kill9();
  expect_no_slot_is_left();
}

TEST_F(Tail, AcknowledgesWhatItPrintedAndWhatIsNotItsOwn) {
  publish();
  const auto process = tail({"--tables", "public.item"});
  for (const char* sql :
       {"INSERT INTO item VALUES (1)", "INSERT INTO other VALUES (1)", "CREATE TABLE unpublished ()"}) {
    blue_owner().exec(sql);
    const std::string end = blue().value("SELECT pg_current_wal_insert_lsn()");
    wait_until(std::string("the slot has passed ") + sql, seconds(30), [&] {
      return blue().truth("SELECT confirmed_flush_lsn >= " + sql_text(end) +
                          " FROM pg_replication_slots WHERE slot_name LIKE '%tail%'");
    });
  }
  EXPECT_EQ(lines_of(process->out()).size(), 3U);
}

TEST_F(Tail, AClosedReaderEndsItQuietlyAlsoWhileNothingHappens) {
  publish();
  SpawnOptions shell;
  const std::filesystem::path files = make_scratch_directory("shell");
  shell.argv = {"/bin/bash", "-c", "set -o pipefail; '" + teal_binary() + "' -c '" + config_ + "' tail | head -n 2"};
  shell.stdout_path = files / "out";
  shell.stderr_path = files / "err";
  ChildProcess pipeline(shell);
  wait_until("tail has started", seconds(30), [&] { return tail_slots(blue()) == 1; });
  wait_until("tail streams", seconds(30),
             [&] { return read_file(shell.stderr_path).find("tail started") != std::string::npos; });
  blue_owner().exec("INSERT INTO item VALUES (1)");  // three lines; head leaves after two, and no more are to come
  EXPECT_EQ(pipeline.wait_exit(seconds(30)), 0);
  EXPECT_EQ(lines_of(read_file(shell.stdout_path)).size(), 2U);
  EXPECT_THAT(read_file(shell.stderr_path), Not(HasSubstr("teal: ")));
  expect_no_slot_is_left();
}

TEST_F(Tail, M5AReaderThatStopsReadingCostsNoConnectionAndCanBeLeft) {
  publish();
  blue_server().configure({"wal_sender_timeout=2s"});
  blue().exec("SELECT pg_reload_conf()");
  const std::filesystem::path pipe = make_scratch_directory("pipe") / "out";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  SpawnOptions spawn;
  spawn.argv = {teal_binary(), "-c", config_, "tail"};
  spawn.stdout_path = pipe;
  spawn.stderr_path = pipe.parent_path() / "err";
  ChildProcess process(spawn);
  const auto started = [&] { return read_file(spawn.stderr_path).find("tail started") != std::string::npos; };
  wait_until("tail streams", seconds(30), started);
  blue_owner().exec("INSERT INTO item (id, note) SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i");
  const std::string walsender =
      blue().value("SELECT active_pid FROM pg_replication_slots WHERE slot_name LIKE '%tail%'");
  wait_until("three times the sender's timeout has passed", seconds(30), [&] {
    return blue().truth("SELECT clock_timestamp() - backend_start > '6 s' FROM pg_stat_replication WHERE pid = " +
                        walsender);
  });
  EXPECT_EQ(blue().value("SELECT active_pid FROM pg_replication_slots WHERE slot_name LIKE '%tail%'"), walsender);
  EXPECT_LT(process.peak_rss_kib(), 120 * 1024);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait_exit(seconds(30)), 0);
  ::close(reader);
  expect_no_slot_is_left();
}

TEST_F(Tail, I3SaysWhichTransactionItsSlotWaitsForAndCanBeInterrupted) {
  publish();
  Sql open = blue_server().connect(kOwnerRole, kShopDatabase);
  open.exec("BEGIN; INSERT INTO other VALUES (1)");
  TealProcess process(with_config({"tail"}));
  process.wait_for_log("slot creation waits for an open transaction pid=" + std::to_string(open.backend_pid()));
  EXPECT_EQ(process.terminate(), 0) << process.err();
  expect_no_slot_is_left();
  open.exec("ROLLBACK");
}

TEST_F(Tail, AServerThatStopsEndsItWithAnErrorBecauseThereWouldBeAGap) {
  publish();
  const auto process = tail();
  blue_owner().exec("INSERT INTO item VALUES (1)");
  wait_for_lines(*process, 3);
  blue_server().stop();
  const int code = process->wait_exit(seconds(30));
  EXPECT_TRUE(code == 1 || code == 4) << code;
  EXPECT_THAT(process->err(), HasSubstr("teal: read the stream"));
  EXPECT_EQ(lines_of(process->out()).size(), 3U);
}

}  // namespace
}  // namespace teal::test
