// A unique value that different rows claim on the two sides stays with one of them, on both sides (TRAPS G7).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/scenario/unique_keys_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

struct PolicyCase {
  const char* name;
  const char* more;
  bool blue_stays;
};

class UniqueKeysByPolicy : public UniqueKeys, public testing::WithParamInterface<PolicyCase> {};

TEST_P(UniqueKeysByPolicy, G7OneOfTwoNewRowsStays) {
  start_accounts(kAccounts, GetParam().more);
  apart(blue_owner(), "INSERT INTO account VALUES (11, 'x', 'blue', 7)", green_owner(),
        "INSERT INTO account VALUES (12, 'x', 'green', 3), (13, 'y', 'other', 0)");
  together();
  const bool blue_stays = GetParam().blue_stays;
  EXPECT_EQ(rows(), std::string("1old1 2old2 3old3 4old4 5old5 ") + (blue_stays ? "11x" : "12x") + " 13y");
  EXPECT_GE(logged("type = 'insert_exists' AND table_name = 'public.account'"), 1);
  const std::string wrong = blue_stays ? "link = 'blue_to_green' AND resolution <> 'applied'"
                                       : "link = 'blue_to_green' AND resolution <> 'kept'";
  EXPECT_EQ(logged(wrong), 0);
  // The value is free for whoever comes next.
  green_owner().exec("DELETE FROM account WHERE mail = 'x'; INSERT INTO account VALUES (20, 'x', 'again', 0)");
  settle();
  EXPECT_THAT(rows(), HasSubstr("20x"));
}

INSTANTIATE_TEST_SUITE_P(
    Policies, UniqueKeysByPolicy,
    testing::Values(PolicyCase{"LastUpdateWins", "", false},
                    PolicyCase{"FirstUpdateWins", "conflicts: { default: first_update_wins }\n", true},
                    PolicyCase{"BlueWins", "conflicts: { default: blue_wins }\n", true},
                    PolicyCase{"GreenWins", "conflicts: { default: green_wins }\n", false},
                    PolicyCase{"VersionColumn", "conflicts: { tables: { public.account: { version_column: n } } }\n",
                               true}),
    [](const auto& policy) { return policy.param.name; });

TEST_F(UniqueKeys, G7RowThatMeetsSeveralTakesThemAllOrGoes) {
  start_accounts();
  apart(green_owner(), "INSERT INTO account VALUES (11, 'x', 'p', 0), (12, 'y', 'q', 0), (13, 'z', 'r', 0)",
        blue_owner(), "INSERT INTO account VALUES (21, 'x', 'q', 0)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 13z 21x");
  apart(blue_owner(), "INSERT INTO account VALUES (31, 'v', 'w', 0)", green_owner(),
        "INSERT INTO account VALUES (41, 'v', 's', 0), (42, 'u', 'w', 0)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 13z 21x 41v 42u");
}

TEST_F(UniqueKeys, G7RowsThatWereThereAndChangeToOneValueAreOneRow) {
  start_accounts();
  apart(blue_owner(), "UPDATE account SET mail = 'x' WHERE id = 1", green_owner(),
        "UPDATE account SET mail = 'x' WHERE id = 2; UPDATE account SET mail = 'old2' WHERE id = 3");
  together();
  EXPECT_EQ(rows(), "2x 3old2 4old4 5old5");
  EXPECT_GE(logged("type = 'update_exists'"), 1);
}

// The losing row changes again before both links have met it: then it loses nothing.
TEST_F(UniqueKeys, G7RowThatGivesItsValueUpLaterStays) {
  start_accounts();
  apart(blue_owner(), "UPDATE account SET mail = 'x' WHERE id = 1", green_owner(),
        "UPDATE account SET mail = 'x' WHERE id = 2");
  blue_owner().exec("UPDATE account SET mail = 'free' WHERE id = 1");
  together();
  EXPECT_EQ(rows(), "1free 2x 3old3 4old4 5old5");
}

TEST_F(UniqueKeys, G7F1ValuesAreSwappedThroughOneThatTheOtherSideHas) {
  start_accounts();
  apart(blue_owner(),
        "BEGIN; UPDATE account SET mail = 't' WHERE id = 1; UPDATE account SET mail = 'old1' WHERE id = 2; UPDATE "
        "account SET mail = 'old2' WHERE id = 1; COMMIT",
        green_owner(), "INSERT INTO account VALUES (11, 't', 'p', 0)");
  together();
  EXPECT_EQ(rows(), "1old2 2old1 3old3 4old4 5old5 11t");
}

