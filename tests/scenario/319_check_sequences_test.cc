// Keys that both sides would draw: what `check` says of them, and what it asks the owner for (TRAPS J6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/scenario/check_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kInterleave = "sequences: { interleave: true }\n";
constexpr const char* kItem = "CREATE TABLE item (id serial PRIMARY KEY, side text)";

class CheckSequences : public CheckFixture {
 protected:
  void configure_both(const std::string& more) {
    config_ = write_config({.more = "direction: both\nwriters: both\ncopy: { schema: false }\n" + more}).string();
  }
  void start(const std::string& sql, const std::string& more = kInterleave) {
    create_tables_both(sql);
    blue_owner().exec("CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE item");
    green_owner().exec("CREATE PUBLICATION teal_shop_green_to_blue FOR TABLE item");
    configure_both("tables: { include: [public.item] }\n" + more);
  }
};

TEST_F(CheckSequences, OwnerIsAskedForWhatTealMayNotAlter) {
  start(kItem);
  blue_owner().exec("INSERT INTO item (side) VALUES ('a'), ('b')");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 2U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("teal may not alter 1 sequence of shop_owner"));
  EXPECT_THAT(mend(found[0]), HasSubstr("GRANT \"shop_owner\" TO \"teal\""));
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr(mend(found[0])));
  for (const nlohmann::json& one : found) {
    Sql& owner = one.at("side") == "blue" ? blue_owner() : green_owner();
    owner.exec(mend(one));
  }
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), Not(HasSubstr("sequence of its own")));
  run().wait_for_log("link streaming link=green_to_blue", seconds(60));
  EXPECT_EQ(times_logged("sequences interleaved"), 0U);
  EXPECT_EQ(blue().number("SELECT nextval('item_id_seq') % 2"), 1);
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq') % 2"), 0);
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_EQ(blue().number("SELECT count(*) FROM teal.sequence_state"), 0);
}

TEST_F(CheckSequences, OwnersHalfIsTakenAsItIsAndTealDoesTheOther) {
  start(kItem);
  green().exec("GRANT shop_owner TO teal");
  blue_owner().exec("INSERT INTO item (side) VALUES ('a')");
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_EQ(found[0].at("side"), "blue");
  blue_owner().exec(mend(found[0]));
  EXPECT_TRUE(findings().empty());
  run().wait_for_log("link streaming link=green_to_blue", seconds(60));
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq') % 2"), 0);
}

TEST_F(CheckSequences, OwnersHalfIsNotTakenForTheIncrementOfTablesThatTealMakes) {
  run_roles_sql(green_server(), {"make_tables=on"});
  blue_owner().exec(std::string("SET search_path = public; ") + kItem);
  blue_owner().exec("INSERT INTO item (side) VALUES ('a'); CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE item");
  config_ = write_config({.more = std::string("direction: both\n") + kInterleave}).string();
  const nlohmann::json found = findings();
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  blue_owner().exec(mend(found[0]));
  EXPECT_TRUE(findings().empty());
  run().wait_for_log("link streaming link=green_to_blue", seconds(60));
  EXPECT_EQ(blue().number("SELECT nextval('item_id_seq') % 2"), 1);
  EXPECT_EQ(green().number("SELECT nextval('item_id_seq') % 2"), 0);
  EXPECT_EQ(teal_->terminate(), 0);
  EXPECT_TRUE(findings().empty());
}

TEST_F(CheckSequences, OnesThatCannotBeInterleavedAreFound) {
  start("CREATE TABLE item (id int PRIMARY KEY, a smallserial, b serial, c int)");
  for (Sql* owner : {&blue(), &green()}) owner->exec("GRANT shop_owner TO teal");
  EXPECT_TRUE(findings().empty());
  blue_owner().exec("SELECT setval('item_a_seq', 32000)");
  EXPECT_THAT(findings().dump(), HasSubstr("public.item.a is too near its end"));
  blue_owner().exec("SELECT setval('item_a_seq', 1)");
  green_owner().exec("ALTER SEQUENCE item_b_seq CYCLE");
  EXPECT_THAT(findings().dump(), HasSubstr("public.item.b cycles"));
  mend_all(1);
  green_owner().exec("ALTER SEQUENCE item_b_seq INCREMENT BY 3");
  EXPECT_THAT(findings().dump(), HasSubstr("has INCREMENT BY 1 on blue and 3 on green"));
  mend_all(1);
  // A bigint sequence may not lead out of its int column.
  for (Sql* owner : {&blue_owner(), &green_owner()}) {
    owner->exec("CREATE SEQUENCE wide; ALTER TABLE item ALTER COLUMN c SET DEFAULT nextval('wide')");
  }
  blue_owner().exec("SELECT setval('wide', 2147483000)");
  EXPECT_THAT(findings().dump(), HasSubstr("public.item.c is too near its end"));
  blue_owner().exec("SELECT setval('wide', 1)");
  blue_owner().exec("ALTER TABLE item ALTER COLUMN b SET DEFAULT nextval('wide')");
  EXPECT_THAT(findings().dump(), HasSubstr("share their sequences differently"));
}

TEST_F(CheckSequences, NoteIsGivenOnlyWhereBothWouldDrawTheSame) {
  start(kItem, "");
  EXPECT_TRUE(findings().empty());
  EXPECT_THAT(notes(), HasSubstr("each side has a sequence of its own for public.item.id"));
  EXPECT_THAT(notes(), HasSubstr("sequences: { interleave: true }"));
  for (Sql* owner : {&blue_owner(), &green_owner()}) owner->exec("ALTER SEQUENCE item_id_seq INCREMENT BY 2");
  EXPECT_THAT(notes(), HasSubstr("sequence of its own"));
  green_owner().exec("ALTER SEQUENCE item_id_seq RESTART WITH 2");
  EXPECT_THAT(notes(), Not(HasSubstr("sequence of its own")));
  green_owner().exec("ALTER SEQUENCE item_id_seq INCREMENT BY 1 MINVALUE 1000 START 1000 RESTART");
  EXPECT_THAT(notes(), HasSubstr("sequence of its own"));
  blue_owner().exec("ALTER SEQUENCE item_id_seq MAXVALUE 999");
  EXPECT_THAT(notes(), Not(HasSubstr("sequence of its own")));
}

}  // namespace
}  // namespace teal::test
