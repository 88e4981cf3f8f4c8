// Green's own rules and limits: foreign keys, unique rules of every kind, the widest tables (TRAPS F6, F9, F12).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/scenario/check_fixture.h"
#include "tests/support/random_seed.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Rules : public CheckFixture {
 protected:
  /// What is written meanwhile comes in one batch: green's `table` is locked until then.
  template <class Write>
  void in_one_batch(const std::string& table, Write write) {
    Sql blocker = green_server().connect("postgres", kShopDatabase);
    blocker.exec("BEGIN; LOCK TABLE public." + table);
    write();
    blocker.exec("COMMIT");
    wait_caught_up();
  }
};

// ------------------------------------------------------------------------------------------------- foreign keys

TEST_F(Rules, F6WithoutTheRightToSetReplicaRoleNothingIsMade) {
  create_tables_both("CREATE TABLE t (id int PRIMARY KEY)");
  create_publication({"public.t"});
  configure("copy: { schema: false }\n");
  green().exec("REVOKE SET ON PARAMETER session_replication_role FROM teal");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("session_replication_role"));
  expect_run_refuses(found);
  mend_all(1);
  EXPECT_EQ(run_until_synced().exit_code, 0);
}

TEST_F(Rules, F6RightThatIsLostLaterIsWaitedForAndNothingIsAppliedWithoutIt) {
  start(
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON "
      "DELETE CASCADE); INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)",
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON "
      "DELETE CASCADE)",
      {"public.parent", "public.child"});
  green().exec(
      "REVOKE SET ON PARAMETER session_replication_role FROM teal; SELECT pg_terminate_backend(pid) FROM "
      "pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green'");
  blue_owner().exec("DELETE FROM parent; INSERT INTO child VALUES (2, NULL)");
  teal_->wait_for_log("link interrupted .*session_replication_role.*42501");
  EXPECT_EQ(green().value("SELECT string_agg(id::text, ' ') FROM child"), "1");
  green().exec("GRANT SET ON PARAMETER session_replication_role TO teal");
  wait_caught_up();
  expect_all_equal();
}