TEST_F(UniqueKeys, G7KeysThatChangeWithTheirValuesAreClaimsToo) {
  start_accounts();
  apart(blue_owner(), "UPDATE account SET id = 101, mail = 'x' WHERE id = 1; UPDATE account SET id = 102 WHERE id = 2",
        green_owner(), "UPDATE account SET mail = 'x' WHERE id = 3; UPDATE account SET id = 104 WHERE id = 4");
  together();
  EXPECT_EQ(rows(), "3x 5old5 102old2 104old4");
}

TEST_F(UniqueKeys, G7F12IndexesOfSomeRowsAndOnExpressionsCount) {
  start_accounts(
      "CREATE TABLE account (id int PRIMARY KEY, mail text, phone text, n int); CREATE UNIQUE INDEX ON account "
      "(lower(mail)) WHERE n = 0");
  apart(blue_owner(), "INSERT INTO account VALUES (11, 'X', 'a', 0), (12, 'Y', 'b', 1), (13, NULL, 'c', 0)",
        green_owner(), "INSERT INTO account VALUES (21, 'x', 'd', 0), (22, 'y', 'e', 0), (23, NULL, 'c', 0)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 12Y 21x 22y");
}

TEST_F(UniqueKeys, G7IndexesOnGeneratedColumnsCount) {
  start_accounts(
      "CREATE TABLE account (id int PRIMARY KEY, mail text, phone text, n int, low text GENERATED ALWAYS AS "
      "(lower(mail)) STORED, UNIQUE (low))");
  apart(blue_owner(), "INSERT INTO account VALUES (11, 'X', 'a', 0), (12, 'Y', 'b', 1)", green_owner(),
        "INSERT INTO account VALUES (21, 'x', 'd', 0)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 12Y 21x");
}

TEST_F(UniqueKeys, G7TriggersOfALosingRowFindTheirTables) {
  start_accounts("CREATE TABLE account (id int PRIMARY KEY, mail text UNIQUE, phone text, n int)");
  blue_owner().exec(
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN UPDATE account SET mail = 'noted' WHERE id = 5; RETURN OLD; END $$; "
      "CREATE TRIGGER note AFTER DELETE ON account FOR EACH ROW EXECUTE FUNCTION note()");
  blue_server()
      .connect("postgres", kShopDatabase)
      .exec("ALTER DATABASE " + std::string(kShopDatabase) + " SET search_path = public, \"$user\"");
  apart(blue_owner(), "INSERT INTO account VALUES (11, 'x', 'a', 0)", green_owner(),
        "INSERT INTO account VALUES (21, 'x', 'd', 0)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5noted 21x");
}

// A trigger that turns DELETE into something else: nothing is wrong with the server, and trying again mends nothing.
TEST_F(UniqueKeys, G7I9RowThatCannotBeDeletedStopsTheLinkInsteadOfBeingTriedForEver) {
  start_accounts(kAccounts, "conflicts: { default: blue_wins }\n");
  for (Sql* side : {&blue_owner(), &green_owner()}) {
    side->exec(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
        "CREATE TRIGGER keep BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION keep()");
  }
  apart(blue_owner(), "INSERT INTO account VALUES (11, 'x', 'blue', 0)", green_owner(),
        "INSERT INTO account VALUES (12, 'x', 'green', 0)");
  run().wait_for_log("link stopped link=blue_to_green.* a trigger, a rule or a policy keeps DELETE from it",
                     seconds(60));
  teal_->terminate();
  EXPECT_EQ(green().number("SELECT count(*) FROM account WHERE mail = 'x'"), 1);
}

