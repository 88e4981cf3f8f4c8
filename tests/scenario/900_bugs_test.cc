// Ways in which teal once lost, changed or stopped; each failed before it was mended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <csignal>
#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Bugs : public SidecarFixture {
 protected:
  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables, const std::string& more = "") {
    create_tables_both(tables_sql);
    create_publication(tables);
    configure("copy: { schema: false, jobs: 1 }\n" + more);
  }
};

TEST_F(Bugs, TableThatIsRewrittenAfterTheSnapshotIsCopiedFromANewOne) {
  prepare(
      "CREATE TABLE large (id int PRIMARY KEY, t text); CREATE TABLE small (id int PRIMARY KEY, n int); "
      "CREATE TABLE emptied (id int PRIMARY KEY)",
      {"public.large", "public.small", "public.emptied"});
  blue_owner().exec("INSERT INTO large SELECT i, repeat('x', 500) FROM generate_series(1, 50000) i");
  blue_owner().exec("INSERT INTO small SELECT i, i FROM generate_series(1, 1000) i");
  blue_owner().exec("INSERT INTO emptied SELECT generate_series(1, 10)");
  // The copy of the large table hangs on green; the small ones' turn comes after it.
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.large IN SHARE MODE");
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(30));
  green_owner().exec("ALTER TABLE public.small ALTER n TYPE bigint");
  blue_owner().exec("ALTER TABLE public.small ALTER n TYPE bigint");  // waits for nobody
  blue_owner().exec("BEGIN; TRUNCATE public.emptied; INSERT INTO public.emptied VALUES (1), (11); COMMIT");
  blocker.exec("ROLLBACK");
  teal.wait_for_log("table was altered after the snapshot, it is copied again", seconds(60));
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.small"), 1000);
  expect_equal("public.small");
  expect_equal("public.large");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.emptied"), 2);
  expect_equal("public.emptied");
}

TEST_F(Bugs, E9NewValueOfAnAlwaysGeneratedIdentityIsNeverDroppedSilently) {
  prepare("CREATE TABLE t (id int PRIMARY KEY, seq int GENERATED ALWAYS AS IDENTITY, v text)", {"public.t"});
  blue_owner().exec("INSERT INTO t (id, v) SELECT i, 'a' FROM generate_series(1, 5) i");
  TealProcess& teal = run_streaming();
  blue_owner().exec("UPDATE t SET v = 'b' WHERE id < 4");
  wait_caught_up();
  expect_equal("public.t");
  blue_owner().exec("UPDATE t SET seq = DEFAULT WHERE id = 2");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("public.t"));
}

