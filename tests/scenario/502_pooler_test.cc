// PgBouncer holds the applications back and leads them elsewhere, and nobody notices but by a moment's wait.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/pg_error.h"
#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/pg_bouncer.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"
#include "tools/pooler.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr milliseconds kAnswer{1000};

class PoolerTest : public TwoNodeFixture {
 protected:
  void SetUp() override {
    TwoNodeFixture::SetUp();
    create_tables_both(
        "CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL); INSERT INTO item SELECT i, 0 FROM "
        "generate_series(1, 100) i; CREATE TABLE side AS SELECT ''::text AS name");
    blue_owner().exec("UPDATE side SET name = 'blue'");
    green_owner().exec("UPDATE side SET name = 'green'");
    bouncer_ = std::make_unique<PgBouncer>(blue_server());
    pooler_ = std::make_unique<Pooler>(options(), kAnswer);
  }
  [[nodiscard]] PoolerOptions options() const {
    return {.admin = bouncer_->admin(), .database = "shop", .config = bouncer_->config()};
  }
  [[nodiscard]] PoolerTarget target(bool green) {
    return {"127.0.0.1", std::to_string((green ? green_server() : blue_server()).port()), "shop"};
  }
  [[nodiscard]] Sql client() const { return Sql(bouncer_->conninfo(kOwnerRole)); }
  std::int64_t sum(bool green) { return (green ? this->green() : blue()).number("SELECT sum(n) FROM item"); }
  void pause() {
    pooler_->begin_pause(seconds(20), {});
    if (!pooler_->paused_within(seconds(20), {})) throw std::runtime_error("it was not paused");
  }
  std::string refusal() {
    try {
      Pooler(options(), kAnswer).check();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  std::unique_ptr<PgBouncer> bouncer_;
  std::unique_ptr<Pooler> pooler_;
};

TEST_F(PoolerTest, W13ClientsGoOnAtTheOtherServerThereAndBackAndNoneFails) {
  const std::filesystem::path script = make_scratch_directory("script") / "write.sql";
  write_file(
      script,
      "\\set id random(1, 100)\nBEGIN;\nUPDATE item SET n = n + 1 WHERE id = :id;\nSELECT n FROM item WHERE id = "
      ":id;\nCOMMIT;\n");
  pooler_->check();
  Pgbench clients(blue_server(), kOwnerRole, kShopDatabase,
                  {.clients = 16, .seconds = 8, .port = bouncer_->port(), .more = {"-n", "-f", script.string()}});
  std::vector<double> pauses;
  bool on_green = false;
  std::int64_t seen = -1;
  while (clients.running()) {
    const std::int64_t before = seen;
    wait_until("they write here", seconds(20), [&] {
      seen = sum(on_green);
      return seen > before + 300 || !clients.running();
    });
    const auto begin = steady_clock::now();
    pause();
    on_green = !on_green;
    pooler_->resume_at(target(on_green));
    pauses.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count());
    seen = sum(on_green);
  }
  const PgbenchResult result = clients.wait(seconds(30));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.failed, 0) << result.output;
  EXPECT_EQ(sum(false) + sum(true), result.transactions);
  std::sort(pauses.begin(), pauses.end());
  EXPECT_GT(pauses.size(), 2U);
  std::printf("%zu moves, median %.0f ms, most %.0f ms\n", pauses.size(), pauses[pauses.size() / 2], pauses.back());
}

// PgBouncer 1.18 opens no connection for 15 seconds where RELOAD and RESUME come one after the other.
TEST_F(PoolerTest, ClientThatComesDuringThePauseIsServedAtOnceAfterIt) {
  EXPECT_EQ(client().value("SELECT name FROM side"), "blue");
  pause();
  std::string met;
  std::jthread late([&] { met = client().value("SELECT name FROM side"); });
  Sql console(bouncer_->admin());
  wait_until("it has come", seconds(20), [&] {
    const SqlRows clients = console.rows("SHOW CLIENTS");
    return std::count_if(clients.begin(), clients.end(), [](const auto& row) { return row[2] == "shop"; }) > 0;
  });
  const auto begin = steady_clock::now();
  pooler_->resume_at(target(true));
  late.join();
  EXPECT_LT(steady_clock::now() - begin, seconds(5));
  EXPECT_EQ(met, "green");
  pooler_->restore({});
  std::string retry;
  for (const auto& row : console.rows("SHOW CONFIG")) {
    if (row[0] == "server_login_retry") retry = *row[1];
  }
  EXPECT_EQ(retry, "15");
}

TEST_F(PoolerTest, PauseThatTakesTooLongIsTakenBackAndTheClientGoesOn) {
  Sql holder = client();
  holder.exec("BEGIN; UPDATE item SET n = 1 WHERE id = 1");
  pooler_->begin_pause(seconds(5), {});
  EXPECT_FALSE(pooler_->paused_within(milliseconds(100), {}));
  pooler_->resume();
  holder.exec("UPDATE item SET n = 2 WHERE id = 1; COMMIT");
  EXPECT_FALSE(pooler_->state().paused);
  EXPECT_EQ(client().value("SELECT n FROM item WHERE id = 1"), "2");
  pooler_->resume();
}

TEST_F(PoolerTest, OneThatDoesNotAnswerIsToldFromOneThatRefuses) {
  bouncer_->send(SIGSTOP);
  EXPECT_THAT(refusal(), HasSubstr("has not answered for 1000 ms"));
  bouncer_->send(SIGCONT);
  EXPECT_EQ(refusal(), "");
  PoolerOptions other = options();
  other.admin.replace(other.admin.find("user=admin"), 10, "user=teal");
  EXPECT_THROW(Pooler(other, kAnswer).check(), PgError);
}

TEST_F(PoolerTest, WhatWouldFailLaterIsFoundBefore) {
  const std::string ini = read_file(bouncer_->config());
  pause();
  EXPECT_THAT(refusal(), HasSubstr("paused already"));
  pooler_->resume();
  write_file(bouncer_->config(), with_pooler_target(ini, "shop", {"127.0.0.1", "1", "shop"}));
  EXPECT_THAT(refusal(), HasSubstr("the file leads to host=127.0.0.1 port=1 dbname=shop"));
  std::string without = ini;
  without.replace(without.find("\nshop ="), 7, "\nnone =");
  write_file(bouncer_->config(), without);
  EXPECT_THAT(refusal(), HasSubstr("no line for database shop"));
  write_file(bouncer_->config(), ini);
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(read_file(bouncer_->config()), ini);
}

}  // namespace
}  // namespace teal::test