TEST_F(UniqueKeys, G7I9StopSaysWhatKeepsTheLosingRow) {
  start_accounts(kAccounts, "conflicts: { default: blue_wins }\n");
  green_owner().exec(
      "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'auditors want it'; END $$; "
      "CREATE TRIGGER keep BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION keep()");
  apart(blue_owner(), "INSERT INTO account VALUES (11, 'x', 'blue', 0)", green_owner(),
        "INSERT INTO account VALUES (12, 'x', 'green', 0)");
  run().wait_for_log("link stopped link=blue_to_green.*account_mail_key.*auditors want it", seconds(60));
  teal_->terminate();
  green_owner().exec("DROP TRIGGER keep ON account");
  together();
  EXPECT_THAT(rows(), HasSubstr("11x"));
}

// The stream brings a commit once it is on disk; sessions see it when its synchronous standbys have it as well.
TEST_F(UniqueKeys, G7A4RowThatItsSideDoesNotShowYetIsNotTakenForOneThatIsGone) {
  start_accounts(kAccounts, "conflicts: { default: green_wins }\n");
  Sql admin = blue_server().connect("postgres", kShopDatabase);
  Sql writer = blue_server().connect(kOwnerRole, kShopDatabase);
  writer.exec("BEGIN; INSERT INTO account VALUES (11, 'x', 'blue', 0)");
  green_owner().exec("INSERT INTO account VALUES (12, 'x', 'green', 0)");
  admin.exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  admin.exec("SELECT pg_reload_conf()");
  Sql prober = blue_server().connect(kOwnerRole, kShopDatabase);
  {
    // In force is what was set once somebody waits for it.
    const std::jthread probes([&prober](const std::stop_token& stop) {
      while (!stop.stop_requested()) prober.exec("SELECT pg_logical_emit_message(true, 'probe', '')");
    });
    std::jthread commits;
    struct Release {
      Sql& admin;
      ~Release() {
        admin.exec("ALTER SYSTEM RESET synchronous_standby_names");
        admin.exec("SELECT pg_reload_conf()");
      }
    } const release{admin};
    wait_until("commits wait", seconds(30),
               [&] { return admin.truth("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); });
    commits = std::jthread([&writer] { writer.exec("COMMIT"); });
    teal_->wait_for_log("is not visible on .* yet: it may wait for a synchronous standby there", seconds(60));
    EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE mail = 'x'"), 0);
  }
  settle();
  EXPECT_EQ(blue().value("SELECT string_agg(id::text, ' ') FROM account WHERE mail = 'x'"), "12");
  EXPECT_EQ(times_logged("link stopped"), 0);
}

// What was not sent is not known: the row has a note, and so no entry in the index.
TEST_F(UniqueKeys, G7C1IndexThatReadsWhatWasNotSentTellsNothing) {
  start_accounts(
      "CREATE TABLE account (id int PRIMARY KEY, mail text UNIQUE, phone text UNIQUE, n int, nick text, note text); "
      "ALTER "
      "TABLE account ALTER note SET STORAGE EXTERNAL; CREATE UNIQUE INDEX ON account (nick) WHERE note IS NULL");
  blue_owner().exec("UPDATE account SET note = repeat('n', 9000) WHERE id <= 2");
  wait_both_caught_up();
  apart(blue_owner(),
        "BEGIN; INSERT INTO account VALUES (11, 'x', NULL, 0); UPDATE account SET nick = 'q' WHERE id = 1; COMMIT",
        green_owner(),
        "INSERT INTO account VALUES (12, 'x', NULL, 0); INSERT INTO account VALUES (13, 'y', NULL, 0, 'q')");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 12x 13y");
}

TEST_F(UniqueKeys, G7ConstraintsThatAreDeferrableAreNotDecidedBesideOthers) {
  start_accounts("CREATE TABLE account (id int PRIMARY KEY, mail text UNIQUE, phone text UNIQUE DEFERRABLE, n int)");
  apart(blue_owner(), "BEGIN; INSERT INTO account VALUES (11, 'x', 'p', 0), (12, 'w', 'q', 0); COMMIT", green_owner(),
        "INSERT INTO account VALUES (21, 'x', 'r', 0); INSERT INTO account VALUES (22, 'y', 'q', 0)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 12w 21x 22y");
}

// 10 wins against 20, which has two values; so 11, which would have lost to 20, has its value for itself.
TEST_F(UniqueKeys, G7RowWhoseRivalGivesWayToAnotherStays) {
  start_accounts(kAccounts, "conflicts: { tables: { public.account: { version_column: n } } }\n");
  apart(blue_owner(), "BEGIN; INSERT INTO account VALUES (10, 'y', 'a', 9), (11, 'x', 'b', 1); COMMIT", green_owner(),
        "INSERT INTO account VALUES (20, 'x', 'a', 5)");
  together();
  EXPECT_EQ(rows(), "1old1 2old2 3old3 4old4 5old5 10y 11x");
}

TEST_F(UniqueKeys, G7H7IndexOfOnePartitionCounts) {
  start_both(
      "CREATE TABLE account (k int, id int, mail text, PRIMARY KEY (k, id)) PARTITION BY LIST (k); CREATE TABLE one "
      "PARTITION OF account FOR VALUES IN (1); CREATE TABLE two PARTITION OF account FOR VALUES IN (2) PARTITION BY "
      "HASH (id); "
      "CREATE TABLE two_a PARTITION OF two FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE two_b PARTITION OF "
      "two FOR "
      "VALUES WITH (MODULUS 2, REMAINDER 1); CREATE UNIQUE INDEX ON one (lower(mail)); CREATE UNIQUE INDEX ON two_a "
      "(mail); "
      "CREATE UNIQUE INDEX ON two_b (mail)",
      {"public.account"}, "conflicts: { default: blue_wins }\n");
  apart(green_owner(),
        "INSERT INTO account SELECT 1 + i % 2, 100 + i, 'm' || i / 10 FROM generate_series(0, 99) i WHERE i % 10 < 2",
        blue_owner(),
        "INSERT INTO account SELECT 1 + i % 2, 200 + i, 'm' || i / 10 FROM generate_series(0, 99) i WHERE i % 10 < 2");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE id >= 200"), 20);
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE k = 1"), 10);
}

TEST_F(UniqueKeys, G7ColumnsMayHaveTheNamesThatTheLookUses) {
  start_both(
      "CREATE TABLE account (id int PRIMARY KEY, mail text UNIQUE, teal_row text UNIQUE, teal_sent text, teal_sent_ "
      "int, teal_e0 "
      "int UNIQUE, n int, h int, t int)",
      {"public.account"}, "conflicts: { default: blue_wins }\n");
  apart(green_owner(), "INSERT INTO account VALUES (1, 'x', 'r', 's', 2, 3), (2, 'y', 'q', 's', 2, 4)", blue_owner(),
        "INSERT INTO account VALUES (11, 'x', 'w', 's', 2, 5), (12, 'z', 'q', 's', 2, 6)");
  together();
  EXPECT_EQ(rows(), "11x 12z");
}

// Each writer goes on where a value is taken on its own side.
TEST_F(UniqueKeys, G7BothSidesAreAlikeAfterAStormOfClaimsAndKills) {
  start_accounts(
      std::string(kAccounts) +
      "; CREATE FUNCTION claim(a int, m int, p int, kind int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF kind <= 4 "
      "THEN UPDATE public.account SET mail = 'm' || m, phone = 'p' || p, n = n + 1 WHERE id = a; ELSIF kind <= 7 THEN "
      "INSERT INTO public.account VALUES (a, 'm' || m, 'p' || p, 0) ON CONFLICT (id) DO UPDATE SET mail = "
      "excluded.mail; ELSIF kind = 8 THEN UPDATE public.account SET id = m WHERE id = a; ELSE DELETE FROM "
      "public.account WHERE id = a; END IF; EXCEPTION WHEN unique_violation THEN END $$");
  write_on_both(R"(\set a random(1, 150)
\set m random(1, 150)
\set p random(1, 150)
\set kind random(1, 9)
SELECT claim(:a, :m, :p, :kind);
)",
                [this] {
                  for (int i = 0; i < 3; ++i) {
                    wait_until("links have applied something", seconds(30), [this, i] {
                      return counter("blue_to_green", "applied") + counter("green_to_blue", "applied") > 100 * (i + 1);
                    });
                    teal_->kill9();
                    run_both();
                  }
                });
  settle();
  EXPECT_GT(logged("type IN ('insert_exists', 'update_exists', 'multiple_unique_conflicts')"), 0);
  EXPECT_EQ(
      blue().number("SELECT count(*) FROM teal.quarantine") + green().number("SELECT count(*) FROM teal.quarantine"),
      0);
}

}  // namespace
}  // namespace teal::test
