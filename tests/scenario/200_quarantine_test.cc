// A change that green refuses: the link stops at exactly that one, notes it, and goes on as the operator says.
// Transactions are fed by hand into a real applier on a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

#include "engine/pg_error.h"
#include "tests/scenario/applier_fixture.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using testing::HasSubstr;

const Relation kItem = make_relation(
    RelationId{1}, "public", "item",
    {key("id"), column("name"), column("n", TypeId{1700}), Column{"mood", TypeId{50000}, -1, false, "public", "mood"}});
const Relation kPlain =
    make_relation(RelationId{2}, "public", "plain", {key("a", kText), key("b", kText)}, ReplicaIdentity::kFull);

Bytes ins(const std::string& id, const std::string& name) {
  return P::insert(kItem.id, {text(id), text(name), null(), null()});
}
Bytes upd(const std::string& id, const std::string& name) {
  return P::update(kItem.id, {text(id), text(name), null(), null()});
}

class QuarantineFixture : public ApplierFixture {
 protected:
  void SetUp() override {
    ApplierFixture::SetUp();
    prepare(
        "CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE item (id int PRIMARY KEY, name text, n numeric, mood mood); "
        "CREATE TABLE plain (a text, b text)",
        {"item", "plain"});
  }

  TransactionSlice make(std::uint64_t position, const std::vector<Bytes>& rows) {
    return slice_of(at(position), {kItem, kPlain}, rows);
  }

  /// The text with which the link stops.
  std::string stop_text(Applier& applier) {
    try {
      applier.flush();
    } catch (const Stopped& stopped) {
      EXPECT_EQ(stopped.code(), StopCode::kData) << stopped.what();
      return stopped.what();
    }
    ADD_FAILURE() << "the link did not stop";
    return "";
  }

  std::string quarantined(const std::string& columns) {
    return green().value("SELECT concat_ws('|', " + columns + ") FROM teal.quarantine");
  }
  void say(const std::string& state) { green().exec("UPDATE teal.quarantine SET state = " + sql_text(state)); }

  void expect_ledger(int received, int applied, int quarantined) {
    EXPECT_EQ(counter("received"), std::to_string(received));
    EXPECT_EQ(counter("applied"), std::to_string(applied));
    EXPECT_EQ(counter("quarantined"), std::to_string(quarantined));
  }
};

// ------------------------------------------------------------------------------ one kind of refusal after the other

struct Poison {
  const char* name;
  const char* green_sql;  ///< makes green refuse the change, as a superuser
  const char* mend_sql;   ///< makes green take it
  Bytes change;
  const char* operation;
  const char* key;
  const char* sqlstate;
  bool whole = false;  ///< only the transaction can be told, and it is passed over whole
  int changes = 1;     ///< that the ledger counts for it
};

void PrintTo(const Poison& poison, std::ostream* out) { *out << poison.name; }

constexpr const char* kRefuse =
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 4 THEN RAISE EXCEPTION 'no' "
    "USING "
    "ERRCODE = '23514'; END IF; RETURN NEW; END$$; ";

const std::string kAlways = std::string(kRefuse) +
                            "CREATE TRIGGER loud BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION refuse(); ALTER "
                            "TABLE item ENABLE ALWAYS TRIGGER loud";
const std::string kDeferred = std::string(kRefuse) +
                              "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED FOR "
                              "EACH ROW EXECUTE FUNCTION refuse(); ALTER TABLE item ENABLE ALWAYS TRIGGER late";