TEST_F(Rules, F6CascadesAndCyclesAreAppliedOnce) {
  const std::string tables =
      "CREATE TABLE parent (id int PRIMARY KEY, n int); "
      "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE); "
      "CREATE TABLE note (id int PRIMARY KEY, c int REFERENCES child ON DELETE SET NULL); "
      "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff ON DELETE CASCADE DEFERRABLE); ";
  start(tables, {"public.parent", "public.child", "public.note", "public.staff"});
  in_one_batch("parent", [&] {
    blue_owner().exec(
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO staff VALUES (1, 3), (2, 1), (3, 2), (4, 4), (5, 4); COMMIT");
    blue_owner().exec(
        "INSERT INTO parent SELECT i, 0 FROM generate_series(1, 20) i; INSERT INTO child SELECT i, 1 + i % 20 FROM "
        "generate_series(1, 100) i; INSERT INTO note SELECT i, 1 + i % 100 FROM generate_series(1, 300) i");
  });
  expect_all_equal();
  in_one_batch("parent", [&] {
    blue_owner().exec("DELETE FROM parent WHERE id <= 5; UPDATE parent SET id = id + 100 WHERE id <= 10");
    blue_owner().exec("DELETE FROM staff WHERE id = 2; DELETE FROM staff WHERE id = 4");
    blue_owner().exec("BEGIN; DELETE FROM parent WHERE id = 11; INSERT INTO parent VALUES (11, 1); COMMIT");
  });
  expect_all_equal();
  EXPECT_EQ(green().number("SELECT count(*) FROM staff"), 0);
  EXPECT_EQ(times_logged("rows refused"), 0U);
  EXPECT_EQ(times_logged("link interrupted"), 0U);
}

// Replica role checks neither: what blue's own checks let through has to be all that arrives.
TEST_F(Rules, F5DeferredRulesHoldAtRestAlthoughGreenDoesNotCheckThem) {
  start(
      "CREATE TABLE slot (id int PRIMARY KEY, token int UNIQUE DEFERRABLE INITIALLY DEFERRED); CREATE TABLE item (id "
      "int PRIMARY KEY, s int REFERENCES slot DEFERRABLE INITIALLY DEFERRED)",
      {"public.slot", "public.item"});
  in_one_batch("slot", [&] {
    blue_owner().exec(
        "BEGIN; INSERT INTO item SELECT i, i FROM generate_series(1, 50) i; INSERT INTO slot SELECT i, i FROM "
        "generate_series(1, 50) i; COMMIT");
    for (int i = 1; i <= 30; ++i) {
      const std::string by = std::to_string(i);
      blue_owner().exec("UPDATE slot SET token = 1 + (token + " + by + ") % 50");
      blue_owner().exec("BEGIN; DELETE FROM slot WHERE id = " + by + "; INSERT INTO slot SELECT " + by +
                        ", t FROM generate_series(1, 50) t WHERE t NOT IN (SELECT token FROM slot); COMMIT");
      EXPECT_EQ(blue_owner().sqlstate_of("UPDATE slot SET token = 7 WHERE id IN (1, 2)"), "23505");
      EXPECT_EQ(blue_owner().sqlstate_of("DELETE FROM slot WHERE id = 3"), "23503");
    }
  });
  EXPECT_EQ(green().number("SELECT count(*) - count(DISTINCT token) FROM slot"), 0) << "duplicates";
  EXPECT_EQ(green().number("SELECT count(*) FROM item WHERE s NOT IN (SELECT id FROM slot)"), 0) << "orphans";
  expect_all_equal();
}

// ------------------------------------------------------------------------------------------------- wide tables

TEST_F(Rules, F9SixteenHundredColumnsInBatchesOfHundredsOfRows) {
  std::string columns;
  std::string ones;
  std::string set_all;
  for (int i = 1; i < 1600; ++i) {
    const std::string column = "c" + std::to_string(i);
    columns += ", " + column + " smallint";
    ones += ", " + std::to_string(i);
    set_all += (i == 1 ? "" : ", ") + column + " = " + column + " + 1";
  }
  start("CREATE TABLE wide (id int PRIMARY KEY" + columns + "); CREATE TABLE other (LIKE wide INCLUDING ALL)",
        {"public.wide", "public.other"});
  in_one_batch("wide", [&] {
    blue_owner().exec("BEGIN; INSERT INTO wide SELECT i" + ones + " FROM generate_series(1, 300) i; INSERT INTO other" +
                      " SELECT * FROM wide; COMMIT");
    blue_owner().exec("INSERT INTO wide (id) SELECT 1000 + i FROM generate_series(1, 50) i");
  });
  const std::string hash = "SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM public.";
  const auto expect_hashes = [&] {
    for (const char* table : {"wide t", "other t"}) EXPECT_EQ(green().value(hash + table), blue().value(hash + table));
  };
  expect_hashes();
  in_one_batch("wide", [&] {
    blue_owner().exec("UPDATE wide SET " + set_all + " WHERE id % 2 = 0; UPDATE wide SET id = id + 5000, c1 = NULL " +
                      "WHERE id % 3 = 0; DELETE FROM other WHERE id % 4 = 0");
  });
  expect_hashes();
  EXPECT_EQ(times_logged("link interrupted"), 0U);
}

// ------------------------------------------------------------------------------------------------- unique rules

constexpr const char* kBooking =
    "CREATE TABLE booking (id int PRIMARY KEY, room int, active boolean DEFAULT true, name text, during int4range, "
    "code int, CONSTRAINT one_code UNIQUE NULLS NOT DISTINCT (code), "
    "CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&)); "
    "CREATE UNIQUE INDEX one_active ON booking (room) WHERE active; "
    "CREATE UNIQUE INDEX one_name ON booking (lower(name))";

TEST_F(Rules, F12LegalSequencesUnderUniqueRulesOfEveryKindNeverFail) {
  start(kBooking, {"public.booking"});
  in_one_batch("booking", [&] {
    blue_owner().exec("INSERT INTO booking VALUES (1, 1, true, 'a', '[1,3)', NULL), (2, 1, false, 'b', '[3,5)', 2)");
    blue_owner().exec("UPDATE booking SET active = false WHERE id = 1; UPDATE booking SET active = true WHERE id = 2");
    blue_owner().exec(
        "BEGIN; UPDATE booking SET name = 'x', during = '[9,10)', code = 9 WHERE id = 1; UPDATE booking "
        "SET name = 'A', during = '[1,3)', code = NULL WHERE id = 2; UPDATE booking SET name = 'B', "
        "during = '[3,5)', code = 2 WHERE id = 1; COMMIT");
    blue_owner().exec(
        "BEGIN; DELETE FROM booking WHERE id = 2; INSERT INTO booking VALUES (3, 1, true, 'a', '[2,3)', "
        "NULL); COMMIT");
  });
  expect_equal("public.booking");
  std::mt19937_64 random(random_seed());
  const auto below = [&](std::uint64_t limit) { return std::to_string(random() % limit); };
  for (int batch = 0; batch < 10; ++batch) {
    in_one_batch("booking", [&] {
      for (int i = 0; i < 40; ++i) {
        std::string sql = "BEGIN;";
        for (std::uint64_t step = random() % 5 + 1; step > 0; --step) {
          const std::string id = below(12);
          const std::vector<std::string> kinds = {
              "INSERT INTO booking VALUES (" + id + ", " + below(4) + ", " + below(2) + " = 1, chr(97 + " + below(8) +
                  "), int4range(" + id + ", " + id + " + 1 + " + below(2) + "), nullif(" + below(8) + ", 0))",
              "DELETE FROM booking WHERE id = " + id,
              "UPDATE booking SET active = NOT active WHERE id = " + id,
              "UPDATE booking SET room = " + below(4) + " WHERE id = " + id,
              "UPDATE booking SET name = chr(65 + " + below(8) + ") WHERE id = " + id,
              "UPDATE booking SET during = int4range(" + below(12) + ", 12) WHERE id = " + id,
              "UPDATE booking SET code = nullif(" + below(8) + ", 0) WHERE id = " + id,
              "UPDATE booking SET id = " + below(12) + " WHERE id = " + id};
          sql += "DO $do$BEGIN " + kinds[random() % kinds.size()] +
                 "; EXCEPTION WHEN unique_violation OR exclusion_violation OR data_exception THEN NULL; END$do$;";
        }
        blue_owner().exec(sql + "COMMIT");
      }
    });
    expect_equal("public.booking");
  }
  EXPECT_TRUE(teal_->running()) << teal_->err();
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.quarantine"), 0);
}

TEST_F(Rules, F12ViolationOfEachUniqueRuleStopsTheLinkWithItsName) {
  start(kBooking, {"public.booking"});
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  struct Collision {
    const char* rule;
    const char* here;   ///< row 100, on green
    const char* there;  ///< what blue then inserts
  };
  const std::vector<Collision> collisions = {
      {"one_active", "1, true, 'x', '[100,101)', 100", "1, true, 'a', '[1,2)', 1"},
      {"one_name", "100, true, 'B', '[100,101)', 100", "2, true, 'b', '[2,3)', 2"},
      {"no_overlap", "100, true, 'x', '[3,4)', 100", "3, true, 'c', '[3,5)', 3"},
      {"one_code", "100, true, 'x', '[100,101)', NULL", "4, true, 'd', '[5,6)', NULL"},
  };
  int id = 0;
  for (const Collision& collision : collisions) {
    SCOPED_TRACE(collision.rule);
    green_owner().exec("INSERT INTO booking VALUES (100, " + std::string(collision.here) + ")");
    blue_owner().exec("INSERT INTO booking VALUES (" + std::to_string(++id) + ", " + collision.there + ")");
    const TealResult stopped = run_until_synced();
    EXPECT_EQ(stopped.exit_code, 5) << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr(collision.rule));
    green_owner().exec("DELETE FROM booking WHERE id = 100");
    EXPECT_EQ(run_until_synced().exit_code, 0);
    expect_equal("public.booking");
  }
}

}  // namespace
}  // namespace teal::test
