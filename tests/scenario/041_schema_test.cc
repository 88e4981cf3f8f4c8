// Green gets blue's schema by pg_dump and pg_restore: whole, or not at all.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// Objects in teal's schema aside, what an application sees of the schemas, as text that is the same on both sides.
constexpr const char* kIndexes =
    "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'app', 'extra') ORDER BY 1";
constexpr const char* kConstraints =
    "SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.convalidated FROM pg_constraint c "
    "JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname IN ('public', 'app', 'extra') ORDER BY 1, 2";
constexpr const char* kColumns =
    "SELECT c.oid::regclass::text, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
    "a.attidentity, pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
    "WHERE n.nspname IN ('public', 'app', 'extra') AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'i' "
    "ORDER BY 1, 3";
constexpr const char* kViews =
    "SELECT viewname, definition FROM pg_views WHERE schemaname IN ('public', 'app', 'extra') ORDER BY 1";
constexpr const char* kTriggers =
    "SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1";

constexpr const char* kSchema = R"(
CREATE SCHEMA app;
CREATE SCHEMA extra;
CREATE TYPE app.mood AS ENUM ('fine', 'poor');
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE TABLE public.customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL, mood app.mood);
CREATE UNIQUE INDEX customer_email ON public.customer (lower(email));
CREATE TABLE app.orders (
  id bigserial PRIMARY KEY,
  customer int NOT NULL REFERENCES public.customer ON DELETE CASCADE,
  amount app.positive,
  doubled int GENERATED ALWAYS AS (amount * 2) STORED,
  placed_at timestamptz NOT NULL DEFAULT '2024-02-03 04:05:06+00',
  CHECK (amount < 1000000)
);
CREATE INDEX orders_by_customer ON app.orders (customer) INCLUDE (amount) WHERE amount > 5;
COMMENT ON TABLE app.orders IS 'what was ordered';
COMMENT ON SCHEMA app IS 'the shop';
CREATE TABLE extra."Odd name" ("a ""key""" int, b text, PRIMARY KEY ("a ""key""", b));
CREATE FUNCTION app.shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.email := upper(new.email); RETURN new; END$$;
CREATE TRIGGER shout BEFORE INSERT ON public.customer FOR EACH ROW EXECUTE FUNCTION app.shout();
CREATE VIEW app.totals AS SELECT c.email, sum(o.amount) AS total FROM public.customer c
  JOIN app.orders o ON o.customer = c.id GROUP BY c.email;
INSERT INTO public.customer (email, mood) SELECT 'c' || i, 'fine' FROM generate_series(1, 100) i;
INSERT INTO app.orders (customer, amount) SELECT 1 + i % 100, i FROM generate_series(1, 1000) i;
INSERT INTO extra."Odd name" VALUES (1, 'x'), (2, 'y');
)";

const std::vector<std::string> kTables = {"public.customer", "app.orders", "extra.\"Odd name\""};

class SchemaRestore : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    blue_owner().exec(kSchema);
    run_roles_sql(blue_server(), {"schemas=public,app,extra"});
    // Schema app is there already, as its administrator made it; `extra` is not.
    green_owner().exec("CREATE SCHEMA app");
    run_roles_sql(green_server(), {"schemas=public,app", "make_tables=on"});
    create_publication(kTables);
    configure("copy: { schema: true }\n");
  }

  void expect_same_schema() {
    for (const char* query : {kIndexes, kConstraints, kColumns, kViews, kTriggers}) {
      EXPECT_EQ(blue().rows(query), green().rows(query)) << query;
      EXPECT_FALSE(blue().rows(query).empty()) << query;
    }
  }

  void expect_same_rows() {
    for (const std::string& table : kTables) expect_equal(table);
    EXPECT_EQ(blue().rows("SELECT * FROM app.totals ORDER BY 1"), green().rows("SELECT * FROM app.totals ORDER BY 1"));
  }

  std::int64_t tables_on_green() {
    return green().number(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'i', "
        "'S', 'v') AND n.nspname IN ('public', 'app', 'extra')");
  }
};

TEST_F(SchemaRestore, ArrivesWithKeysIndexesConstraintsTriggersAndViews) {
  EXPECT_EQ(command({"check"}).exit_code, 0);
  EXPECT_EQ(tables_on_green(), 0);
  TealProcess& teal = run_streaming();
  expect_same_schema();
  EXPECT_EQ(green().value("SELECT obj_description('app.orders'::regclass)"), "what was ordered");
  blue_owner().exec(
      "INSERT INTO public.customer (email) VALUES ('new'); DELETE FROM public.customer WHERE id = 5; "
      "UPDATE app.orders SET amount = 7 WHERE id = 3; UPDATE extra.\"Odd name\" SET b = 'z' WHERE b = 'y'");
  wait_caught_up();
  expect_same_rows();
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
  // The next run finds everything there.
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_same_schema();
}

