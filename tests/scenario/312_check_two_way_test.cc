// `direction: both`: `teal check` looks at both links, and finds what would stop the way back long after the start
// (TRAPS B6, B9, G9).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/scenario/check_fixture.h"
#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pg_bouncer.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class CheckTwoWay : public CheckFixture {
 protected:
  void configure_both(const std::string& more = "") {
    config_ = write_config({.more = "direction: both\ncopy: { schema: false }\n" + more}).string();
  }
  /// The tables on both sides, published by their owner on both.
  void prepare(const std::string& blue_sql, const std::string& green_sql, const std::string& more = "") {
    blue_owner().exec("SET search_path = public; " + blue_sql);
    green_owner().exec("SET search_path = public; " + green_sql);
    blue_owner().exec("CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE item");
    green_owner().exec("CREATE PUBLICATION teal_shop_green_to_blue FOR TABLE item");
    configure_both("tables: { include: [public.item] }\n" + more);
  }
  void prepare(const std::string& sql) { prepare(sql, sql); }

  /// The only finding.
  nlohmann::json finding() {
    const nlohmann::json found = findings();
    EXPECT_EQ(found.size(), 1U) << found.dump(2);
    return found.empty() ? nlohmann::json{{"side", ""}, {"what", ""}, {"mend", ""}} : found[0];
  }
  void expect_finding(const std::string& side_name, const std::string& says, const std::string& mends) {
    const nlohmann::json found = finding();
    EXPECT_EQ(found.at("side"), side_name);
    EXPECT_THAT(what(found), HasSubstr(says));
    EXPECT_THAT(mend(found), HasSubstr(mends));
  }
};

constexpr const char* kItem = "CREATE TABLE item (id int PRIMARY KEY, v text)";

TEST_F(CheckTwoWay, RightsOfTheWayBackAreFoundEachWithItsMend) {
  prepare(kItem);
  EXPECT_TRUE(findings().empty());
  green().exec("ALTER ROLE teal NOREPLICATION");
  blue().exec(
      "REVOKE INSERT, TRUNCATE ON item FROM teal; REVOKE SET ON PARAMETER session_replication_role FROM teal; "
      "REVOKE EXECUTE ON FUNCTION pg_replication_origin_session_setup(text) FROM teal");
  nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 4U) << found.dump(2);
  for (const nlohmann::json& one : found) {
    std::string sql = mend(one);
    if (sql.starts_with("in database shop: ")) sql.erase(0, std::string_view("in database shop: ").size());
    side(one.at("side")).exec(sql);
  }
  EXPECT_TRUE(findings().empty());
  EXPECT_TRUE(blue().truth("SELECT has_table_privilege('teal', 'item', 'TRUNCATE')"));
}

TEST_F(CheckTwoWay, OneDirectionDoesNotAskForTheRightsOfTheOther) {
  prepare(kItem);
  green().exec("ALTER ROLE teal NOREPLICATION; DROP PUBLICATION teal_shop_green_to_blue");
  blue().exec("REVOKE INSERT ON item FROM teal");
  configure("copy: { schema: false }\n");
  EXPECT_TRUE(findings().empty());
}

TEST_F(CheckTwoWay, ServersHaveToServeBothWays) {
  green_server().configure({"wal_level=replica", "max_replication_slots=3"});
  green_server().restart();
  green().exec("SELECT pg_create_physical_replication_slot('other' || i) FROM generate_series(1, 3) i");
  blue_server().configure({"max_replication_slots=3"});
  blue_server().restart();
  blue().exec("SELECT pg_replication_origin_create('other' || i) FROM generate_series(1, 3) i");
  prepare(kItem);
  const std::string all = findings().dump();
  EXPECT_THAT(all, HasSubstr("then restart green"));
  EXPECT_THAT(all, HasSubstr("wal_level is replica"));
  EXPECT_THAT(all, HasSubstr("no free replication slot: 3 of 3 are used, teal needs 1 more"));
  EXPECT_THAT(all, HasSubstr("others use 3, teal needs 1 for the link"));
  EXPECT_EQ(findings().size(), 3U) << all;
}

