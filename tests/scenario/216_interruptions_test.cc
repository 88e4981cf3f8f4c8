// Engines, snapshots and connections that stand still or vanish (TRAPS I4, M8, M9, M10, and the table of faults).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "engine/pg_error.h"
#include "engine/receiver.h"
#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/standby.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class Interruptions : public SidecarFixture {
 protected:
  [[nodiscard]] Pgbench load(const std::string& statements) {
    const std::filesystem::path script = make_scratch_directory("load") / "script.sql";
    write_file(script, statements);
    return {blue_server(), kOwnerRole, kShopDatabase, {.clients = 3, .seconds = 120, .more = {"-f", script.string()}}};
  }
  [[nodiscard]] static std::string through(const FaultProxy& proxy) {
    return "postgresql://teal@127.0.0.1:" + std::to_string(proxy.port()) + "/shop";
  }
  static void pass(milliseconds time) {
    const auto end = Clock::now() + time;
    wait_until("the time has passed", time + seconds(5), [&] { return Clock::now() >= end; });
  }
};

// ------------------------------------------------------------------------------------------------- the copy's snapshot

TEST_F(Interruptions, I4CopyWhoseSnapshotIsLostTakesANewOneAndMixesNothing) {
  create_tables_both("CREATE TABLE a (id int PRIMARY KEY, n int, v text); CREATE TABLE b (LIKE a INCLUDING ALL)");
  blue_owner().exec(
      "INSERT INTO a SELECT i, 0, repeat('x', 100) FROM generate_series(1, 20000) i; INSERT INTO b SELECT id, n, '' "
      "FROM a");
  create_publication({"public.a", "public.b"});
  configure("copy: { schema: false, jobs: 1 }\n");
  const Pgbench writer = load(
      "\\set id random(1, 20000)\n\\set more random(20001, 1000000)\nBEGIN;\nUPDATE a SET n = n + 1 WHERE id = :id;\n"
      "UPDATE b SET n = n + 1 WHERE id = :id;\nINSERT INTO a VALUES (:more, 0, 'm') ON CONFLICT DO NOTHING;\n"
      "INSERT INTO b VALUES (:more, 0, '') ON CONFLICT DO NOTHING;\nEND;\n");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.a IN SHARE MODE");
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(60));
  wait_until("the first table is being copied", seconds(30), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'COPY%' AND wait_event_type = "
        "'Lock'");
  });
  const std::string made = "FROM pg_replication_slots WHERE temporary AND active";
  blue().exec("SELECT pg_terminate_backend(active_pid) " + made);
  wait_until("the snapshot is gone", seconds(10), [&] { return blue().truth("SELECT count(*) = 0 " + made); });
  const std::string updated = "SELECT sum(n) FROM a";
  const std::int64_t before = blue().number(updated);
  wait_until("rows are written after the first snapshot", seconds(20),
             [&] { return blue().number(updated) > before + 100; });
  blocker.exec("COMMIT");
  teal.wait_for_log("table copied .*public.a", seconds(60));
  teal.wait_for_log("copy interrupted, trying again", seconds(60));
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  // From here on each snapshot of green is one of blue: the tables are written together.
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(green().value("SELECT count(*) FROM (SELECT id, n FROM a EXCEPT SELECT id, n FROM b) x"), "0");
    EXPECT_EQ(green().value("SELECT count(*) FROM (SELECT id, n FROM b EXCEPT SELECT id, n FROM a) x"), "0");
  }
  EXPECT_EQ(green().number("SELECT count(DISTINCT watermark) FROM teal.table_state"), 2);
  EXPECT_EQ(times_logged("table copied"), 2U);
}

// ------------------------------------------------------------------------------------------------- silence

/// Whatever the servers have for idle sessions is set to less than the silence.
class Silence : public Interruptions {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"wal_sender_timeout=1s", "idle_session_timeout=1s", "idle_in_transaction_session_timeout=1s"}};
  }
  [[nodiscard]] PgServerOptions green_options() const override {
    return {.settings = {"idle_session_timeout=1s", "idle_in_transaction_session_timeout=1s"}};
  }

  void SetUp() override {
    Interruptions::SetUp();
    blue().exec("ALTER ROLE postgres SET idle_session_timeout = 0; ALTER ROLE shop_owner SET idle_session_timeout = 0");
    green().exec("ALTER ROLE postgres SET idle_session_timeout = 0");
    proxy_ = std::make_unique<FaultProxy>(blue_server().port());
  }

  std::unique_ptr<FaultProxy> proxy_;
};

