// What the documentation tells an operator to do, done word by word: docs/troubleshooting.md, docs/limits.md
// (TRAPS E2, H10, H11, J4).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Recipes : public SidecarFixture {};

// "Copying one table again", for a row without a key that nobody can restore.
TEST_F(Recipes, E2CopyingOneTableAgainGoesOnWhereARowWithoutAKeyIsLost) {
  start("CREATE TABLE t (v text); ALTER TABLE t REPLICA IDENTITY FULL; CREATE TABLE other (id int PRIMARY KEY)",
        {"public.t", "public.other"});
  blue_owner().exec("INSERT INTO t SELECT i FROM generate_series(1, 50) i");
  wait_caught_up();
  green_owner().exec("DELETE FROM public.t WHERE v = '7'");
  blue_owner().exec("UPDATE t SET v = v || '!'");
  EXPECT_EQ(teal_->wait_exit(seconds(30)), 5) << teal_->err();
  EXPECT_THAT(teal_->err(), HasSubstr("update_missing"));
  blue_owner().exec("INSERT INTO other VALUES (1)");

  configure("copy: { schema: false }\ntables: { exclude: [public.t] }\n");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green DROP TABLE public.t");
  run_streaming();
  wait_caught_up();
  const nlohmann::json status = nlohmann::json::parse(command({"status", "--json"}).out);
  EXPECT_EQ(status.at("links").at(0).at("counters").at("filtered"), 50);
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
  green_owner().exec("TRUNCATE public.t");
  configure("copy: { schema: false }\n");
  blue_owner().exec("ALTER PUBLICATION teal_shop_blue_to_green ADD TABLE public.t");
  run_streaming();
  wait_joined("t");
  blue_owner().exec("UPDATE t SET v = v || '?' WHERE v LIKE '1%'");
  wait_caught_up();
  expect_equal("public.t");
  expect_equal("public.other");
}

// "Partitions and inheritance": a partition of blue whose rows green's default partition took.
TEST_F(Recipes, H10PartitionIsMadeOfRowsThatTheDefaultPartitionTook) {
  const std::string table = "CREATE TABLE ev (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);";
  const std::string range = " FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')";
  start(table + "CREATE TABLE ev_2029 PARTITION OF ev FOR VALUES FROM ('2029-01-01') TO ('2030-01-01')",
        table + "CREATE TABLE ev_default PARTITION OF ev DEFAULT", {"public.ev"});
  blue_owner().exec("CREATE TABLE ev_2030 PARTITION OF ev" + range +
                    "; INSERT INTO ev SELECT i, '2029-12-01'::date + i FROM generate_series(1, 100) i");
  wait_joined("ev_2030");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM public.ev_default"), 100);
  green_owner().exec("SET search_path = public");
  EXPECT_THROW(green_owner().exec("CREATE TABLE ev_2030 PARTITION OF ev" + range), SqlError);
  green_owner().exec(
      "BEGIN; CREATE TABLE ev_2030 (LIKE ev INCLUDING ALL); WITH moved AS (DELETE FROM ev_default WHERE day >= "
      "'2030-01-01' AND day < '2031-01-01' RETURNING *) INSERT INTO ev_2030 SELECT * FROM moved; ALTER TABLE ev ATTACH "
      "PARTITION ev_2030" +
      range + "; COMMIT");
  expect_equal("public.ev_2030");
  blue_owner().exec("UPDATE ev SET day = day + 20; TRUNCATE ev_2030; INSERT INTO ev VALUES (1000, '2030-05-05')");
  wait_caught_up();
  expect_equal("public.ev");
  EXPECT_TRUE(teal_->running());
}

}  // namespace
}  // namespace teal::test