TEST_F(SchemaRestore, OneThatFailsLeavesNothingHalfMade) {
  green_owner().exec("CREATE VIEW app.totals AS SELECT 1 AS one");
  const std::int64_t before = tables_on_green();
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("\"totals\" already exists"));
  EXPECT_THAT(refused.err, HasSubstr("nothing of it was kept"));
  EXPECT_EQ(tables_on_green(), before);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_namespace WHERE nspname = 'extra'"), 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_type WHERE typname = 'mood'"), 0);
  green_owner().exec("DROP VIEW app.totals");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  expect_same_schema();
  expect_same_rows();
}

TEST_F(SchemaRestore, KeysThatFailLeaveTheRowsAndComeWithTheNextRun) {
  // The name that an index of blue's is going to need.
  green_owner().exec("CREATE SEQUENCE app.orders_by_customer");
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("\"orders_by_customer\" already exists"));
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_indexes WHERE schemaname IN ('public', 'app', 'extra')"), 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM app.orders"), 1000);
  blue_owner().exec("UPDATE app.orders SET amount = 8 WHERE id = 4; DELETE FROM app.orders WHERE id = 9");
  green_owner().exec("DROP SEQUENCE app.orders_by_customer");
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  expect_same_schema();
  expect_same_rows();
}

// They are copied again with a table that a foreign key connects them with, and were emptied for that.
TEST_F(SchemaRestore, I6RowsOfSomebodyElseInATableThatIsCopiedAgainAreRefusedAndStay) {
  configure("copy: { schema: true, jobs: 1 }\n");
  for (const std::string point : {"copy_committed", "before_copy_snapshot"}) {
    TealProcess& teal = run({}, {.environment = {"TEAL_FAILPOINT=" + point}});
    EXPECT_EQ(teal.wait_exit(seconds(60)), 128 + SIGKILL) << teal.err();
  }
  EXPECT_EQ(times_logged("copy begins anew for tables with foreign keys"), 1U);
  ASSERT_EQ(green().number("SELECT count(*) FROM app.orders"), 0);
  green().exec("INSERT INTO app.orders (customer, amount) VALUES (1, 7)");
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("is not empty and not copied by teal"));
  EXPECT_EQ(green().number("SELECT count(*) FROM app.orders"), 1);
}

TEST_F(SchemaRestore, KilledBetweenTablesAndRowsTheNextRunGoesOn) {
  TealProcess& teal = run({}, {.environment = {"TEAL_FAILPOINT=copy_snapshot_made"}});
  EXPECT_EQ(teal.wait_exit(seconds(60)), 128 + SIGKILL) << teal.err();
  EXPECT_EQ(green().number("SELECT count(*) FROM app.orders"), 0);
  const TealResult again = run_until_synced();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  expect_same_schema();
  expect_same_rows();
}

/// A publication that is dropped under a running link.
class DroppedPublication : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
    create_publication({"public.item"});
    configure("copy: { schema: false }\n");
  }
};

TEST_F(DroppedPublication, H2MadeAgainTooLateEndsTheLinkWithAClearMessageAndNoRetries) {
  TealProcess& teal = run_streaming();
  blue_owner().exec("DROP PUBLICATION teal_shop_blue_to_green; INSERT INTO item (name) VALUES ('unpublished')");
  EXPECT_EQ(teal.wait_exit(seconds(30)), 1) << teal.err();
  EXPECT_THAT(teal.err(), HasSubstr("publication \"teal_shop_blue_to_green\" does not exist"));
  EXPECT_EQ(times_logged("link interrupted"), 1U) << "a retry storm";
  const TealResult checked = command({"check"});
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_THAT(checked.out, HasSubstr("there is no publication teal_shop_blue_to_green"));
  // Made again it is of no use to the slot, which is older: the change in between can't be decoded any more.
  create_publication({"public.item"});
  const TealResult again = command({"run"});
  EXPECT_EQ(again.exit_code, 1) << again.err;
  EXPECT_THAT(again.err, HasSubstr("teal finish"));
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
}

}  // namespace
}  // namespace teal::test
