// Large transactions that are written to green while blue still sends them: visible to nobody before their commit,
// there once after it, and undone as soon as anything else happens (TRAPS C5, M2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kGivenUp = "large transaction is applied after its commit";
constexpr const char* kNotAlone = "it did not stay alone";
constexpr const char* kSilence = "nothing more of it came";

class AheadOfTheCommit : public SidecarFixture {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"logical_decoding_work_mem=64kB"}};
  }

  void SetUp() override {
    SidecarFixture::SetUp();
    start("CREATE TABLE big (id bigint PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY)",
          {"public.big", "public.small"}, "apply: { batch_rows_max: 500 }\n");
  }

  /// Older ones send a transaction only when it has committed.
  static bool source_streams() { return blue_major() >= 14; }

  /// `count` rows more.
  std::string rows(int count, const std::string& value = "repeat(md5(i::text), 4)") {
    const int from = next_;
    next_ += count;
    return "INSERT INTO public.big SELECT i, " + value + " FROM generate_series(" + std::to_string(from) + ", " +
           std::to_string(next_ - 1) + ") i";
  }

  /// The transaction in which teal has written rows of `big` on green and not committed; "": there is none.
  std::string written_ahead() {
    return green().value(
        "SELECT coalesce(max(a.backend_xid::text), '') FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE "
        "l.relation = 'public.big'::regclass AND l.mode = 'RowExclusiveLock' AND a.usename = " +
        sql_text(kTealRole));
  }
  /// Opens a transaction on blue and writes to it until green has rows of it. A first one may be given up: blue, or the
  /// machine, may have stood still for too long.
  std::string open_until_written(Sql& writer) {
    std::string xid;
    writer.exec("BEGIN; " + rows(2000));
    if (!source_streams()) return "";
    wait_until("rows of the open transaction are written on green", seconds(60), [&] {
      written_at_ = teal_->err().size();
      if (times_logged(kGivenUp) > given_up_) {
        given_up_ = times_logged(kGivenUp);
        writer.exec("COMMIT; BEGIN");
      }
      writer.exec(rows(2000));
      xid = written_ahead();
      return !xid.empty();
    });
    return xid;
  }
  /// Waits until what went ahead was undone because of one of `reasons`, as the log has it.
  void wait_given_up(const std::vector<std::string>& reasons) {
    if (!source_streams()) return;
    wait_until("teal has given it up: " + reasons.front(), seconds(30), [&] {
      return std::any_of(reasons.begin(), reasons.end(), [this](const auto& reason) { return was_given_up(reason); });
    });
    wait_until("green's transaction has ended", seconds(30), [&] { return written_ahead().empty(); });
  }
  /// The log tells this of what was last seen to go ahead.
  bool was_given_up(const std::string& reason) {
    std::istringstream log(teal_->err().substr(written_at_));
    for (std::string line; std::getline(log, line);) {
      if (line.find(kGivenUp) != std::string::npos && line.find(reason) != std::string::npos) return true;
    }
    return false;
  }

  std::int64_t green_rows() { return green().number("SELECT count(*) FROM public.big"); }
  void expect_both_equal() {
    wait_caught_up();
    expect_equal("public.big");
    expect_equal("public.small");
    EXPECT_EQ(green_rows(), green().number("SELECT count(DISTINCT id) FROM public.big"));
  }

 private:
  int next_ = 1;
  std::size_t given_up_ = 0;
  std::size_t written_at_ = 0;  // in the log
};

TEST_F(AheadOfTheCommit, C5RowsAreWrittenInvisiblyAndCommittedWithTheirCommit) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  wait_until("the transaction that was open before the commit is the one that has the rows", seconds(120), [&] {
    const std::string xid = open_until_written(writer);
    const std::int64_t seen = green_rows();
    writer.exec("UPDATE public.big SET v = 'second' WHERE id % 7 = 0");
    const std::int64_t all = writer.number("SELECT count(*) FROM public.big");
    writer.exec("COMMIT");
    EXPECT_LT(seen, all);
    wait_for_count("public.big", all);
    return !source_streams() ||
           green().truth("SELECT xmin::text = " + sql_text(xid) + " FROM public.big ORDER BY id DESC LIMIT 1");
  });
  expect_both_equal();
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

