// What green does by itself to what teal writes, and what it hides from teal: said before, never silent (TRAPS B9, I5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/scenario/check_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class TargetSessions : public CheckFixture {
 protected:
  void prepare(const std::string& tables_sql = "CREATE TABLE t (id int PRIMARY KEY, v int)") {
    create_tables_both(tables_sql);
    create_publication({"public.t"});
    configure("copy: { schema: false }\ntables: { include: [public.t] }\n");
  }
};

constexpr const char* kAudit = R"(
CREATE TABLE public.audit (id int, by text);
GRANT INSERT ON public.audit TO teal;
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO public.audit VALUES (NEW.id, TG_NAME); RETURN NEW; END';
CREATE TRIGGER "Plain" AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.note();
CREATE TRIGGER "Always" AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.note();
CREATE TRIGGER "Replica" AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.note();
CREATE RULE "A rule" AS ON UPDATE TO public.t DO ALSO INSERT INTO public.audit VALUES (NEW.id, 'rule');
ALTER TABLE public.t ENABLE ALWAYS TRIGGER "Always", ENABLE REPLICA TRIGGER "Replica", ENABLE ALWAYS RULE "A rule")";

TEST_F(TargetSessions, B9TriggersAndRulesThatFireForTealAreNamedWithTheStatementThatEndsIt) {
  prepare();
  green_owner().exec(kAudit);
  EXPECT_TRUE(findings().empty());
  const std::string said = notes();
  for (const char* mend : {"ALTER TABLE \"public\".\"t\" ENABLE TRIGGER \"Always\";",
                           "ALTER TABLE \"public\".\"t\" ENABLE TRIGGER \"Replica\";",
                           "ALTER TABLE \"public\".\"t\" ENABLE RULE \"A rule\";"}) {
    EXPECT_THAT(said, HasSubstr(mend));
  }
  EXPECT_THAT(said, HasSubstr("the trigger Always of public.t fires for what teal writes (it is ENABLE ALWAYS)"));
  EXPECT_THAT(said, HasSubstr("the trigger Replica of public.t fires for what teal writes (it is ENABLE REPLICA)"));
  EXPECT_THAT(said, Not(HasSubstr("Plain")));
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1, 1)");
  wait_caught_up();
  EXPECT_EQ(green().value("SELECT string_agg(by, ' ' ORDER BY by) FROM audit"), "Always Replica");
  EXPECT_EQ(teal.terminate(), 0);
  green_owner().exec(
      "ALTER TABLE public.t ENABLE TRIGGER \"Always\", ENABLE TRIGGER \"Replica\", ENABLE RULE \"A rule\"");
  EXPECT_THAT(notes(), Not(HasSubstr("fires for what teal writes")));
  run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (2, 1); UPDATE t SET v = 2");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM audit"), 2);
  expect_equal("public.t");
}

TEST_F(TargetSessions, B9EventTriggersAreNamed) {
  prepare();
  green().exec(
      "CREATE FUNCTION public.ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
      "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.ddl(); "
      "CREATE EVENT TRIGGER off ON ddl_command_end EXECUTE FUNCTION public.ddl(); ALTER EVENT TRIGGER off DISABLE");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("ALTER EVENT TRIGGER \"watch\" DISABLE;"));
  EXPECT_THAT(notes(), Not(HasSubstr("\"off\"")));
}

TEST_F(TargetSessions, F5ForeignKeysThatLeadOutOfTheSelectionAreNamed) {
  prepare(
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v int REFERENCES parent); "
      "CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t); CREATE TABLE own (id int REFERENCES child)");
  EXPECT_TRUE(findings().empty());
  const std::string said = notes();
  EXPECT_THAT(said,
              HasSubstr("the foreign key t_v_fkey of public.t to public.parent is not checked for what teal writes, "
                        "and public.parent is not carried"));
  EXPECT_THAT(said, HasSubstr("the foreign key child_t_fkey of public.child to public.t is not checked for what teal "
                              "writes, and public.child is not carried"));
  EXPECT_THAT(said, Not(HasSubstr("own_id_fkey")));
}

/// Row level security that comes after the start: teal never works on the rows that are left to see.
class LateRowSecurity : public TargetSessions {
 protected:
  void enable(Sql& owner) {
    owner.exec("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY; CREATE POLICY even ON public.t USING (id % 2 = 0)");
  }
};

TEST_F(LateRowSecurity, I5S11OnGreenHoldsTheLinkUntilItIsMended) {
  prepare();
  blue_owner().exec("INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i");
  TealProcess& teal = run_streaming();
  enable(green_owner());
  blue_owner().exec("UPDATE t SET v = 1; DELETE FROM t WHERE id > 8");
  teal.wait_for_log(
      "link interrupted .*(UPDATE|DELETE) on public.t: query would be affected by row-level security policy .*42501");
  EXPECT_EQ(green().number("SELECT count(*) FROM t WHERE v = 0"), 10);
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(what(found[0]), HasSubstr("row security hides rows of public.t from teal"));
  mend_all();
  wait_caught_up();
  expect_equal("public.t");
}

TEST_F(LateRowSecurity, I5S11OnBlueHidesNothingFromTheStream) {
  prepare();
  blue_owner().exec("INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i");
  run_streaming();
  enable(blue_owner());
  blue_owner().exec("INSERT INTO t SELECT i, 0 FROM generate_series(11, 20) i; UPDATE t SET v = 1");
  wait_caught_up();
  EXPECT_EQ(green().number("SELECT count(*) FROM t WHERE v = 1"), 20);
  expect_equal("public.t");
}

TEST_F(LateRowSecurity, I5S11OnBlueBetweenCheckAndCopyStopsTheCopy) {
  prepare();
  blue_owner().exec("INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i");
  Sql open = blue_server().connect(kOwnerRole, kShopDatabase);
  open.exec("BEGIN; SELECT txid_current()");
  TealProcess& teal = run();
  teal.wait_for_log("slot creation waits for an open transaction");
  enable(blue_owner());
  open.exec("COMMIT");
  EXPECT_NE(teal.wait_exit(seconds(30)), 0);
  EXPECT_THAT(teal.err(), HasSubstr("query would be affected by row-level security policy for table \"t\""));
  EXPECT_EQ(green().number("SELECT count(*) FROM t"), 0);
  mend_all();
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.t");
}

}  // namespace
}  // namespace teal::test