TEST_F(Bugs, KeyIndexUnderAnotherCollationIsNoKey) {
  blue().exec("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
  green().exec("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
  prepare(
      "CREATE TABLE c (k text COLLATE ci NOT NULL, v int); CREATE UNIQUE INDEX c_k ON c (k COLLATE \"C\"); ALTER TABLE "
      "c REPLICA IDENTITY USING INDEX c_k",
      {"public.c"});
  blue_owner().exec("INSERT INTO c VALUES ('a', 1), ('A', 2)");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("public.c has no unique index on its key (\"k\")"));
}

TEST_F(Bugs, KeyIndexThatTakesAnotherCollationWhileStreamingStopsTheLink) {
  blue().exec("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
  green().exec("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
  // Of the two key columns one keeps its collation: the other must not be left out of the key.
  prepare("CREATE TABLE c (id int, k text COLLATE ci, v int, PRIMARY KEY (id, k))", {"public.c"});
  blue_owner().exec("INSERT INTO c VALUES (1, 'a', 1), (1, 'b', 2)");
  TealProcess& teal = run_streaming();
  green_owner().exec("ALTER TABLE public.c DROP CONSTRAINT c_pkey");
  green_owner().exec("CREATE UNIQUE INDEX c_k ON public.c (id, k COLLATE \"C\")");
  blue_owner().exec("UPDATE c SET v = v + 10 WHERE k = 'a'");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("no unique index on exactly the columns"));
}

TEST_F(Bugs, NarrowerTypeOnGreenIsRefused) {
  prepare("CREATE TABLE n (id int PRIMARY KEY, v numeric(12,4))", {"public.n"});
  green_owner().exec("ALTER TABLE public.n ALTER v TYPE numeric(12,2)");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("numeric(12,4)"));
}

TEST_F(Bugs, UsersCastFromTextDoesNotStandInForTheTypesInput) {
  create_tables_both(
      "CREATE TYPE color AS ENUM ('red', 'green'); CREATE TYPE pair AS (a text, b text); "
      "CREATE DOMAIN warm AS color CHECK (VALUE <> 'green'); "
      "CREATE FUNCTION tocolor(text) RETURNS color LANGUAGE sql AS $$ SELECT 'green'::color $$; "
      "CREATE FUNCTION topair(text) RETURNS pair LANGUAGE sql AS $$ SELECT ROW('x', 'y')::pair $$; "
      "CREATE CAST (text AS color) WITH FUNCTION tocolor(text); CREATE CAST (text AS pair) WITH FUNCTION topair(text)");
  prepare("CREATE TABLE p (id int, c color, p pair, d warm, PRIMARY KEY (id, c))", {"public.p"});
  run_streaming();
  blue_owner().exec(
      "INSERT INTO p VALUES (1, 'red', ROW(E'a\"b\\\\c,{}', NULL), 'red'), (2, 'green', NULL, NULL), "
      "(3, 'red', ROW('', 'NULL'), 'red')");
  blue_owner().exec("UPDATE p SET p = ROW('new', '\"') WHERE id = 2; DELETE FROM p WHERE id = 3");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.p"), 2);
  expect_equal("public.p");
}

TEST_F(Bugs, ArrayNullsOfTheDatabaseChangesNothing) {
  green().exec("ALTER DATABASE shop SET array_nulls = off");
  prepare("CREATE TABLE a (id int PRIMARY KEY, v text[])", {"public.a"});
  blue_owner().exec("INSERT INTO a VALUES (1, ARRAY['x', NULL])");
  run_streaming();
  blue_owner().exec("INSERT INTO a VALUES (2, ARRAY['y', NULL])");
  wait_caught_up();
  expect_equal("public.a");
}

TEST_F(Bugs, B2RowsThatBlueGotFromAMigrationOfTheSameNameAreForwarded) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  run_streaming();
  blue().exec("SELECT pg_replication_origin_create('teal_shop_blue_to_green')");
  blue().exec("SELECT pg_replication_origin_session_setup('teal_shop_blue_to_green')");
  blue().exec("INSERT INTO public.r VALUES (1)");
  wait_caught_up();
  expect_equal("public.r");
}

TEST_F(Bugs, SecondGreenOfTheSameNameIsRefusedAndTheFirstGoesOn) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  TealProcess& first = run_streaming();
  PgServer other;
  prepare_shop(other);
  other.connect(kOwnerRole, kShopDatabase).exec("CREATE TABLE public.r (id int PRIMARY KEY)");
  const std::string config = write_config({.green = other.uri(kTealRole, kShopDatabase),
                                           .more = "direction: forward\ncopy: { schema: false }\n"})
                                 .string();
  const TealResult second = run_teal({"--config", config, "run"});
  EXPECT_EQ(second.exit_code, 1) << second.err;
  EXPECT_THAT(second.err, HasSubstr("belongs to another green"));
  blue_owner().exec("INSERT INTO r VALUES (1)");
  wait_for_count("public.r", 1);
  EXPECT_TRUE(first.running());
}

TEST_F(Bugs, J2RestartIdentityNeedsNoOwnership) {
  prepare("CREATE TABLE s (id serial PRIMARY KEY, v text)", {"public.s"});
  run_streaming();
  blue_owner().exec("INSERT INTO s (v) VALUES ('a'); TRUNCATE s RESTART IDENTITY; INSERT INTO s (v) VALUES ('b')");
  wait_caught_up();
  expect_equal("public.s");
}

TEST_F(Bugs, F5ForeignKeysHoldAfterAnInterruptedCopy) {
  blue_owner().exec(
      "SET search_path = public; CREATE TABLE parent (id int PRIMARY KEY, t text); "
      "CREATE TABLE child (id int PRIMARY KEY, pid int REFERENCES parent)");
  blue_owner().exec("INSERT INTO parent SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i");
  blue_owner().exec("INSERT INTO child SELECT i, i FROM generate_series(1, 10) i");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.parent", "public.child"});
  configure("copy: { schema: true, jobs: 1 }\n");
  TealProcess& killed = run({}, {.environment = {"TEAL_FAILPOINT=copy_committed"}});
  EXPECT_EQ(killed.wait_exit(seconds(60)), 128 + SIGKILL) << killed.err();
  blue_owner().exec("INSERT INTO parent VALUES (2000, 'new'); INSERT INTO child VALUES (2000, 2000)");
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.parent");
  expect_equal("public.child");
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"), 1);
}

