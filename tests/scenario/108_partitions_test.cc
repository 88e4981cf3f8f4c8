// Partitioned and inherited tables: each partition is copied and streamed for itself, into the table at the top of the
// target, whatever its layout (TRAPS H10, I7, J4, J5, J8, W10).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* kEvents =
    "CREATE TABLE events (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);";

class Partitions : public SidecarFixture {
 protected:
  static std::string part(int number, int from, int to) {
    return "CREATE TABLE events_" + std::to_string(number) + " PARTITION OF events FOR VALUES FROM (" +
           std::to_string(from) + ") TO (" + std::to_string(to) + ");";
  }

  void start(const std::string& blue_sql, const std::string& green_sql, const std::vector<std::string>& published) {
    blue_owner().exec("SET search_path = public; " + blue_sql);
    green_owner().exec("SET search_path = public; " + green_sql);
    create_publication(published);
    configure("copy: { schema: false }\n");
    blue_owner().exec("INSERT INTO events SELECT i, i % 30, 'v' || i FROM generate_series(1, 300) i");
    run_streaming();
  }

  void change_rows() {
    blue_owner().exec("INSERT INTO events SELECT i, i % 30, 'new' FROM generate_series(1001, 1100) i");
    blue_owner().exec("UPDATE events SET v = 'changed' WHERE id % 7 = 0; DELETE FROM events WHERE id % 11 = 0");
    blue_owner().exec("UPDATE events SET day = (day + 10) % 30 WHERE id % 5 = 0");  // from one partition to another
    blue_owner().exec(
        "BEGIN; UPDATE events SET day = (day + 10) % 30 WHERE id < 50; UPDATE events SET day = (day + 20) "
        "% 30 WHERE id < 50; UPDATE events SET v = 'moved twice' WHERE id < 50; COMMIT");
  }

  void expect_arrives(const std::string& table = "public.events") {
    wait_caught_up();
    expect_equal(table);
  }
};

TEST_F(Partitions, J4RowsThatMoveBetweenPartitionsOfTheSameLayout) {
  const std::string layout = kEvents + part(1, 0, 10) + part(2, 10, 20) + part(3, 20, 30);
  start(layout, layout, {"public.events"});
  expect_arrives();
  change_rows();
  expect_arrives();
  for (const char* table : {"public.events_1", "public.events_2", "public.events_3"}) expect_equal(table);
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

TEST_F(Partitions, J4LayoutsThatDiffer) {
  // Blue: ranges, one of them divided again, with columns in another order; green: by hash of the id.
  start(kEvents + part(1, 0, 10) +
            "CREATE TABLE attached (v text, gone int, day int NOT NULL, id int NOT NULL); ALTER TABLE attached DROP "
            "gone; "
            "ALTER TABLE events ATTACH PARTITION attached FOR VALUES FROM (10) TO (20); CREATE TABLE deep PARTITION OF "
            "events FOR VALUES FROM (20) TO (30) PARTITION BY LIST (day); CREATE TABLE deep_20 PARTITION OF deep FOR "
            "VALUES IN (20); CREATE TABLE deep_rest PARTITION OF deep DEFAULT",
        "CREATE TABLE events (day int, v text, id int, PRIMARY KEY (id, day)) PARTITION BY HASH (id);"
        "CREATE TABLE h0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE h1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
        {"public.events"});
  expect_arrives();
  change_rows();
  expect_arrives();
  blue_owner().exec(
      "BEGIN; TRUNCATE events; INSERT INTO events VALUES (1, 1, 'a'), (2, 21, 'b'), (3, 20, 'c'); COMMIT");
  expect_arrives();
}

TEST_F(Partitions, J4PartitionedOnOneSideOnly) {
  start(kEvents + part(1, 0, 15) + part(2, 15, 30) + "CREATE TABLE plain (id int PRIMARY KEY, v text)",
        "CREATE TABLE events (id int, day int, v text, PRIMARY KEY (day, id));"
        "CREATE TABLE plain (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE plain_1 PARTITION OF plain FOR VALUES FROM (0) TO (50);"
        "CREATE TABLE plain_2 PARTITION OF plain DEFAULT",
        {"public.events", "public.plain"});
  blue_owner().exec(
      "INSERT INTO plain SELECT i, 'p' FROM generate_series(1, 100) i; UPDATE plain SET id = id + 1000 WHERE id % 2 = "
      "0");
  change_rows();
  expect_arrives();
  expect_equal("public.plain");
  blue_owner().exec("TRUNCATE plain, events; INSERT INTO plain VALUES (1, 'x'); INSERT INTO events VALUES (1, 1, 'x')");
  expect_arrives();
  expect_equal("public.plain");
}

TEST_F(Partitions, J5TruncateOfOnePartition) {
  const std::string layout = kEvents + part(1, 0, 10) + part(2, 10, 20) + part(3, 20, 30);
  start(layout, layout, {"public.events"});
  blue_owner().exec("TRUNCATE events_2");
  expect_arrives();
  blue_owner().exec(
      "BEGIN; INSERT INTO events VALUES (1, 11, 'x'); TRUNCATE events_1, events_2; INSERT INTO events "
      "VALUES (2, 12, 'y'); COMMIT");
  expect_arrives();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.events WHERE day < 20"), 1);
  // A layout in which green cannot do the same stops the link, before anything is lost.
  green_owner().exec(
      "ALTER TABLE public.events DETACH PARTITION public.events_3; ALTER TABLE public.events ATTACH "
      "PARTITION public.events_3 FOR VALUES FROM (20) TO (40)");
  blue_owner().exec("TRUNCATE events_3");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("public.events_3: was truncated on the source"));
  green_owner().exec(
      "ALTER TABLE public.events DETACH PARTITION public.events_3; ALTER TABLE public.events ATTACH "
      "PARTITION public.events_3 FOR VALUES FROM (20) TO (30)");
  run_streaming();
  expect_arrives();
}