std::vector<Poison> poisons() {
  return {
      {"UniqueViolation", "ALTER TABLE item ADD UNIQUE (name); INSERT INTO item VALUES (90, 'taken')",
       "DELETE FROM item WHERE id = 90", ins("4", "taken"), "INSERT", "(\"id\")=(4)", "23505"},
      {"UniqueViolationOfAnUpdate", "ALTER TABLE item ADD UNIQUE (name); INSERT INTO item VALUES (90, 'taken')",
       "DELETE FROM item WHERE id = 90", upd("2", "taken"), "UPDATE", "(\"id\")=(2)", "23505"},
      {"CheckViolation", "ALTER TABLE item ADD CONSTRAINT short CHECK (length(name) < 5)",
       "ALTER TABLE item DROP CONSTRAINT short", ins("4", "far too long"), "INSERT", "(\"id\")=(4)", "23514"},
      {"NullWhereNoneMayBe", "ALTER TABLE item ALTER name SET NOT NULL", "ALTER TABLE item ALTER name DROP NOT NULL",
       P::insert(kItem.id, {text("4"), null(), null(), null()}), "INSERT", "(\"id\")=(4)", "23502"},
      {"ValueOutOfRange", "ALTER TABLE item ADD small smallint GENERATED ALWAYS AS (n::smallint) STORED",
       "ALTER TABLE item DROP small", P::insert(kItem.id, {text("4"), text("d"), text("70000"), null()}), "INSERT",
       "(\"id\")=(4)", "22003"},
      {"TextThatTheTypeRefuses", "", "ALTER TYPE mood ADD VALUE 'sad'",
       P::insert(kItem.id, {text("4"), text("d"), null(), text("sad")}), "INSERT", "(\"id\")=(4)", "22P02"},
      {"ExclusionViolation",
       "ALTER TABLE item ADD EXCLUDE USING btree (name WITH =); INSERT INTO item VALUES (90, 'taken')",
       "DELETE FROM item WHERE id = 90", ins("4", "taken"), "INSERT", "(\"id\")=(4)", "23P01"},
      {"TriggerThatRaises", kAlways.c_str(), "DROP TRIGGER loud ON item", ins("4", "d"), "INSERT", "(\"id\")=(4)",
       "23514"},
      {"UpdateOfAMissingRow", "", "INSERT INTO item VALUES (42, 'z')", upd("42", "y"), "UPDATE", "(\"id\")=(42)", ""},
      {"DeleteOfAMissingRow", "", "INSERT INTO item VALUES (42, 'z')",
       P::delete_key(kItem.id, {text("42"), null(), null(), null()}), "DELETE", "(\"id\")=(42)", ""},
      {"KeyChangeOfAMissingRow", "", "INSERT INTO item VALUES (42, 'z')",
       P::update_key(kItem.id, {text("42"), null(), null(), null()}, {text("43"), text("y"), null(), null()}), "UPDATE",
       "(\"id\")=(42)", ""},
      {"MissingRowOfATableWithoutAKey", "", "INSERT INTO plain VALUES ('p', 'q')",
       P::delete_full(kPlain.id, {text("p"), text("q")}), "DELETE", "", ""},
      {"TruncateThatAForeignKeyRefuses", "CREATE TABLE beside (id int REFERENCES item)", "DROP TABLE beside",
       P::truncate({kItem.id, kPlain.id}), "TRUNCATE", "", "0A000", false, 2},
      {"RuleThatIsCheckedAtTheEnd", kDeferred.c_str(), "DROP TRIGGER late ON item", ins("4", "d"), "transaction", "",
       "23514", true, 3},
  };
}