TEST_F(AheadOfTheCommit, C5AnyOtherTransactionOvertakesIt) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  blue_owner().exec("INSERT INTO public.small VALUES (1)");
  wait_for_count("public.small", 1);
  wait_given_up({kNotAlone, "another transaction came"});
  writer.exec(rows(2000) + "; COMMIT");
  expect_both_equal();
}

TEST_F(AheadOfTheCommit, C5SecondOneInBlocksLeavesBothToTheirCommits) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  Sql other = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  other.exec("BEGIN; " + rows(3000));
  wait_given_up({kNotAlone});
  writer.exec(rows(2000));
  other.exec(rows(2000) + "; COMMIT");
  writer.exec("COMMIT");
  expect_both_equal();
}

TEST_F(AheadOfTheCommit, M2RollbackLeavesNothing) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  const std::int64_t before = green_rows();
  writer.exec("ROLLBACK");
  wait_given_up({kNotAlone});
  EXPECT_EQ(green_rows(), before);
  expect_both_equal();
}

TEST_F(AheadOfTheCommit, M2RollbackToASavepointTakesItsRowsAlong) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  writer.exec("SAVEPOINT a; " + rows(3000) + "; UPDATE public.big SET v = 'gone' WHERE id < 1000; ROLLBACK TO a; " +
              rows(1000));
  writer.exec("SAVEPOINT b; " + rows(3000) + "; RELEASE b; COMMIT");
  expect_both_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.big WHERE v = 'gone'"), 0);
}

TEST_F(AheadOfTheCommit, C5SavepointsThatStayDoNotDisturbIt) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  for (int i = 0; i < 20; ++i) writer.exec("SAVEPOINT s" + std::to_string(i) + "; " + rows(300));
  writer.exec("COMMIT");
  expect_both_equal();
}

TEST_F(AheadOfTheCommit, C5TransactionThatStaysOpenOnBlueIsNotKeptOpenOnGreen) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  wait_given_up({kSilence});
  // Sessions that look at green's state have one for a moment.
  wait_until("no transaction of teal's is open on green", seconds(30), [&] {
    return green().number("SELECT count(*) FROM pg_stat_activity WHERE usename = " + sql_text(kTealRole) +
                          " AND backend_xid IS NOT NULL") == 0;
  });
  writer.exec(rows(2000) + "; UPDATE public.big SET v = v || 'u'; COMMIT");
  expect_both_equal();
}

TEST_F(AheadOfTheCommit, C5TableThatIsTruncatedInItStaysReadable) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  writer.exec("TRUNCATE public.big");
  Sql reader = green_server().connect("postgres", kShopDatabase);
  reader.exec("SET statement_timeout = '1s'");  // rows keep coming: the silence that would end it too is longer
  for (int i = 0; i < 10; ++i) {
    writer.exec(rows(2000));
    EXPECT_NO_THROW((void)reader.number("SELECT count(*) FROM public.big"));
  }
  wait_given_up({"it has changes that have to wait for its commit"});
  writer.exec("COMMIT");
  expect_both_equal();
}