TEST_F(Partitions, H10PartitionsThatAreMadeAttachedDetachedAndDropped) {
  const std::string layout = kEvents + part(1, 0, 10) + part(2, 10, 30);
  start(layout, layout, {"public.events"});
  green_owner().exec("SET search_path = public;" + part(3, 30, 40) + part(4, 40, 50));
  // Made empty; and attached with rows that no stream has ever sent.
  blue_owner().exec(part(3, 30, 40) + "INSERT INTO events VALUES (1, 31, 'made')");
  blue_owner().exec(
      "BEGIN; CREATE TABLE events_4 (LIKE events INCLUDING ALL); INSERT INTO events_4 VALUES (1, 41, "
      "'before'), (2, 42, 'before'); ALTER TABLE events ATTACH PARTITION events_4 FOR VALUES FROM (40) TO "
      "(50); INSERT INTO events VALUES (3, 43, 'after'); COMMIT");
  blue_owner().exec("UPDATE events SET v = 'x' WHERE id = 2; UPDATE events SET day = 31 WHERE id = 7");
  wait_joined("events_3");
  wait_joined("events_4");
  expect_arrives();
  blue_owner().exec("UPDATE events SET day = day - 10 WHERE day > 30; INSERT INTO events VALUES (9, 44, 'last')");
  expect_arrives();
  blue_owner().exec("ALTER TABLE events DETACH PARTITION events_1; INSERT INTO events_1 VALUES (5000, 1, 'not ours')");
  teal_->wait_for_log("partition left its table on the source.*public.events_1", seconds(30));
  green_owner().exec("ALTER TABLE public.events DETACH PARTITION public.events_1");
  blue_owner().exec("DROP TABLE events_2");
  green_owner().exec("DROP TABLE public.events_2");
  blue_owner().exec("INSERT INTO events VALUES (10, 45, 'still')");
  expect_arrives();
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  for (Sql* side : {&blue_owner(), &green_owner()}) side->exec("DROP TABLE public.events_1");
  run_streaming();
  blue_owner().exec("INSERT INTO events VALUES (11, 45, 'and again')");
  expect_arrives();
}

TEST_F(Partitions, H10PartitionThatComesBackStopsTheLink) {
  const std::string layout = kEvents + part(1, 0, 10) + part(2, 10, 30);
  start(layout, layout, {"public.events"});
  blue_owner().exec(
      "ALTER TABLE events DETACH PARTITION events_1; DELETE FROM events_1 WHERE id = 1; ALTER TABLE events "
      "ATTACH PARTITION events_1 FOR VALUES FROM (0) TO (10)");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 1) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("public.events_1"));
}

TEST_F(Partitions, J4RowThatFitsNoPartitionOfGreenStopsTheLinkUntilThereIsOne) {
  const std::string layout = kEvents + part(1, 0, 30);
  start(layout + part(2, 30, 40), layout, {"public.events"});
  blue_owner().exec("INSERT INTO events VALUES (1, 35, 'x')");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("no partition of relation \"events\" found for row"));
  green_owner().exec("SET search_path = public;" + part(2, 30, 40));
  run_streaming();
  expect_arrives();
}