TEST_F(CheckTwoWay, PublicationOfTheWayBackIsPrintedForItsOwner) {
  prepare(kItem);
  green_owner().exec("DROP PUBLICATION teal_shop_green_to_blue");
  const nlohmann::json found = finding();
  EXPECT_EQ(found.at("side"), "green");
  EXPECT_THAT(what(found), HasSubstr("there is no publication teal_shop_green_to_blue"));
  expect_run_refuses(findings());
  green_owner().exec(mend(found).substr(mend(found).find("CREATE PUBLICATION")));
  EXPECT_TRUE(findings().empty());
}

TEST_F(CheckTwoWay, TablesThatTealMakesItselfLackNothing) {
  run_roles_sql(green_server(), {"make_tables=on"});
  blue_owner().exec("SET search_path = public; CREATE TABLE item (id int PRIMARY KEY, v text)");
  blue_owner().exec("INSERT INTO item VALUES (1, 'one'); CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE item");
  config_ = write_config({.more = "direction: both\n"}).string();
  EXPECT_TRUE(findings().empty());
  blue().exec("REVOKE UPDATE ON item FROM teal");
  expect_finding("blue", "lacks UPDATE", "GRANT UPDATE");
  mend_all();
  EXPECT_EQ(run_until_synced().exit_code, 0);
  EXPECT_TRUE(findings().empty());
  EXPECT_EQ(green().value("SELECT v FROM item"), "one");
}

TEST_F(CheckTwoWay, GreenMayLackWhatIsLeftOut) {
  prepare(kItem);
  blue_owner().exec("CREATE TABLE log (n int)");
  configure_both("tables: { exclude: [public.log] }\n");
  EXPECT_TRUE(findings().empty());
  EXPECT_EQ(run_until_synced().exit_code, 0);
}

TEST_F(CheckTwoWay, TableIsKnownByTheSameKeyOnBothSides) {
  prepare("CREATE TABLE item (id int PRIMARY KEY, n int, v text)",
          "CREATE TABLE item (id int UNIQUE, n int, v text, PRIMARY KEY (id, n))");
  expect_finding("green", "has the key (id) on blue and the key (id, n) on green", "REPLICA IDENTITY USING INDEX");
  mend_all(1);
  green_owner().exec("ALTER TABLE item REPLICA IDENTITY DEFAULT; ALTER TABLE item DROP CONSTRAINT item_pkey");
  expect_finding("green", "and no key on green", "ADD PRIMARY KEY (\"id\")");
  mend_all(1);
  green_owner().exec("ALTER TABLE item REPLICA IDENTITY FULL");
  EXPECT_TRUE(findings().empty());
  blue_owner().exec("CREATE UNIQUE INDEX other ON item (id); ALTER TABLE item REPLICA IDENTITY USING INDEX other");
  expect_finding("blue", "has REPLICA IDENTITY FULL on green and an index on blue", "REPLICA IDENTITY FULL");
  mend_all(1);
}

TEST_F(CheckTwoWay, TableWithoutAKeyIsRefused) {
  prepare("CREATE TABLE item (id int, v text); ALTER TABLE item REPLICA IDENTITY FULL");
  expect_finding("blue", "no key by which its rows are known on both sides", "ADD PRIMARY KEY");
  blue_owner().exec("ALTER TABLE item REPLICA IDENTITY DEFAULT");
  EXPECT_THAT(findings().dump(), Not(HasSubstr("if it can have none")));
}