// What green refuses is no reason to stop before the source has committed it.
TEST_F(AheadOfTheCommit, F12RowsThatGreenRefusesCountOnlyOnceTheyAreCommitted) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  green_owner().exec("CREATE UNIQUE INDEX only_here ON public.big (v)");
  writer.exec("BEGIN; " + rows(20'000, "'same'"));
  wait_given_up({"only_here"});
  writer.exec("ROLLBACK");
  blue_owner().exec("INSERT INTO public.small VALUES (1)");
  wait_for_count("public.small", 1);
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.quarantine"), 0);
  EXPECT_EQ(times_logged("link interrupted"), 0U);
  writer.exec("BEGIN; " + rows(20'000, "'same'") + "; COMMIT");
  EXPECT_EQ(teal_->wait_exit(seconds(60)), 5);
  EXPECT_THAT(teal_->err(), HasSubstr("only_here"));
  EXPECT_EQ(green_rows(), 0);
}

TEST_F(AheadOfTheCommit, F1RowsWhoseOrderMattersAreWrittenInIt) {
  for (Sql* sql : {&blue_owner(), &green_owner()}) sql->exec("CREATE UNIQUE INDEX ON public.big (md5(v))");
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; " + rows(20'000, "'v' || i"));
  writer.exec("UPDATE public.big SET v = 'w' || id; UPDATE public.big SET v = 'v' || (id + 1); COMMIT");
  expect_both_equal();
}

TEST_F(AheadOfTheCommit, M6LockOnGreenIsWaitedForASecondAndThenLeftToTheCommit) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.big IN SHARE MODE");
  writer.exec("BEGIN; " + rows(20'000));
  wait_given_up({"lock timeout"});
  blue_owner().exec("INSERT INTO public.small VALUES (1)");
  wait_for_count("public.small", 1);
  writer.exec(rows(2000) + "; COMMIT");
  blocker.exec("ROLLBACK");
  expect_both_equal();
  EXPECT_EQ(times_logged("link interrupted"), 0U);
}

// Before the commit others may wait for what it holds; after it, giving up would only cost all of it once more.
TEST_F(AheadOfTheCommit, M6LockAtItsCommitIsWaitedFor) {
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  const std::string xid = open_until_written(writer);
  const std::size_t before = times_logged(kGivenUp);
  blocker.exec("BEGIN; SELECT FROM teal.progress WHERE link = 'blue_to_green' FOR UPDATE");
  writer.exec("COMMIT");
  wait_until("its commit has waited for three seconds", seconds(30), [&] {
    return times_logged(kGivenUp) > before ||
           green().truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = " +
                         sql_text(kTealRole) +
                         " AND backend_xid IS NOT NULL AND clock_timestamp() - query_start > interval '3 s'");
  });
  blocker.exec("ROLLBACK");
  expect_both_equal();
  EXPECT_EQ(times_logged(kGivenUp), before);
  EXPECT_TRUE(!source_streams() ||
              green().truth("SELECT xmin::text = " + sql_text(xid) + " FROM public.big ORDER BY id DESC LIMIT 1"));
}

// What the copy has of the open transaction is known once its commit's position is.
TEST_F(AheadOfTheCommit, H1TableThatJoinsMeanwhileHasItsRowsOnce) {
  for (Sql* sql : {&blue_owner(), &green_owner()}) {
    sql->exec("CREATE TABLE public.late (id bigint PRIMARY KEY, v text)");
  }
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  (void)open_until_written(writer);
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.late");
  writer.exec(rows(2000) + "; INSERT INTO public.late SELECT i, md5(i::text) FROM generate_series(1, 5000) i");
  writer.exec(rows(2000) + "; COMMIT");
  wait_joined("late");
  for (int i = 0; i < 3; ++i) {
    writer.exec(
        "BEGIN; UPDATE public.late SET v = v || 'u'; INSERT INTO public.late SELECT max(id) + 1 FROM public.late");
    writer.exec(rows(2000) + "; COMMIT");
  }
  expect_both_equal();
  expect_equal("public.late");
}

TEST_F(AheadOfTheCommit, A13KilledAtAnyStepItIsThereOnce) {
  const std::vector<std::string> points{"before_begin:4",  "rows_sent:7",   "rows_written:9",
                                        "before_commit:2", "commit_sent:2", "commit_acknowledged:2",
                                        "before_commit:4", "commit_sent:3", "batch_done:2"};
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  for (const std::string& point : points) {
    SCOPED_TRACE(point);
    run({}, {.environment = {"TEAL_FAILPOINT=" + point}});
    wait_until("it is killed", seconds(60), [&] {
      if (!teal_->running()) return true;
      writer.exec("BEGIN; " + rows(4000));
      writer.exec("UPDATE public.big SET v = v || 'u' WHERE id % 1000 = 0; COMMIT");
      return false;
    });
  }
  run_streaming();
  expect_both_equal();
}

}  // namespace
}  // namespace teal::test
