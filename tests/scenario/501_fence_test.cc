// The fence: nobody writes to the side that is left, nobody waits for it, and it opens by itself (TRAPS L1, L2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/pg_error.h"
#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"
#include "tools/fence.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kRefused = "25006";
constexpr const char* kTables =
    "CREATE TABLE parent (id int PRIMARY KEY, v text);"
    "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);"
    "CREATE TABLE whole (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (1000);"
    "CREATE TABLE rest PARTITION OF whole DEFAULT PARTITION BY RANGE (id);"
    "CREATE TABLE leaf PARTITION OF rest DEFAULT;"
    "CREATE TABLE above (id int); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (above);"
    "CREATE TABLE alone (id int PRIMARY KEY);"
    "INSERT INTO parent VALUES (1, 'one'); INSERT INTO child VALUES (1, 1); INSERT INTO whole VALUES (1, 'one')";

class FenceTest : public TwoNodeFixture {
 protected:
  void SetUp() override {
    TwoNodeFixture::SetUp();
    blue().exec("CREATE SCHEMA teal AUTHORIZATION teal");
    create_tables_both(kTables);
    blue_owner().exec("GRANT TRIGGER ON ALL TABLES IN SCHEMA public TO teal");
    session_ = std::make_unique<PgConnection>(connect());
    fence_ = std::make_unique<Fence>(*session_, "shop", tables());
  }
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"max_prepared_transactions=5", "autovacuum=off"}};
  }
  [[nodiscard]] PgConnection connect() {
    return PgConnection::connect({.conninfo = blue_server().conninfo(kTealRole, kShopDatabase),
                                  .label = "blue",
                                  .application_name = "teal/shop/cutover"});
  }
  static std::vector<TableName> tables() {
    return {{"public", "parent"}, {"public", "child"}, {"public", "whole"}, {"public", "heir"}};
  }
  void install() { fence_->install(seconds(10), milliseconds(200), {}); }
  std::vector<OpenWriter> wait(milliseconds time) { return fence_->wait_for_writers(time, {}); }

  std::unique_ptr<PgConnection> session_;
  std::unique_ptr<Fence> fence_;
};

TEST_F(FenceTest, L2NobodyWritesWhoeverTheyAreAndHoweverTheyTry) {
  Sql prepared = blue_server().connect(kOwnerRole, kShopDatabase);
  prepared.exec("SET search_path = public; PREPARE put AS INSERT INTO parent VALUES ($1, 'prepared')");
  prepared.exec("EXECUTE put(10)");
  install();
  EXPECT_EQ(fence_->probe(), "");
  prepared.exec("EXECUTE put(11)");
  fence_->close(seconds(60));
  EXPECT_THAT(wait(seconds(5)), IsEmpty());
  EXPECT_THAT(fence_->probe(), HasSubstr("moved"));
  for (const char* statement :
       {"INSERT INTO parent VALUES (2, 'x')", "UPDATE parent SET v = 'x' WHERE false", "DELETE FROM parent",
        "TRUNCATE parent CASCADE", "COPY parent FROM PROGRAM 'echo 5'", "INSERT INTO part VALUES (3, 'x')",
        "INSERT INTO whole VALUES (4, 'x')", "INSERT INTO rest VALUES (5000, 'x')",
        "INSERT INTO leaf VALUES (5000, 'x')", "UPDATE above SET id = 1", "INSERT INTO heir VALUES (1)",
        "WITH w AS (INSERT INTO parent VALUES (7, 'x') RETURNING id) SELECT * FROM w",
        "SET default_transaction_read_only = off; BEGIN READ WRITE; DELETE FROM child; COMMIT",
        "INSERT INTO parent VALUES (1, 'y') ON CONFLICT (id) DO UPDATE SET v = 'y'"}) {
    EXPECT_EQ(blue().sqlstate_of(statement), kRefused) << statement;
    blue().exec("ROLLBACK");
  }
  EXPECT_EQ(blue_owner().sqlstate_of("DELETE FROM parent WHERE id = 1"), kRefused);
  EXPECT_EQ(prepared.sqlstate_of("EXECUTE put(12)"), kRefused);
  EXPECT_EQ(blue().number("SELECT count(*) FROM parent"), 3);
  EXPECT_EQ(blue().sqlstate_of("INSERT INTO alone VALUES (1)"), "");
  // teal's links, and only they.
  blue().exec("BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO parent VALUES (20, 'link'); COMMIT");
  EXPECT_EQ(blue().number("SELECT count(*) FROM parent"), 4);
  fence_->open();
  prepared.exec("EXECUTE put(12)");
  EXPECT_EQ(blue_owner().sqlstate_of("DELETE FROM parent WHERE id = 1"), "");
}

