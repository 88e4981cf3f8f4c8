// A two-way link and applications that write to the same rows of green at the same moment: the link gives way, and no
// application's transaction fails for it (TRAPS, faults: lock held on target; deadlock, 40001, 55P03). Blue's
// transactions are fed by hand; green's are read from its log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <set>
#include <stop_token>
#include <thread>

#include "engine/pg_error.h"
#include "tests/scenario/conflict_fixture.h"
#include "tests/support/stream_replay.h"
#include "tests/support/wait_until.h"
#include "tests/support/wal_oracle.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

const Timestamp kLongAfter{4'000'000'000'000'000};  // 2126: later than all that green commits

class Contention : public ConflictFixture {
 protected:
  void read_green(Sql& sql) override {
    const auto position = parse_lsn(sql.value("SELECT pg_current_wal_insert_lsn()"));
    if (!reading_) return;  // asked after the position was: what it does not see comes later
    Lsn read;
    StreamReplay replay(1, {names_.own_origin_prefix(), 1U << 20U}, [&](TransactionSlice slice) {
      if (slice.last) read = slice.end_lsn;
      green_changes_.slice(slice);
    });
    replay_slot(sql, "reader", "items", {}, replay);
    if (read.valid()) sql.exec("SELECT pg_replication_slot_advance('reader', '" + to_string(read) + "')");
    green_changes_.passed(*position);
  }

  [[nodiscard]] Sql application() const {
    return const_cast<Contention*>(this)->green_server().connect(kOwnerRole, kShopDatabase);
  }

  static TargetSessionOptions kind() {
    TargetSessionOptions session;
    session.lock_timeout = milliseconds(200);
    return session;
  }

  /// Rows that no application's commit is known for; those of later commits are.
  void begin_with(int rows) {
    green().exec("INSERT INTO item SELECT i, 'old', 'big' FROM generate_series(1, " + std::to_string(rows) + ") i");
    green_owner().exec("CREATE PUBLICATION items FOR TABLE public.item");
    green().exec("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
    reading_ = true;
  }

  /// Fails unless every change that came was counted once, and the origin stands where the progress row does.
  void expect_closed(std::uint64_t received) {
    EXPECT_EQ(counter("received"), std::to_string(received));
    EXPECT_EQ(std::stoull(counter("applied")) + std::stoull(counter("conflict_lost")), received);
    EXPECT_EQ(green().value("SELECT pg_replication_origin_progress(" + sql_text(names_.origin()) + ", false)"),
              applied());
  }
  std::int64_t deadlocks() {
    return green().number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
  }
  std::uint64_t contended() { return std::stoull(counter("contended")); }

  std::atomic<bool> reading_ = false;
};

/// Runs `work` again and again on a thread of its own, until it is destroyed; what it throws is thrown by `stop`.
class Loop {
 public:
  explicit Loop(std::function<void()> work)
      : result_(std::async(std::launch::async, [this, work = std::move(work)] {
          for (; !stop_; ++rounds_) work();
        })) {}
  ~Loop() { stop_ = true; }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] int rounds() const { return rounds_; }
  void stop() {
    stop_ = true;
    result_.get();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> rounds_ = 0;
  std::future<void> result_;
};

TEST_F(Contention, SessionHasALockTimeoutBelowTheServersDeadlockTimeout) {
  TargetSessionOptions session = kind();
  session.connect = green_connect();
  session.origin = names_.origin();
  {
    PgConnection connection = open_target_session(session, {});
    EXPECT_EQ(connection.exec("look", "SHOW lock_timeout").at(0, 0), "200ms");
  }
  session.lock_timeout = milliseconds(3'000);
  {
    PgConnection connection = open_target_session(session, {});
    EXPECT_EQ(connection.exec("look", "SHOW lock_timeout").at(0, 0), "500ms");
  }
  session.lock_timeout.reset();
  PgConnection connection = open_target_session(session, {});
  EXPECT_EQ(connection.exec("look", "SHOW lock_timeout").at(0, 0), "0");
}

TEST_F(Contention, BatchHoldsNoMoreRowsThanItMayUnlessOneTransactionDoes) {
  begin_with(0);
  ApplierOptions options;
  options.batch_rows_max = 7;
  auto applier = open(options, kind());
  int id = 0;
  const auto rows = [&](int count) {
    std::vector<Bytes> inserts;
    inserts.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) inserts.push_back(insert(std::to_string(++id), "blue"));
    return inserts;
  };
  for (std::uint64_t position = 1; position <= 10; ++position) give(*applier, blue(position, rows(3)));
  give(*applier, blue(11, rows(9)));
  applier->flush();
  EXPECT_EQ(green().value("SELECT string_agg(rows::text, ' ' ORDER BY first) FROM (SELECT count(*) AS rows, min(id) AS "
                          "first FROM item GROUP BY xmin::text) AS batches"),
            "6 6 6 6 6 9");
  expect_closed(39);
}

TEST_F(Contention, RowThatAnApplicationHoldsForTwoSecondsHoldsUpOnlyWhatComesAfterIt) {
  begin_with(8);
  Sql application = this->application();
  application.exec("BEGIN; SELECT FROM public.item WHERE id = 6 FOR UPDATE");
  auto applier = open({}, kind());
  for (std::uint64_t i = 1; i <= 8; ++i) give(*applier, blue(i, {update(std::to_string(i), "blue")}));
  testing::internal::CaptureStderr();
  auto applied_all = std::async(std::launch::async, [&] { applier->flush(); });
  wait_until("what came before is applied", seconds(2),
             [&] { return items() == "1:blue 2:blue 3:blue 4:blue 5:blue 6:old 7:old 8:old"; });
  application.exec("SELECT pg_sleep(2.8)");
  EXPECT_EQ(applied_all.wait_for(seconds(0)), std::future_status::timeout);
  application.exec("COMMIT");
  applied_all.get();
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("held up by other sessions on the target"));
  EXPECT_THAT(told, testing::ContainsRegex("(UPDATE on public.item|LOCK TABLE .*item)"));
  EXPECT_THAT(told, HasSubstr("SQLSTATE 55P03"));
  EXPECT_THAT(told, HasSubstr("not held up any more"));
  EXPECT_EQ(items(), "1:blue 2:blue 3:blue 4:blue 5:blue 6:blue 7:blue 8:blue");
  EXPECT_GE(contended(), 5U);
  expect_closed(8);
}

TEST_F(Contention, StopEndsTheWaitForAnApplicationAtOnce) {
  begin_with(1);
  Sql application = this->application();
  application.exec("BEGIN; SELECT FROM public.item FOR UPDATE");
  std::stop_source stop;
  auto applier = open({}, kind(), stop.get_token());
  give(*applier, blue(1, {update("1", "blue")}));
  auto flushed = std::async(std::launch::async, [&] { applier->flush(); });
  wait_until("it waits for the row", seconds(10), [&] {
    return green().truth("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')");
  });
  stop.request_stop();
  ASSERT_EQ(flushed.wait_for(seconds(1)), std::future_status::ready);
  try {
    flushed.get();
    FAIL() << "it cannot have come through";
  } catch (const PgError& error) {
    EXPECT_EQ(error.sqlstate(), "57014");
  }
}

TEST_F(Contention, ApplicationThatLocksRowsInTheOppositeOrderNeverDeadlocks) {
  constexpr int kRows = 20;
  constexpr int kRoundsLeast = 10;
  begin_with(kRows);
  std::vector<std::unique_ptr<Loop>> applications;
  applications.reserve(2);
  for (int i = 0; i < 2; ++i) {
    applications.push_back(std::make_unique<Loop>([sql = std::make_shared<Sql>(application())] {
      sql->exec("BEGIN");
      for (int id = kRows; id > 0; id -= 2) {
        sql->exec("UPDATE public.item SET big = 'green' WHERE id = " + std::to_string(id) + "; SELECT pg_sleep(0.002)");
      }
      sql->exec("COMMIT");
    }));
  }
  auto applier = open({}, kind());
  std::uint64_t position = 0;
  std::uint64_t received = 0;
  const auto begin = std::chrono::steady_clock::now();
  const auto goes_on = [&] {
    const auto since = std::chrono::steady_clock::now() - begin;
    const bool few = std::any_of(applications.begin(), applications.end(),
                                 [](const auto& each) { return each->rounds() <= kRoundsLeast; });
    return since < seconds(3) || (few && since < seconds(60));
  };
  while (goes_on()) {
    for (int i = 0; i < 5; ++i) {
      std::vector<Bytes> rows{insert(std::to_string(1'000 + ++position), "blue")};
      for (int id = 1; id <= kRows; ++id) rows.push_back(update(std::to_string(id), "blue"));
      received += rows.size();
      TransactionToBuild facts = at(position);
      facts.commit_time = kLongAfter;
      give(*applier, blue(facts, rows));
    }
    applier->flush();
  }
  applier.reset();
  for (const auto& each : applications) {
    EXPECT_NO_THROW(each->stop()) << "an application's transaction failed";
    EXPECT_GT(each->rounds(), kRoundsLeast);
  }
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE id > 1000"), static_cast<std::int64_t>(position));
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE name = 'blue' AND id <= 1000"), kRows);
  applications.clear();
  EXPECT_EQ(deadlocks(), 0);
  EXPECT_GT(contended(), 0U);
  expect_closed(received);
}

TEST_F(Contention, RowThatIsWrittenAllTheTimeIsDecidedInTime) {
  begin_with(1);
  std::multiset<std::string> met;
  Loop application([&, sql = std::make_shared<Sql>(this->application())] {
    sql->exec("BEGIN");
    const std::string name = sql->value("SELECT name FROM public.item WHERE id = 1 FOR UPDATE");
    if (name != "green") met.insert(name);
    sql->exec("UPDATE public.item SET name = 'green' WHERE id = 1; COMMIT");
  });
  wait_until("the application writes", seconds(10), [&] { return application.rounds() > 5; });
  auto applier = open({}, kind());
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t position = 1; position <= 20; ++position) {
    TransactionToBuild facts = at(position);
    if (position > 10) facts.commit_time = kLongAfter;
    give(*applier, blue(facts, {update("1", "blue " + std::to_string(position)),
                                insert(std::to_string(100 + position), "blue")}));
    applier->flush();
    const int before = application.rounds();
    wait_until("the application has seen it", seconds(10), [&] { return application.rounds() > before + 2; });
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(20));
  application.stop();
  EXPECT_THAT(met, testing::UnorderedElementsAre("old", "blue 11", "blue 12", "blue 13", "blue 14", "blue 15",
                                                 "blue 16", "blue 17", "blue 18", "blue 19", "blue 20"));
  EXPECT_EQ(green().value("SELECT string_agg(resolution || ' ' || count, ', ' ORDER BY resolution) FROM (SELECT "
                          "resolution, count(*) FROM teal.conflict_log GROUP BY resolution) AS counts"),
            "applied 10, kept 10");
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE id > 100 AND name = 'blue'"), 20);
  EXPECT_EQ(counter("conflict_lost"), "10");
  expect_closed(40);
}

// The server's own deadlock_timeout is made the shorter one, and the application's the longer: then it is the link that
// is told, with 40P01.
TEST_F(Contention, DeadlockThatTheLinkIsToldOfIsTriedAgainInPlace) {
  begin_with(2);
  green().exec("ALTER SYSTEM SET deadlock_timeout = '20ms'");
  green().exec("SELECT pg_reload_conf()");
  wait_until("the server has it", seconds(10), [&] { return application().value("SHOW deadlock_timeout") == "20ms"; });
  Sql application = green_server().connect("postgres", kShopDatabase);
  application.exec("SET deadlock_timeout = '1min'; BEGIN; UPDATE public.item SET big = 'green' WHERE id = 2");
  auto applier = open();
  give(*applier, blue(1, {update("1", "blue")}));
  give(*applier, blue(2, {update("2", "blue")}));
  auto flushed = std::async(std::launch::async, [&] { applier->flush(); });
  wait_until("it waits for the application", seconds(10), [&] {
    return green().truth("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')");
  });
  application.exec("UPDATE public.item SET big = 'green' WHERE id = 1");
  application.exec("COMMIT");
  flushed.get();
  applier.reset();  // a session's end enters its counts
  wait_until("the deadlock is counted", seconds(10), [&] { return deadlocks() == 1; });
  EXPECT_GE(contended(), 1U);
  EXPECT_EQ(counter("conflict_lost"), "2");  // green's versions are of today
  expect_closed(2);
}

TEST_F(Contention, StatementWhoseWaitsAddUpGivesWayToo) {
  begin_with(2);
  Sql application = this->application();
  application.exec("BEGIN; SELECT FROM public.item WHERE id = 2 FOR UPDATE");
  auto applier = open();  // no lock_timeout: one wait that is too long stands for many
  give(*applier, blue(1, {update("1", "blue")}));
  give(*applier, blue(2, {update("2", "blue")}));
  auto flushed = std::async(std::launch::async, [&] { applier->flush(); });
  wait_until("what came before is applied", seconds(10), [&] { return items() == "1:blue 2:old"; });
  application.exec("COMMIT");
  flushed.get();
  EXPECT_EQ(items(), "1:blue 2:blue");
  expect_closed(2);
}

TEST_F(Contention, RefusedRowIsDataAlsoWhileApplicationsCommitAllTheTime) {
  begin_with(2);
  green_owner().exec("ALTER TABLE public.item ADD CHECK (name <> 'bad')");
  Loop busy(
      [sql = std::make_shared<Sql>(application())] { sql->exec("UPDATE public.item SET big = 'green' WHERE id = 2"); });
  std::stop_source stop;
  auto applier = open({}, kind(), stop.get_token());
  give(*applier, blue(1, {insert("7", "good")}));
  give(*applier, blue(2, {insert("8", "bad")}));
  auto flushed = std::async(std::launch::async, [&] { applier->flush(); });
  if (flushed.wait_for(seconds(10)) != std::future_status::ready) stop.request_stop();
  EXPECT_THROW(flushed.get(), Stopped);
  busy.stop();
  EXPECT_EQ(green().value("SELECT concat_ws(' ', state, key, sqlstate) FROM teal.quarantine"),
            "stopped (\"id\")=(8) 23514");
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE id = 7"), 1);
  expect_closed(1);
}

TEST_F(Contention, RowsThatNeedTheSourcesOrderGetItAfterAWaitAsWell) {
  begin_with(3);
  green_owner().exec("CREATE UNIQUE INDEX ON public.item (name) WHERE name <> 'old'");
  apply(blue(1, {update("1", "a"), update("2", "b")}));
  Sql application = this->application();
  application.exec("BEGIN; SELECT FROM public.item WHERE id = 3 FOR UPDATE");
  auto applier = open({}, kind());
  give(*applier, blue(2, {update("1", "x"), update("2", "a"), update("1", "b")}));
  give(*applier, blue(3, {update("3", "c")}));
  auto flushed = std::async(std::launch::async, [&] { applier->flush(); });
  wait_until("the swap is applied", seconds(10), [&] { return items() == "1:b 2:a 3:old"; });
  application.exec("COMMIT");
  flushed.get();
  EXPECT_EQ(items(), "1:b 2:a 3:c");
  expect_closed(6);
}

TEST_F(Contention, LargeTransactionWhoseSlicesHaveLeftMemoryTakesANewSession) {
  begin_with(2);
  Sql application = this->application();
  application.exec("BEGIN; SELECT FROM public.item WHERE id = 2 FOR UPDATE");
  const auto slices = [&] {
    TransactionAssembler assembler(AssemblerOptions{names_.own_origin_prefix(), 1});
    blue_changes_.begin_session(Lsn{}, Timestamp{}, Lsn{});
    std::vector<TransactionSlice> all =
        feed(assembler,
             transaction(at(1), {P::relation(item()), update("1", "blue"), update("2", "blue"), insert("3", "blue")}));
    for (TransactionSlice& slice : all) blue_changes_.slice(slice);
    return all;
  };
  ApplierOptions options;
  options.batch_rows_max = 1;
  try {
    auto applier = open(options, kind());
    for (TransactionSlice& slice : slices()) give(*applier, std::move(slice));
    FAIL() << "the row is locked";
  } catch (const PgError& error) {
    EXPECT_EQ(error.sqlstate(), "55P03");
    EXPECT_EQ(error.error_class(), ErrorClass::kRetry);
  }
  application.exec("COMMIT");
  auto applier = open(options, kind());
  for (TransactionSlice& slice : slices()) give(*applier, std::move(slice));
  EXPECT_EQ(items(), "1:blue 2:blue 3:blue");
  expect_closed(3);
}

}  // namespace
}  // namespace teal::test