TEST_F(Bugs, ColumnThatIsAddedDuringTheCopyIsCopied) {
  prepare("CREATE TABLE large (id int PRIMARY KEY, t text); CREATE TABLE small (id int PRIMARY KEY)",
          {"public.large", "public.small"});
  blue_owner().exec("INSERT INTO large SELECT i, repeat('x', 500) FROM generate_series(1, 50000) i");
  blue_owner().exec("INSERT INTO small SELECT generate_series(1, 100)");
  Sql blocker = green_server().connect("postgres", kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.large IN SHARE MODE");
  TealProcess& teal = run();
  teal.wait_for_log("copy started", seconds(30));
  for (Sql* side : {&green_owner(), &blue_owner()}) {
    side->exec("ALTER TABLE public.small ADD COLUMN at timestamptz DEFAULT now(), ADD COLUMN n int DEFAULT 7");
  }
  blocker.exec("ROLLBACK");
  teal.wait_for_log("link streaming", seconds(60));
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(n) FROM public.small"), 100);
  expect_equal("public.small");
}

TEST_F(Bugs, TableThatIsExcludedLaterDoesNotStopTheLink) {
  const char* tables = "CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE s (id int PRIMARY KEY)";
  prepare(tables, {"public.r", "public.s"});
  EXPECT_EQ(run_streaming().terminate(), 0);
  blue_owner().exec("INSERT INTO r VALUES (1); INSERT INTO s VALUES (1); TRUNCATE r, s; INSERT INTO s VALUES (2)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.s");
  configure("copy: { schema: false }\ntables: { exclude: [public.s] }\n");
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO r VALUES (2)");
  wait_for_count("public.r", 1);
  EXPECT_EQ(green().number("SELECT count(*) FROM public.s"), 0);
  EXPECT_EQ(green().number("SELECT (counters->>'filtered')::int FROM teal.progress"), 3);
  EXPECT_EQ(teal.terminate(), 0);
  // Back again: what it missed comes with a copy.
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.s");
  configure("copy: { schema: false }\n");
  run_streaming();
  wait_joined("s");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.s"), 1);
  expect_equal("public.s");
}

TEST_F(Bugs, FinishWithAnotherGreenTakesNothingFromTheFirst) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  EXPECT_EQ(run_streaming().terminate(), 0);
  PgServer other;
  prepare_shop(other);
  const std::string config = write_config({.green = other.uri(kTealRole, kShopDatabase),
                                           .more = "direction: forward\ncopy: { schema: false }\n"})
                                 .string();
  const TealResult finish = run_teal({"--config", config, "finish", "--yes"});
  EXPECT_EQ(finish.exit_code, 1);
  EXPECT_THAT(finish.err, HasSubstr("belongs to another green"));
  configure("copy: { schema: false }\n");
  blue_owner().exec("INSERT INTO r VALUES (1)");
  run_streaming();
  wait_caught_up();
  expect_equal("public.r");
}

TEST_F(Bugs, CheckIsReadyAtTheExactLimitOfOrigins) {
  green_server().configure({"max_replication_slots=3"});
  green_server().restart();
  create_tables_both("CREATE TABLE r (id int PRIMARY KEY)");
  create_publication({"public.r"});
  configure("copy: { schema: false, jobs: 2 }\n");
  EXPECT_EQ(run_streaming().terminate(), 0);
  EXPECT_EQ(command({"check"}).exit_code, 0);
}

TEST_F(Bugs, A15SourceThatWentBackIsRefused) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  EXPECT_EQ(run_streaming().terminate(), 0);
  // The progress row is ahead of blue's log, as it is after blue was restored from an older image.
  green().exec("UPDATE teal.progress SET held = held + 1000000000, applied = applied + 1000000000");
  EXPECT_EQ(run().wait_exit(seconds(30)), 1) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("has gone back"));
}

TEST_F(Bugs, I10LockThatGreenLostInARestartIsTakenAgain) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  TealProcess& teal = run_streaming();
  green_server().restart();
  teal.wait_for_log("lock taken again", seconds(60));
  const TealResult second = command({"run"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr("another teal runs the migration"));
  blue_owner().exec("INSERT INTO r VALUES (1)");
  wait_caught_up();
  expect_equal("public.r");
}

TEST_F(Bugs, I10TealWhoseLockAnotherHasTakenEnds) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  TealProcess& teal = run_streaming();
  Sql other = green_server().connect(kTealRole, kShopDatabase);
  green().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'teal/shop/run'");
  wait_until("the lock is free and taken by somebody else", seconds(10),
             [&] { return other.truth("SELECT pg_try_advisory_lock(hashtextextended('teal.run.shop', 0))"); });
  EXPECT_EQ(teal.wait_exit(seconds(30)), 1) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("another teal runs the migration"));
}