class F11Quarantine : public QuarantineFixture, public testing::WithParamInterface<Poison> {
 protected:
  void SetUp() override {
    QuarantineFixture::SetUp();
    if (*GetParam().green_sql != '\0') green().exec(GetParam().green_sql);
  }
  std::vector<Bytes> second() { return {ins("3", "c"), GetParam().change, ins("5", "e")}; }
  void give_all(Applier& applier) {
    give(applier, make(1, {ins("1", "a"), ins("2", "b")}));
    give(applier, make(2, second()));
    give(applier, make(3, {ins("6", "f")}));
  }
  std::string rows() { return green().value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM item WHERE id < 40"); }
};

TEST_P(F11Quarantine, StopsAtExactlyThatChangeAndGoesOnWithoutItWhenToldTo) {
  const Poison& poison = GetParam();
  const Lsn lsn = poison.whole ? Lsn{0x2000} : make(2, second()).changes[1].lsn;
  {
    auto applier = open_applier();
    give_all(*applier);
    EXPECT_THAT(stop_text(*applier), HasSubstr(std::string(poison.key)));
  }
  EXPECT_EQ(rows(), "1 2") << "transaction 1 is whole, nothing of 2 is there";
  EXPECT_EQ(applied(), "0/1100");
  EXPECT_EQ(quarantined("state, operation, key, sqlstate, commit_lsn, position, lsn, xid, times"),
            std::string("stopped|") + poison.operation + "|" + poison.key + "|" + poison.sqlstate + "|0/2000|" +
                (poison.whole ? "0|" : "2|") + to_string(lsn) + "|2|1");
  say("skip");
  auto applier = open_applier();
  give_all(*applier);
  applier->flush();
  EXPECT_EQ(rows(), poison.whole ? "1 2 6" : "1 2 3 5 6");
  EXPECT_EQ(applied(), "0/3100");
  EXPECT_EQ(quarantined("state, times"), "skipped|1");
  EXPECT_EQ(counter("quarantined"), std::to_string(poison.changes));
  EXPECT_EQ(counter("already_applied"), "2");
}

TEST_P(F11Quarantine, GoesThroughWhenTheTargetWasMended) {
  const Poison& poison = GetParam();
  {
    auto applier = open_applier();
    give_all(*applier);
    stop_text(*applier);
  }
  say("retry");
  {
    auto applier = open_applier();
    give_all(*applier);
    stop_text(*applier);
  }
  EXPECT_EQ(quarantined("state, times"), "stopped|2") << "the same stop again is the same row";
  green().exec(poison.mend_sql);
  auto applier = open_applier();
  give_all(*applier);
  applier->flush();
  EXPECT_EQ(applied(), "0/3100");
  EXPECT_EQ(quarantined("state, times"), "resolved|2");
  EXPECT_EQ(counter("quarantined"), "0");
}

INSTANTIATE_TEST_SUITE_P(Kinds, F11Quarantine, testing::ValuesIn(poisons()),
                         [](const auto& param) { return std::string(param.param.name); });

// ----------------------------------------------------------------------------------------------- what else must hold

class QuarantineRules : public QuarantineFixture {
 protected:
  ApplierOptions small() {
    ApplierOptions options;
    options.batch_rows_max = 2;
    return options;
  }
  void give_large(Applier& applier, const std::vector<Bytes>& rows) {
    TransactionAssembler assembler(AssemblerOptions{"teal_shop_", 1});
    std::vector<Bytes> body{P::type(TypeId{50000}, "public", "mood"), P::relation(kItem)};
    body.insert(body.end(), rows.begin(), rows.end());
    for (TransactionSlice& slice : feed(assembler, transaction(at(2), body))) give(applier, std::move(slice));
  }
};

TEST_F(QuarantineRules, MissingRowThatComesFirstIsTheOneThatIsNamed) {
  green().exec("INSERT INTO item VALUES (7, 'here already')");
  auto applier = open_applier();
  give(*applier, make(1, {ins("1", "a"), upd("42", "z"), ins("7", "dup")}));
  EXPECT_THAT(stop_text(*applier), HasSubstr("(\"id\")=(42)"));
  EXPECT_EQ(quarantined("position, sqlstate"), "2|");
}

TEST_F(QuarantineRules, KeyThatCameInBinaryFormIsNamedAsTheServerSpellsIt) {
  const Relation stay =
      make_relation(RelationId{3}, "public", "stay", {key("room"), key("day", TypeId{1082}), column("name")});
  green_owner().exec("CREATE TABLE public.stay (room int, day date, name text, PRIMARY KEY (room, day))");
  mark_copied("stay");
  ApplierOptions options;
  options.binary = {true, 15};
  auto applier = open_applier(options);
  const std::string_view room("\0\0\0\x2a", 4);
  const std::string_view day("\0\0\0\x01", 4);
  give(*applier, slice_of(at(1), {stay}, {P::update(stay.id, {binary(room), binary(day), binary("x")})}));
  EXPECT_THAT(stop_text(*applier), HasSubstr("key (\"room\", \"day\")=(42, 2000-01-02)"));
}

TEST_F(QuarantineRules, TransactionThatHasEndedIsNamedAlsoWhenTheNextHasBegun) {
  auto applier = open_applier(small());
  give(*applier, make(1, {upd("42", "z")}));
  careful_->force_until(Lsn{0x9000});
  EXPECT_THROW(give_large(*applier, {ins("1", "a"), ins("2", "b"), ins("3", "c")}), Stopped);
  EXPECT_EQ(quarantined("commit_lsn, position, xid"), "0/1000|1|1");
}

TEST_F(QuarantineRules, ChangeInTheMiddleOfALargeTransactionIsPassedOver) {
  std::vector<Bytes> rows;
  for (int i = 1; i <= 9; ++i) rows.push_back(ins(std::to_string(i), "n"));
  rows.insert(rows.begin() + 6, upd("42", "z"));
  // First it has to be read again, to be applied in source order.
  EXPECT_THROW(give_large(*open_applier(small()), rows), ReplayNeeded);
  EXPECT_THROW(give_large(*open_applier(small()), rows), Stopped);
  EXPECT_EQ(quarantined("operation, key, commit_lsn, position"), "UPDATE|(\"id\")=(42)|0/2000|7");
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
  say("skip");
  careful_ = std::make_shared<CarefulTables>();
  auto applier = open_applier(small());
  give_large(*applier, rows);
  applier->flush();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 9);
  EXPECT_EQ(green().number("SELECT count(DISTINCT xmin::text) FROM item"), 1);
  EXPECT_EQ(quarantined("state"), "skipped");
  expect_ledger(10, 9, 1);
}

