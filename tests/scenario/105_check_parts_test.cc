// Rights on green's partitions: rows go through the table at the top, a look into one partition and its TRUNCATE do not
// (TRAPS J4, S16).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/check_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

class PartitionRights : public CheckFixture {
 protected:
  void SetUp() override {
    CheckFixture::SetUp();
    create_tables_both(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM "
        "(0) TO (10)");
    create_publication({"public.t"});
    configure("copy: { schema: false }\n");
    // As an administrator does it, whose tables teal has no default privileges on.
    blue_owner().exec("CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)");
    green().exec(
        "CREATE TABLE public.t2 (id int NOT NULL); ALTER TABLE public.t ATTACH PARTITION public.t2 FOR VALUES "
        "FROM (10) TO (20)");
  }
};

TEST_F(PartitionRights, J4MissingOneIsFoundAndItsMendLetsATruncateOfThatPartitionThrough) {
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("the role teal lacks SELECT, TRUNCATE on partitions: public.t2 "));
  EXPECT_EQ(mend(found[0]), "GRANT SELECT, TRUNCATE ON \"public\".\"t2\" TO \"teal\";");
  expect_run_refuses(found);
  mend_all();
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1), (11); TRUNCATE t2; INSERT INTO t VALUES (12)");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(PartitionRights, J4PartitionsThatOnlyGreenHasNeedNone) {
  green().exec("ALTER TABLE public.t2 RENAME TO other");
  EXPECT_TRUE(findings().empty());
  run_streaming();
  blue_owner().exec(
      "INSERT INTO t VALUES (1), (11); UPDATE t SET id = 2 WHERE id = 11; TRUNCATE t; INSERT INTO t "
      "VALUES (12)");
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(PartitionRights, S16SchemaOfAPartitionThatIsClosed) {
  green().exec(
      "CREATE SCHEMA closed; ALTER TABLE public.t2 SET SCHEMA closed; GRANT SELECT, TRUNCATE ON closed.t2 TO teal");
  blue().exec(
      "CREATE SCHEMA closed; ALTER TABLE public.t2 SET SCHEMA closed; GRANT USAGE ON SCHEMA closed TO teal, "
      "shop_owner");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("may not use the schema \"closed\", which has partitions"));
  mend_all();
}

}  // namespace
}  // namespace teal::test