TEST_F(Bugs, PublicationThatWaitsForALockSaysSoAndTermEndsIt) {
  create_tables_both("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE s (id int PRIMARY KEY)");
  create_publication({"public.r"});
  blue().exec("GRANT shop_owner TO teal");
  configure("copy: { schema: false }\n");
  Sql blocker = blue_server().connect(kOwnerRole, kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.s IN SHARE UPDATE EXCLUSIVE MODE");
  TealProcess& teal = run();
  teal.wait_for_log("no answer yet, held up by a lock. server=blue", seconds(30));
  EXPECT_EQ(teal.terminate(seconds(10)), 0) << teal.err();
}

TEST_F(Bugs, ForeignKeyToATableThatIsLeftOutIsNamedBeforeTheCopy) {
  blue_owner().exec(
      "SET search_path = public; CREATE TABLE parent (id int PRIMARY KEY); "
      "CREATE TABLE child (id int PRIMARY KEY, pid int REFERENCES parent)");
  run_roles_sql(green_server(), {"make_tables=on"});
  create_publication({"public.child"});
  configure("tables: { include: [public.child] }\n");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("refers to public.parent, which is not selected"));
}

TEST_F(Bugs, RefusedValueIsNotInTheLog) {
  prepare("CREATE TABLE r (id int PRIMARY KEY, v text)", {"public.r"});
  TealProcess& teal = run_streaming();
  green_owner().exec(
      "CREATE FUNCTION public.as_number() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM NEW.v::int; RETURN NEW; "
      "END $$; CREATE TRIGGER as_number BEFORE INSERT ON public.r FOR EACH ROW EXECUTE FUNCTION public.as_number(); "
      "ALTER TABLE public.r ENABLE ALWAYS TRIGGER as_number");
  blue_owner().exec("INSERT INTO r VALUES (1, 'secret')");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("invalid input syntax"));
  EXPECT_THAT(teal.err(), testing::Not(HasSubstr("secret")));
}

// A frozen host: the server's processes are there, and answer nothing.
class Frozen {
 public:
  explicit Frozen(const std::string& pid) : pid_(static_cast<pid_t>(std::stoi(pid))) { ::kill(pid_, SIGSTOP); }
  ~Frozen() { ::kill(pid_, SIGCONT); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  pid_t pid_;
};

TEST_F(Bugs, TermEndsTealAlsoWhenTheTargetHasFrozen) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  TealProcess& teal = run_streaming();
  {
    const Frozen frozen(
        green().value("SELECT pid FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green'"));
    blue_owner().exec("INSERT INTO r SELECT generate_series(1, 100)");
    wait_until("the change was received", seconds(30),
               [&] { return blue().truth("SELECT sent_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication"); });
    EXPECT_EQ(teal.terminate(seconds(40)), 0) << teal.err();
  }
  run_streaming();
  wait_caught_up();
  expect_equal("public.r");
  EXPECT_EQ(green().number("SELECT count(*) FROM public.r"), 100);
}

TEST_F(Bugs, I9TableThatLeavesThePublicationForAMomentStopsTheRunningLink) {
  prepare("CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE s (id int PRIMARY KEY)", {"public.r", "public.s"});
  TealProcess& teal = run_streaming();
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.r");
  blue_owner().exec("INSERT INTO r VALUES (1)");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.r");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 1) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("missing on the target: public.r;"));
  EXPECT_EQ(run().wait_exit(seconds(30)), 1);
  EXPECT_THAT(teal_->err(), HasSubstr("missing on the target: public.r;"));
}

TEST_F(Bugs, I9OperationThatThePublicationHoldsBackStopsTheLink) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  TealProcess& teal = run_streaming();
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green SET (publish = 'insert')");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 1) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("does not publish every operation"));
  EXPECT_EQ(run().wait_exit(seconds(30)), 1);
}

TEST_F(Bugs, BatchThatWaitsForALockSaysSo) {
  prepare("CREATE TABLE r (id int PRIMARY KEY)", {"public.r"});
  TealProcess& teal = run_streaming();
  Sql blocker = green_server().connect(kOwnerRole, kShopDatabase);
  blocker.exec("BEGIN; LOCK TABLE public.r");
  blue_owner().exec("INSERT INTO r VALUES (1)");
  teal.wait_for_log("no answer yet, held up by a lock. server=green session=teal/shop/blue_to_green", seconds(30));
  blocker.exec("ROLLBACK");
  wait_caught_up();
  expect_equal("public.r");
}

}  // namespace
}  // namespace teal::test