TEST_F(FenceTest, L1WhoWroteBeforeIsWaitedFor) {
  install();
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("SET application_name = 'shop-web'; BEGIN; INSERT INTO child VALUES (5, 1)");
  blue_owner().exec("BEGIN; INSERT INTO whole VALUES (900, 'prepared'); PREPARE TRANSACTION 'order-7'");
  Sql reader = blue_server().connect(kOwnerRole, kShopDatabase);
  reader.exec("BEGIN; SELECT * FROM parent FOR NO KEY UPDATE; SELECT * FROM child");
  fence_->close(seconds(60));
  std::vector<OpenWriter> left = wait(milliseconds(100));
  ASSERT_EQ(left.size(), 2U);
  std::string words = to_string(left[0]) + "; " + to_string(left[1]);
  EXPECT_THAT(words, HasSubstr("shop-web, idle in transaction"));
  EXPECT_THAT(words, HasSubstr("prepared transaction order-7"));
  writer.exec("COMMIT");
  blue().exec("COMMIT PREPARED 'order-7'");
  EXPECT_THAT(wait(seconds(5)), IsEmpty());
  EXPECT_EQ(
      blue().number("SELECT (SELECT count(*) FROM child WHERE id = 5) + (SELECT count(*) FROM whole WHERE id = 900)"),
      2);
  // Its locks are not those of a writer, and it does not become one.
  EXPECT_EQ(reader.sqlstate_of("UPDATE parent SET v = 'late' WHERE id = 1"), kRefused);
}

TEST_F(FenceTest, L1WritersAreEndedWhenToldTo) {
  blue().exec("GRANT pg_signal_backend TO teal");
  install();
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; INSERT INTO child VALUES (5, 1)");
  fence_->close(seconds(60));
  EXPECT_THAT(fence_->end_writers(wait(milliseconds(10))), IsEmpty());
  EXPECT_THAT(wait(seconds(5)), IsEmpty());
  EXPECT_EQ(blue().number("SELECT count(*) FROM child WHERE id = 5"), 0);
}

TEST_F(FenceTest, WritersThatMayNotBeEndedAreNamed) {
  blue().exec("REVOKE pg_signal_backend FROM teal");
  install();
  blue_owner().exec("BEGIN; INSERT INTO child VALUES (5, 1)");
  fence_->close(seconds(60));
  const std::vector<OpenWriter> left = fence_->end_writers(wait(milliseconds(10)));
  ASSERT_EQ(left.size(), 1U);
  EXPECT_THAT(to_string(left[0]), HasSubstr("user shop_owner"));
  blue_owner().exec("COMMIT");
}

TEST_F(FenceTest, L2TableThatIsNewOrWhoseTriggerIsDisabledIsNoSilence) {
  install();
  blue_owner().exec(
      "CREATE TABLE late PARTITION OF whole FOR VALUES FROM (2000) TO (3000); GRANT TRIGGER ON late TO teal");
  fence_->close(seconds(60));
  EXPECT_THROW(static_cast<void>(wait(seconds(5))), Stopped);
  install();
  EXPECT_THAT(wait(seconds(5)), IsEmpty());
  blue_owner().exec("ALTER TABLE late DISABLE TRIGGER ALL");
  EXPECT_THROW(static_cast<void>(wait(seconds(5))), Stopped);
  Fence wrong(*session_, "shop", {{"public", "nothing"}});
  EXPECT_THROW(static_cast<void>(wrong.wait_for_writers(seconds(5), {})), Stopped);
}

TEST_F(FenceTest, L4OneThatNobodyOpensOpensByItself) {
  install();
  fence_->close(seconds(3));
  EXPECT_EQ(blue_owner().sqlstate_of("UPDATE parent SET v = 'x'"), kRefused);
  session_.reset();
  wait_until("the fence is open", seconds(20),
             [&] { return blue_owner().sqlstate_of("UPDATE parent SET v = 'x'").empty(); });
}

TEST_F(FenceTest, SealedOneStaysUntilItIsOpened) {
  install();
  fence_->close(seconds(2));
  EXPECT_TRUE(fence_->held());
  session_->exec("begin", "BEGIN");
  fence_->seal();
  session_->exec("roll back", "ROLLBACK");
  wait_until("the fence is open", seconds(20), [&] { return fence_->probe().empty(); });
  EXPECT_FALSE(fence_->held());
  fence_->seal();
  EXPECT_EQ(blue_owner().sqlstate_of("UPDATE parent SET v = 'x'"), kRefused);
  fence_->open();
  EXPECT_EQ(blue_owner().sqlstate_of("UPDATE parent SET v = 'x'"), "");
}