TEST_F(CheckTwoWay, KeysThatAreEqualAndLookDifferentAreRefused) {
  for (Sql* owner : {&blue(), &green()}) {
    owner->exec(
        "CREATE EXTENSION citext SCHEMA public; CREATE COLLATION public.loose (provider = icu, locale = "
        "'und-u-ks-level2', "
        "deterministic = false); CREATE DOMAIN public.amount AS numeric; CREATE TYPE public.mood AS ENUM ('fine')");
  }
  const std::vector<std::pair<std::string, bool>> types = {
      {"citext", false}, {"interval", false},  {"text COLLATE loose", false},
      {"jsonb", false},  {"numeric[]", false}, {"numrange", false},
      {"amount", false}, {"numeric", true},    {"char(5)", true},
      {"float8", true},  {"timetz", true},     {"inet", true},
      {"money", true},   {"mood", true},       {"int4range", true},
      {"text[]", true}};
  for (Sql* owner : {&blue_owner(), &green_owner()}) {
    for (std::size_t i = 0; i < types.size(); ++i) {
      owner->exec("SET search_path = public; CREATE TABLE k" + std::to_string(i) + " (id " + types[i].first +
                  " PRIMARY KEY)");
    }
  }
  blue().exec("GRANT shop_owner TO teal");
  green().exec("GRANT shop_owner TO teal");
  configure_both();
  const nlohmann::json found = findings();
  std::string all;
  for (const nlohmann::json& one : found) all += what(one) + "\n";
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string name = "public.k" + std::to_string(i) + ".id, by which";
    EXPECT_EQ(all.find(name) == std::string::npos, types[i].second) << types[i].first << "\n" << all;
  }
  EXPECT_EQ(found.size(), 7U) << found.dump(2);
}

TEST_F(CheckTwoWay, G9VersionColumnHasToBeAnIntegerThatIsThere) {
  prepare(kItem, kItem, "conflicts: { tables: { public.item: { version_column: version } } }\n");
  expect_finding("blue", "there is no column public.item.version", "ADD COLUMN \"version\" bigint");
  for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("ALTER TABLE item ADD COLUMN version bigint");
  EXPECT_TRUE(findings().empty());
  const std::string said = notes();
  EXPECT_THAT(said, HasSubstr("on blue, the version column public.item.version may be NULL"));
  EXPECT_THAT(said, HasSubstr("on green, the version column public.item.version may be NULL"));
  for (Sql* owner : {&blue_owner(), &green_owner()}) {
    owner->exec("ALTER TABLE item ALTER COLUMN version TYPE numeric, ALTER COLUMN version SET NOT NULL");
  }
  for (const nlohmann::json& one : findings()) {
    EXPECT_THAT(what(one), HasSubstr("a version column has to be smallint, integer or bigint"));
    side(one.at("side")).exec(mend(one).substr(0, mend(one).find(';')));
  }
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), Not(HasSubstr("version column")));
}

TEST_F(CheckTwoWay, PatternOfConflictsThatMatchesNoSelectedTableIsAnError) {
  prepare(kItem, kItem, "conflicts: { tables: { public.itme: { policy: blue_wins } } }\n");
  const TealResult result = command({"check"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("teal.yml:"));
  EXPECT_THAT(result.err, HasSubstr("\"public.itme\" matches no table that is selected"));
}

TEST_F(CheckTwoWay, ColumnsHaveToFitBothWays) {
  prepare(
      "CREATE TABLE item (id int PRIMARY KEY, v varchar(5), n int)",
      "CREATE TABLE item (id int PRIMARY KEY, v text, n bigint, more text, sum int GENERATED ALWAYS AS (id) STORED)");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 3U) << found.dump(2);
  for (const nlohmann::json& one : found) EXPECT_EQ(one.at("side"), "blue");
  EXPECT_THAT(found.dump(), HasSubstr("lacks the column more (text on green)"));
  EXPECT_THAT(notes(), HasSubstr("the tables on blue belong to shop_owner"));
  mend_all(1);
}

TEST_F(CheckTwoWay, ColumnThatFitsNeitherWayIsMendedOnGreenAlone) {
  prepare("CREATE TABLE item (id int PRIMARY KEY, v text, sum int GENERATED ALWAYS AS (id) STORED, must int NOT NULL)",
          "CREATE TABLE item (id int PRIMARY KEY, v jsonb, sum int)");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 3U) << found.dump(2);
  for (const nlohmann::json& one : found) EXPECT_EQ(one.at("side"), "green");
  mend_all(1);
}