TEST_F(QuarantineRules, LaterChangeOfAPassedOverRowIsAStopOfItsOwn) {
  green().exec("ALTER TABLE item ADD CONSTRAINT short CHECK (length(name) < 5)");
  const auto give_both = [&](Applier& applier) {
    give(applier, make(1, {ins("1", "far too long")}));
    give(applier, make(2, {upd("1", "b")}));
  };
  {
    auto applier = open_applier();
    give_both(*applier);
    // Merged into one row, the two are fine.
    applier->flush();
    EXPECT_EQ(content("item", "name"), "1:b");
  }
  green().exec("DELETE FROM item; UPDATE teal.progress SET applied = '0/0', held = '0/0', counters = '{}'");
  {
    auto applier = open_applier();
    give(*applier, make(1, {ins("1", "far too long")}));
    stop_text(*applier);
  }
  say("skip");
  {
    auto applier = open_applier();
    give_both(*applier);
    EXPECT_THAT(stop_text(*applier), HasSubstr("update_missing"));
  }
  EXPECT_EQ(green().value("SELECT string_agg(state || ' ' || commit_lsn, ', ' ORDER BY id) FROM teal.quarantine"),
            "skipped 0/1000, stopped 0/2000");
  expect_ledger(1, 0, 1);
}

TEST_F(QuarantineRules, ChangeThatIsNotTheOneThatWasSeenIsNeverPassedOver) {
  {
    auto applier = open_applier();
    give(*applier, make(1, {upd("42", "z")}));
    stop_text(*applier);
  }
  green().exec("UPDATE teal.quarantine SET state = 'skip', lsn = '0/7'");
  auto applier = open_applier();
  give(*applier, make(1, {upd("42", "z")}));
  EXPECT_THROW(applier->flush(), Stopped);
  EXPECT_EQ(applied(), "0/0");
  EXPECT_EQ(quarantined("state"), "skip");
}

TEST_F(QuarantineRules, SkipAndProgressAreOneTransaction) {
  {
    auto applier = open_applier();
    give(*applier, make(1, {upd("42", "z")}));
    stop_text(*applier);
  }
  say("skip");
  auto applier = open_applier();
  give(*applier, make(1, {upd("42", "z")}));
  applier->flush();
  EXPECT_TRUE(green().truth("SELECT q.xmin = p.xmin FROM teal.quarantine q, teal.progress p"));
}

TEST_F(QuarantineRules, I9SkipWhoseRowIsGoneFromTheListIsNotPassedOver) {
  {
    auto applier = open_applier();
    give(*applier, make(1, {upd("42", "z")}));
    stop_text(*applier);
  }
  say("skip");
  const std::string before = applied();
  auto applier = open_applier();
  green().exec("DELETE FROM teal.quarantine");
  give(*applier, make(1, {upd("42", "z")}));
  EXPECT_THROW(applier->flush(), Stopped);
  applier.reset();
  EXPECT_EQ(applied(), before);
}

// ------------------------------------------------------------------------------------------------------- the ledger

TEST_F(QuarantineRules, I2ChangeThatWasCountedAndDidNotArriveStopsTheLinkWithNothingCommitted) {
  auto applier = open_applier();
  TransactionSlice slice = make(1, {ins("1", "a"), ins("2", "b")});
  slice.changes.pop_back();  // lost between the decoder, which counted it, and here
  give(*applier, std::move(slice));
  try {
    applier->flush();
    FAIL() << "a lost change was not noticed";
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kBug);
    EXPECT_THAT(stopped.what(), HasSubstr("received 2, applied 1,"));
  }
  applier.reset();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
  EXPECT_EQ(applied(), "0/0");
  EXPECT_EQ(green().number("SELECT count(*) FROM teal.quarantine"), 0) << "a bug of teal is no data";
}

TEST_F(QuarantineRules, I2ChangeThatArrivesAndWasNotCountedStopsTheLinkToo) {
  auto applier = open_applier();
  TransactionSlice slice = make(1, {ins("1", "a"), ins("2", "b")});
  slice.counts.received = 1;
  give(*applier, std::move(slice));
  EXPECT_THROW(applier->flush(), Stopped);
  applier.reset();
  EXPECT_EQ(green().number("SELECT count(*) FROM item"), 0);
}

TEST_F(QuarantineRules, I2LossInATransactionThatWasAppliedBeforeIsNoticedToo) {
  {
    auto applier = open_applier();
    give(*applier, make(1, {ins("1", "a"), ins("2", "b")}));
    applier->flush();
  }
  auto applier = open_applier();
  TransactionSlice again = make(1, {ins("1", "a"), ins("2", "b")});
  again.changes.pop_back();
  give(*applier, std::move(again));
  give(*applier, make(2, {ins("3", "c")}));
  EXPECT_THROW(applier->flush(), Stopped);
  applier.reset();
  EXPECT_EQ(content("item", "name"), "1:a 2:b");
}

}  // namespace
}  // namespace teal::test