TEST_F(Partitions, W10MoversAtRandomUnderKills) {
  const char* given = std::getenv("TEAL_TEST_SEED");
  const auto seed = given != nullptr ? std::strtoul(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("TEAL_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  const auto below = [&](std::uint32_t n) { return std::to_string(random() % n); };
  start(kEvents + part(1, 0, 10) + part(2, 10, 20) + part(3, 20, 30),
        kEvents + part(7, 0, 7) + part(8, 7, 25) + part(9, 25, 30), {"public.events"});
  for (int step = 0; step < 120; ++step) {
    std::string sql = "BEGIN;";
    for (std::uint32_t i = 0; i < 1 + random() % 5; ++i) {
      const std::vector<std::string> kinds = {
          "UPDATE events SET day = " + below(30) + " WHERE id BETWEEN " + below(300) + " AND " + below(300) + ";",
          "INSERT INTO events SELECT i, " + below(30) + ", 'n' FROM generate_series(" + below(300) + ", " + below(300) +
              ") i ON CONFLICT DO NOTHING;",
          "DELETE FROM events WHERE id % 13 = " + below(13) + ";",
          "UPDATE events SET v = 'u' WHERE day = " + below(30) + ";",
          random() % 10 == 0 ? "TRUNCATE events;" : "DELETE FROM events WHERE id = " + below(300) + ";"};
      sql += kinds[random() % kinds.size()];
    }
    try {
      blue_owner().exec(sql + (random() % 9 == 0 ? "ROLLBACK" : "COMMIT"));
    } catch (const SqlError&) {  // a row moved onto a key that is there
      blue_owner().exec("ROLLBACK");
    }
    if (step % 40 == 20) {
      teal_->kill9();
      run_streaming();
    }
  }
  expect_arrives();
}

TEST_F(Partitions, E2WholeRowsInPartitions) {
  const std::string parts =
      "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (30);";
  const std::string keyless = "CREATE TABLE events (id int, day int, v text) PARTITION BY RANGE (day);";
  start(keyless + parts +
            "ALTER TABLE events REPLICA IDENTITY FULL; ALTER TABLE events_1 REPLICA IDENTITY FULL; ALTER "
            "TABLE events_2 REPLICA IDENTITY FULL",
        keyless + "CREATE TABLE one PARTITION OF events DEFAULT", {"public.events"});
  blue_owner().exec(
      "INSERT INTO events SELECT 1, 5, 'same' FROM generate_series(1, 4); DELETE FROM events WHERE ctid = "
      "(SELECT min(ctid) FROM events_1 WHERE v = 'same') AND tableoid = 'events_1'::regclass");
  change_rows();
  expect_arrives();
}

TEST_F(Partitions, E1IdentityThatAPartitionDoesNotShareIsRefused) {
  blue_owner().exec("SET search_path = public; " + (kEvents + part(1, 0, 30)) +
                    "ALTER TABLE events_1 REPLICA IDENTITY NOTHING");
  green_owner().exec("SET search_path = public; " + (kEvents + part(1, 0, 30)));
  configure("copy: { schema: false }\n");
  const TealResult check = command({"check"});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_THAT(check.out, HasSubstr("public.events_1 has REPLICA IDENTITY NOTHING"));
}

TEST_F(Partitions, SelectionOfAPartitionAloneIsRefusedAndSaysWhich) {
  blue_owner().exec("SET search_path = public; " + (kEvents + part(1, 0, 30)) +
                    "CREATE TABLE other (id int PRIMARY KEY)");
  configure("copy: { schema: false }\ntables: { include: [public.other, public.events_1] }\n");
  EXPECT_EQ(command({"check"}).exit_code, 2);
  EXPECT_THAT(command({"check"}).err, HasSubstr("is a partition of public.events: select that table"));
  configure("copy: { schema: false }\ntables: { exclude: [public.events_1] }\n");
  EXPECT_EQ(command({"check"}).exit_code, 2);
  EXPECT_THAT(command({"check"}).err, HasSubstr("a partition cannot be left out alone"));
}

using RestoredParts = Partitions;  // needs client programs of one version

TEST_F(RestoredParts, SchemaOfPartitionedTablesIsRestoredWithItsKeysAndForeignKeys) {
  blue_owner().exec("SET search_path = public; " + (kEvents + part(1, 0, 10) + part(2, 10, 30)) +
                    "CREATE TABLE notes (id int PRIMARY KEY, e int, d int, FOREIGN KEY (e, d) REFERENCES events);"
                    "INSERT INTO events SELECT i, i % 30, 'v' FROM generate_series(1, 100) i; INSERT INTO notes SELECT "
                    "i, i, i % 30 FROM generate_series(1, 50) i");
  create_publication({"public.events", "public.notes"});
  green().exec("GRANT CREATE ON SCHEMA public TO teal");
  configure("");
  run_streaming();
  expect_arrives();
  expect_equal("public.notes");
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'notes'::regclass "
                           "AND conparentid = 0"),
            1);
}

TEST_F(Partitions, J8InheritedTablesAreEachReplicatedForThemselves) {
  create_tables_both(
      "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS "
      "(parent); CREATE TABLE left_out (PRIMARY KEY (id)) INHERITS (parent)");
  blue().exec("GRANT shop_owner TO teal");
  blue_owner().exec("INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c', 5), (2, 'c', 5)");
  blue_owner().exec("INSERT INTO left_out VALUES (9, 'l')");
  configure("copy: { schema: false }\ntables: { exclude: [public.left_out] }\n");
  run_streaming();
  blue_owner().exec(
      "UPDATE parent SET v = 'all' WHERE id = 1; DELETE FROM parent WHERE id = 2; UPDATE parent SET v = 'l'");
  wait_caught_up();
  const std::string rows =
      "SELECT string_agg(tableoid::regclass || ' ' || id || ' ' || v, ',' ORDER BY tableoid::"
      "regclass::text, id) FROM public.parent";
  EXPECT_EQ(green().value(rows), "child 1 l,parent 1 l");
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'left_out'"), 0);
  blue_owner().exec("TRUNCATE parent; INSERT INTO child VALUES (7, 'c', 5)");
  wait_caught_up();
  EXPECT_EQ(green().value(rows), "child 7 c");
}

}  // namespace
}  // namespace teal::test
