// Many inserts of one table go to green as a COPY, between two pipelines: the same rows, the same counts, the same
// refusals (invariant I9; TRAPS D1).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kTable =
    "CREATE TABLE item (id int PRIMARY KEY, v text NOT NULL, price numeric(10,2), at timestamptz)";
// So many that a COPY pays however long a busy machine takes for a journey.
constexpr int kMany = 20'000;
constexpr const char* kWaits =
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green' AND query ~ '^(COPY|INSERT)' "
    "AND wait_event_type = 'Lock'";

class CopiedInserts : public SidecarFixture {
 protected:
  [[nodiscard]] PgServerOptions green_options() const override { return {.settings = {"log_statement=mod"}}; }

  /// Ids from `first` on; every seventh price is NULL.
  void insert(int first, int count) {
    blue_owner().exec("INSERT INTO item SELECT i, 'row ' || i, nullif(i % 7, 0) * 1.5, now() FROM generate_series(" +
                      std::to_string(first) + ", " + std::to_string(first + count - 1) + ") i");
  }
  /// `start`, after which the initial copy's own COPY is over, and a few commits, of which the shortest tells how far
  /// away green is.
  void stream(const std::string& sql, const std::vector<std::string>& published) {
    start(sql, published);
    for (int i = 0; i < 10; ++i) wait_caught_up();
    logged_ = green_server().log().size();
  }
  [[nodiscard]] bool green_copied(const std::string& table) {
    return green_server().log().find("COPY \"public\".\"" + table + "\"", logged_) != std::string::npos;
  }
  /// Below 14 the stream is text, whose rows travel as arrays.
  [[nodiscard]] static bool copies() { return blue_major() >= 14; }
  /// Inserts rows that wait on green, for as long as `holder_` has its transaction open. Returns its session's pid.
  std::string insert_that_waits() {
    stream(kTable, {"public.item"});
    holder_ = std::make_unique<Sql>(green_server().connect("postgres", kShopDatabase));
    holder_->exec("BEGIN; LOCK TABLE item IN SHARE MODE");
    insert(1, kMany);
    std::string pid;
    wait_until("the rows wait for their lock", seconds(30), [&] {
      const SqlRows rows = green().rows(kWaits);
      if (!rows.empty()) pid = *rows[0][0];
      return !rows.empty();
    });
    EXPECT_EQ(green_copied("item"), copies());
    return pid;
  }

  std::unique_ptr<Sql> holder_;

 private:
  std::size_t logged_ = 0;
};

TEST_F(CopiedInserts, D1EveryKindOfColumnArrives) {
  stream(
      "CREATE TABLE parted (id bigint GENERATED ALWAYS AS IDENTITY, region char(5) NOT NULL, v jsonb, price "
      "numeric(10,2), bits bytea, twice numeric GENERATED ALWAYS AS (price * 2) STORED, PRIMARY KEY (id, region)) "
      "PARTITION BY LIST (region); CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu'); CREATE TABLE "
      "parted_us PARTITION OF parted FOR VALUES IN ('us')",
      {"public.parted"});
  blue_owner().exec(
      "INSERT INTO parted (region, v, price, bits) SELECT CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, CASE WHEN i % 3 > "
      "0 THEN jsonb_build_object('n', i, 'text', E'a\\tb\\n\\\\') END, nullif(i % 5, 0) / 4.0, CASE WHEN i % 11 > 0 "
      "THEN decode(repeat('00ff5c27', i % 50), 'hex') END FROM generate_series(1, 20000) i");
  wait_caught_up();
  expect_equal("public.parted");
  EXPECT_EQ(green().number("SELECT count(*) FROM parted"), kMany);
  EXPECT_EQ(green().number("SELECT count(*) FROM parted WHERE twice IS DISTINCT FROM price * 2"), 0);
  EXPECT_EQ(green_copied("parted") || green_copied("parted_eu"), copies());
}

TEST_F(CopiedInserts, StandInTheOrderOfOtherChanges) {
  create_tables_both("CREATE TABLE side (id int PRIMARY KEY, n int NOT NULL)");
  stream(kTable, {"public.item", "public.side"});
  insert(1, kMany);
  blue_owner().exec("INSERT INTO side SELECT i, 0 FROM generate_series(1, 1500) i");
  wait_caught_up();
  blue_owner().exec(
      "BEGIN; DELETE FROM item WHERE id <= 1000; UPDATE item SET v = 'changed' WHERE id > 1500; INSERT INTO item "
      "SELECT i, 'again', 1, now() FROM generate_series(1, 900) i; INSERT INTO item SELECT i, 'new', 2, now() FROM "
      "generate_series(20001, 40000) i; UPDATE side SET n = id; TRUNCATE side; INSERT INTO side SELECT i, 1 FROM "
      "generate_series(1, 700) i; UPDATE side SET n = 2 WHERE id < 10; COMMIT");
  wait_caught_up();
  expect_equal("public.item");
  expect_equal("public.side");
  EXPECT_EQ(green_copied("item"), copies());
}

TEST_F(CopiedInserts, I9RowThatIsThereAlreadyStopsTheLinkByItsKey) {
  stream(kTable, {"public.item"});
  green_owner().exec("INSERT INTO item VALUES (1234, 'not from blue', 0, now())");
  insert(1, kMany);
  EXPECT_EQ(teal_->wait_exit(seconds(60)), 5);
  EXPECT_THAT(teal_->err(), HasSubstr("=(1234)"));
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 1);
  EXPECT_EQ(green_copied("item"), copies());
  green_owner().exec("DELETE FROM item");
  run_streaming();
  wait_caught_up();
  expect_equal("public.item");
}

TEST_F(CopiedInserts, I2SessionThatIsEndedWithinOneIsRepeated) {
  const std::string pid = insert_that_waits();
  green().exec("SELECT pg_terminate_backend(" + pid + ")");
  holder_->exec("COMMIT");
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), kMany);
}

TEST_F(CopiedInserts, A5KilledWithinOneAllOfItIsThereOnceAfterwards) {
  insert_that_waits();
  teal_->kill9();
  holder_->exec("COMMIT");
  run_streaming();
  insert(kMany + 1, kMany);
  wait_caught_up();
  expect_equal("public.item");
}

TEST_F(CopiedInserts, I2StopWhileOneWaitsEndsTeal) {
  insert_that_waits();
  teal_->terminate(seconds(60));
  EXPECT_TRUE(green().rows(kWaits).empty());
  holder_->exec("COMMIT");
  run_streaming();
  wait_caught_up();
  expect_equal("public.item");
}

}  // namespace
}  // namespace teal::test