// With the function replaced while sixteen clients write, nothing is committed after the wait, twenty times over.
TEST_F(FenceTest, L1L2NothingIsCommittedOnceItsWritersHaveEnded) {
  install();
  const std::filesystem::path script = make_scratch_directory("script") / "write.sql";
  write_file(
      script,
      "\\set id random(100, 100000)\nBEGIN;\nINSERT INTO parent VALUES (:id, 'a') ON CONFLICT DO NOTHING;\n"
      "UPDATE parent SET v = v || 'b' WHERE id = :id;\nINSERT INTO child VALUES (:id, :id) ON CONFLICT DO NOTHING;\n"
      "UPDATE part SET v = 'c' WHERE id = 1;\nCOMMIT;\n");
  std::vector<std::unique_ptr<Pgbench>> writers;
  const auto start_writers = [&] {
    writers.clear();
    for (int i = 0; i < 4; ++i) {
      writers.push_back(std::make_unique<Pgbench>(
          blue_server(), kOwnerRole, kShopDatabase,
          PgbenchOptions{.clients = 4,
                         .seconds = 60,
                         .more = {"-n", "-f", script.string(), "-M", i % 2 == 0 ? "prepared" : "simple"}}));
    }
  };
  const std::string state =
      "SELECT (SELECT sum(length(v)) FROM parent) || ' ' || (SELECT count(*) FROM child) || ' ' || (SELECT "
      "string_agg(xmin::text, ',') FROM part)";
  int busy = 0;
  for (int round = 0; round < 20; ++round) {
    const std::string before = blue().value(state);
    start_writers();
    wait_until("they write", seconds(30), [&] { return blue().value(state) != before; });
    fence_->close(seconds(60));
    busy += wait(milliseconds(0)).empty() ? 0 : 1;
    ASSERT_THAT(wait(seconds(20)), IsEmpty());
    const std::string silent = blue().value(state);
    // Each of them has met the fence: pgbench ends at its first error.
    for (const auto& writer : writers) EXPECT_THAT(writer->wait(seconds(60)).output, HasSubstr("are being moved"));
    EXPECT_EQ(blue().value(state), silent) << "round " << round;
    fence_->open();
  }
  EXPECT_GT(busy, 0) << "no round met an open writer";
  std::printf("%d of 20 rounds found open writers\n", busy);
}

TEST_F(FenceTest, VacuumHoldsUpNeitherItNorTheWriters) {
  install();
  blue_owner().exec(
      "INSERT INTO parent SELECT i, repeat('x', 200) FROM generate_series(1000, 30000) i; UPDATE parent SET v = 'y'");
  Sql vacuum = blue_server().connect("postgres", kShopDatabase);
  vacuum.exec("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1");
  vacuum.send("VACUUM parent");
  wait_until("vacuum has the table", seconds(30),
             [&] { return blue().truth("SELECT count(*) > 0 FROM pg_stat_progress_vacuum"); });
  const auto begin = std::chrono::steady_clock::now();
  fence_->close(seconds(60));
  EXPECT_THAT(wait(seconds(5)), IsEmpty());
  EXPECT_THAT(fence_->probe(), Not(IsEmpty()));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));
  EXPECT_TRUE(vacuum.busy());
  fence_->open();
  blue().exec("SELECT pg_terminate_backend(" + std::to_string(vacuum.backend_pid()) + ")");
}

TEST_F(FenceTest, TableThatIsHeldKeepsItFromBeingInstalledAndNothingIsFenced) {
  Sql holder = blue_server().connect(kOwnerRole, kShopDatabase);
  holder.exec("BEGIN; UPDATE child SET parent = 1");
  try {
    fence_->install(milliseconds(300), milliseconds(50), {});
    FAIL() << "it was installed";
  } catch (const Stopped& stopped) {
    EXPECT_THAT(stopped.what(), HasSubstr("public.child"));
  }
  EXPECT_EQ(blue_owner().sqlstate_of("UPDATE parent SET v = 'x'"), "");
  holder.exec("COMMIT");
  install();
  fence_->close(seconds(60));
  EXPECT_EQ(holder.sqlstate_of("UPDATE child SET parent = 1"), kRefused);
}

TEST_F(FenceTest, RightsThatAreMissingAreNamed) {
  EXPECT_EQ(fence_->missing_rights(), "");
  blue_owner().exec("REVOKE TRIGGER ON child, part FROM teal");
  EXPECT_EQ(fence_->missing_rights(), "GRANT TRIGGER ON public.child, public.part TO teal");
  blue_owner().exec(fence_->missing_rights());
  install();
}

TEST_F(FenceTest, L10NothingIsLeftOfIt) {
  install();
  Sql reader = blue_server().connect(kOwnerRole, kShopDatabase);
  reader.exec("BEGIN; SELECT * FROM whole");
  EXPECT_FALSE(fence_->remove(milliseconds(100)));
  reader.exec("COMMIT");
  fence_->seal();
  EXPECT_TRUE(fence_->remove(milliseconds(1000)));
  EXPECT_TRUE(fence_->remove(milliseconds(1000)));
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'teal%'"), 0);
  EXPECT_EQ(blue_owner().sqlstate_of("UPDATE parent SET v = 'x'"), "");
}

}  // namespace
}  // namespace teal::test