TEST_F(CheckTwoWay, LabelsOfAnEnumThatOnlyGreenHasAreFound) {
  prepare("CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE item (id int PRIMARY KEY, mood mood)",
          "CREATE TYPE mood AS ENUM ('fine', 'poor'); CREATE TABLE item (id int PRIMARY KEY, mood mood)");
  expect_finding("blue", "the enum public.mood lacks 'poor' on blue", "ADD VALUE 'poor'");
  mend_all(1);
}

TEST_F(CheckTwoWay, PartitionOnGreenCouldNotSendItsRowsBack) {
  prepare(kItem);
  green_owner().exec(
      "CREATE TABLE whole (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); "
      "ALTER TABLE whole ATTACH PARTITION item DEFAULT");
  EXPECT_THAT(findings().dump(), HasSubstr("so that its changes could not come back"));
}

TEST_F(CheckTwoWay, B9TriggersOfBlueThatFireForTealAreNamed) {
  prepare(kItem);
  blue_owner().exec(
      "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
      "CREATE TRIGGER always BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION nothing(); "
      "ALTER TABLE item ENABLE ALWAYS TRIGGER always");
  EXPECT_THAT(notes(), HasSubstr("on blue, the trigger always of public.item fires for what teal writes"));
}

TEST_F(CheckTwoWay, NotesSayWhatDecisionsWouldLikeToHave) {
  const std::string sql = "CREATE TABLE item (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text)";
  prepare(sql, sql, "writers: both\n");
  EXPECT_TRUE(findings().empty());
  const std::string said = notes();
  EXPECT_THAT(said, HasSubstr("on both sides: ALTER TABLE \"public\".\"item\" REPLICA IDENTITY FULL;"));
  EXPECT_THAT(said, HasSubstr("each side has a sequence of its own for public.item.id"));
  EXPECT_THAT(said, HasSubstr("on blue, track_commit_timestamp is off"));
  EXPECT_THAT(said, HasSubstr("on green, track_commit_timestamp is off"));
  for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("ALTER TABLE item REPLICA IDENTITY FULL");
  configure_both("tables: { include: [public.item] }\n");
  EXPECT_THAT(notes(), Not(HasSubstr("TOAST")));
  EXPECT_THAT(notes(), Not(HasSubstr("sequence of its own")));
  configure("copy: { schema: false }\ntables: { include: [public.item] }\n");
  EXPECT_THAT(notes(), Not(HasSubstr("track_commit_timestamp")));
}

class JoinTwoWay : public TwoWayFixture {};

TEST_F(JoinTwoWay, TableThatJoinsHasToBeKnownByTheSameKey) {
  start_both(kItem, {"public.item"});
  blue_owner().exec("CREATE TABLE late (id int PRIMARY KEY, n int NOT NULL)");
  green_owner().exec("CREATE TABLE late (id int UNIQUE, n int NOT NULL, PRIMARY KEY (id, n))");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE late");
  teal_->wait_for_log("table cannot join.*public.late has the key .id. on blue and the key .id, n. on green",
                      seconds(60));
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.table_state WHERE state = 'pending'"), 1);
}

TEST_F(CheckTwoWay, B6PoolerIsRefusedOnEitherSideInEachOfItsModes) {
  create_tables_both(kItem);
  create_publication({"public.item"});
  for (const std::string mode : {"transaction", "session"}) {
    const PgBouncer blue_pooler(blue_server(), {.mode = mode});
    const PgBouncer green_pooler(green_server(), {.mode = mode});
    for (const std::string direction : {"forward", "both"}) {
      config_ = write_config({.blue = blue_pooler.address(kTealRole),
                              .green = green_pooler.address(kTealRole),
                              .more = "direction: " + direction + "\ncopy: { schema: false }\n"})
                    .string();
      const nlohmann::json found = findings();
      ASSERT_EQ(found.size(), 2U) << mode << direction << found.dump(2);
      for (const nlohmann::json& one : found) EXPECT_THAT(what(one), HasSubstr("there is a pooler before the server"));
      expect_run_refuses(found);
    }
  }
}

}  // namespace
}  // namespace teal::test