TEST_F(Silence, M8OneRowAfterLongSilenceArrivesAtOnceAndADeadConnectionIsNoticed) {
  create_tables_both("CREATE TABLE t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  config_ = write_config({.blue = through(*proxy_), .more = "direction: forward\ncopy: { schema: false }\n"}).string();
  run_streaming();
  wait_caught_up();
  const std::string reader = slot_reader();
  pass(seconds(6));
  blue_owner().exec("INSERT INTO t VALUES (1)");
  EXPECT_LT(wait_caught_up(), seconds(2));
  expect_equal("public.t");
  EXPECT_EQ(slot_reader(), reader) << "the connection was made anew";
  EXPECT_EQ(times_logged("link interrupted"), 0U);
  if (!long_tier()) return;  // the rest takes half a minute; the next test has its short form
  const auto begin = Clock::now();
  proxy_->hold_both(true);
  teal_->wait_for_log("link interrupted .*nothing was heard from the source", seconds(40));
  EXPECT_LT(Clock::now() - begin, seconds(32));
  proxy_->clear();
  proxy_->cut();
  blue_owner().exec("INSERT INTO t VALUES (2)");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(Silence, M8ReceiverTellsAnIdleSourceFromAConnectionThatDiedWithoutAWord) {
  create_tables_both("CREATE TABLE t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  ConnectOptions connect{through(*proxy_), "blue", "teal/shop/test"};
  connect.replication = true;
  const StreamOptions options{connect, "blue_to_green", "teal_test_", {"teal_shop_blue_to_green"}};
  Progress progress;
  TransactionQueue queue(1U << 20U, progress);
  StreamReaderOptions receiving;
  receiving.link = "blue_to_green";
  receiving.status_interval = milliseconds(100);
  receiving.silence_max = milliseconds(1000);
  const SlotWaitTeller tell_nobody = [](int) { return PgConnection::WaitListener(); };
  Receiver receiver(receiving, ReplicationStream::open_temporary(options, tell_nobody, {}), queue, progress);
  std::jthread thread([&] { receiver.run(); });
  const auto ends_within = [&](milliseconds time) -> std::string {
    const auto end = Clock::now() + time;
    try {
      while (Clock::now() < end) static_cast<void>(queue.next(milliseconds(20)));
    } catch (const PgError& error) {
      EXPECT_EQ(error.error_class(), ErrorClass::kReconnect);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(ends_within(seconds(3)), "") << "it answers when asked";
  const auto begin = Clock::now();
  proxy_->hold_both(true);
  EXPECT_THAT(ends_within(seconds(10)), HasSubstr("nothing was heard from the source for 1000 ms"));
  EXPECT_GE(Clock::now() - begin, milliseconds(800));
  EXPECT_LT(Clock::now() - begin, seconds(3));
  receiver.finish();
}

// ------------------------------------------------------------------------------------------------- a read-only source

TEST_F(Interruptions, M10BlueWhoseAddressLeadsToAStandbyForAWhileIsWaitedFor) {
  create_tables_both("CREATE TABLE t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  const std::unique_ptr<PgServer> standby = make_standby(blue_server(), "standby");
  config_ = write_config({.blue = "\"postgresql://teal@127.0.0.1:" + std::to_string(blue_server().port()) +
                                  ",127.0.0.1:" + std::to_string(standby->port()) + "/shop\"",
                          .more = "direction: forward\ncopy: { schema: false }\n"})
                .string();
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1)");
  wait_caught_up();
  blue_server().stop();
  teal_->wait_for_log("link interrupted .*standby at this moment", seconds(30));
  EXPECT_TRUE(teal_->running());
  blue_server().start();
  blue_owner().exec("INSERT INTO t VALUES (2)");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(Interruptions, M10BlueThatIsReadOnlyForAWhileAndThenPromotedIsWaitedFor) {
  create_tables_both("CREATE TABLE t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  configure("copy: { schema: false }\n");
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1)");
  wait_caught_up();
  blue_server().stop();
  write_file(blue_server().directory() / "data" / "standby.signal", "");
  blue_server().start();
  teal_->wait_for_log("link interrupted .*standby at this moment", seconds(30));
  blue().exec("SELECT pg_promote()");
  blue_owner().exec("INSERT INTO t VALUES (2)");
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

// ------------------------------------------------------------------------------------------------- an engine that
// stops

class FrozenTeal : public Interruptions {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override { return {.settings = {"wal_sender_timeout=2s"}}; }

  void SetUp() override {
    Interruptions::SetUp();
    start(
        "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text); CREATE TABLE counter (id "
        "int PRIMARY KEY, n bigint)",
        {"public.t", "public.counter"});
    blue_owner().exec("INSERT INTO counter VALUES (1, 0)");
  }
  [[nodiscard]] Pgbench load_both() {
    return load("BEGIN;\nINSERT INTO t (v) VALUES ('x');\nUPDATE counter SET n = n + 1;\nEND;\n");
  }
  void wait_slot_free() {
    wait_until("the slot is free", seconds(30), [&] { return slot_reader().empty(); });
  }
  void expect_each_once() {
    wait_caught_up();
    expect_equal("public.t");
    expect_equal("public.counter");
    const nlohmann::json counters =
        nlohmann::json::parse(command({"status", "--json"}).out).at("links").at(0).at("counters");
    EXPECT_EQ(counters.at("received").get<std::int64_t>(),
              counters.at("applied").get<std::int64_t>() + counters.at("already_applied").get<std::int64_t>())
        << counters;
  }
};

TEST_F(FrozenTeal, GoesOnWhereItWasWhenItsConnectionsEndedMeanwhile) {
  Pgbench writer = load_both();
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(::kill(teal_->pid(), SIGSTOP), 0);
    wait_slot_free();  // after wal_sender_timeout
    ASSERT_EQ(::kill(teal_->pid(), SIGCONT), 0);
    wait_caught_up();
  }
  EXPECT_GE(times_logged("link interrupted"), 2U);
  writer.stop();
  expect_each_once();
}

TEST_F(FrozenTeal, M9RivalWaitsItsTurnAndTheOneThatWakesUpEnds) {
  Pgbench writer = load_both();
  const std::unique_ptr<TealProcess> first = std::move(teal_);
  ASSERT_EQ(::kill(first->pid(), SIGSTOP), 0);
  wait_slot_free();
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("another teal runs the migration"));
  // What green's tcp_keepalives or an administrator does to a machine that does not come back.
  green().exec(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'teal' AND pid <> pg_backend_pid()");
  run_streaming();
  wait_caught_up();
  ASSERT_EQ(::kill(first->pid(), SIGCONT), 0);
  EXPECT_EQ(first->wait_exit(seconds(40)), 1) << first->err();
  EXPECT_THAT(first->err(), HasSubstr("another teal runs the migration"));
  writer.stop();
  expect_each_once();
  EXPECT_EQ(times_logged("link interrupted"), 0U) << "the rival was disturbed";
}

TEST_F(FrozenTeal, M1WithoutMemoryNothingIsHalfDoneAndTheNextRunGoesOn) {
  blue_owner().exec("INSERT INTO t (v) VALUES ('before')");
  wait_caught_up();
  std::ifstream statm("/proc/" + std::to_string(teal_->pid()) + "/statm");
  rlim_t pages = 0;
  statm >> pages;
  const rlim_t cap = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (32U << 20U);
  const rlimit limit{cap, cap};
  ASSERT_EQ(::prlimit(teal_->pid(), RLIMIT_AS, &limit, nullptr), 0);
  blue_owner().exec("BEGIN; UPDATE counter SET n = n + 1; INSERT INTO t (v) VALUES (repeat('x', 60000000)); COMMIT");
  blue_owner().exec("UPDATE counter SET n = n + 1");
  wait_until("it has noticed", seconds(60), [&] { return !teal_->running() || times_logged("link interrupted") > 0; });
  EXPECT_THAT(teal_->err(), testing::ContainsRegex("bad_alloc|memory"));
  teal_->kill9();
  EXPECT_EQ(green().number("SELECT n FROM counter"), 0) << "half a transaction, or one that came after it";
  EXPECT_TRUE(green().truth("SELECT count(*) = 1 FROM t"));
  run_streaming();
  expect_each_once();
  EXPECT_EQ(green().number("SELECT n FROM counter"), 2);
}

}  // namespace
}  // namespace teal::test
