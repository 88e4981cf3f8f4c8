// What an older green does not have: named by `teal check`, and never taken for something else (TRAPS D3, D9, H1). The
// names make these tests run on every pair of versions; what is expected follows from the pair.
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

class TypesOfAnotherVersion : public CheckFixture {
 protected:
  // Before 15 teal needs a superuser on green.
  void prepare(const std::string& on_blue, const std::string& on_green) {
    blue_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, " + on_blue + ")");
    green_owner().exec("CREATE TABLE public.t (id int PRIMARY KEY, " + on_green + ")");
    create_publication({"public.t"});
    const std::string role = green_major() < 15 ? "postgres" : std::string(kTealRole);
    config_ = write_config({.green = green_server().uri(role, kShopDatabase),
                            .more = "direction: forward\ncopy: { schema: false }\n"})
                  .string();
  }
  /// Blue has what green has not, if `since` is when it came.
  static bool lost(int since) { return blue_major() >= since && green_major() < since; }
};

TEST_F(TypesOfAnotherVersion, D3CharAbove127IsRefusedWhereItWouldBecomeABackslash) {
  prepare("v \"char\", a \"char\"[]", "v \"char\", a \"char\"[]");
  const nlohmann::json found = findings();
  if (!lost(16)) {
    EXPECT_TRUE(found.empty()) << found.dump(2);
    return;
  }
  ASSERT_EQ(found.size(), 2U) << found.dump(2);
  EXPECT_THAT(what(found[0]), HasSubstr("public.t.v is \"char\": PostgreSQL " + std::to_string(green_major()) +
                                        " on green: values above 127 arrive there as a backslash"));
  EXPECT_THAT(mend(found[0]), HasSubstr("ALTER TABLE \"public\".\"t\" ALTER COLUMN \"v\" TYPE text;"));
  expect_run_refuses(found);
  for (Sql* side : {&blue_owner(), &green_owner()}) {
    side->exec("ALTER TABLE public.t ALTER COLUMN v TYPE text, ALTER COLUMN a TYPE text");
  }
  EXPECT_TRUE(findings().empty());
}

TEST_F(TypesOfAnotherVersion, D3InfinityThatGreenLacksIsANote) {
  prepare("n numeric, p numeric(10,2), i interval", "n numeric, p numeric(10,2), i interval");
  EXPECT_TRUE(findings().empty());
  const std::string said = notes();
  const auto numeric = HasSubstr("public.t.n hold numeric, whose 'Infinity' does not exist there and stops the link");
  const auto interval = HasSubstr("public.t.i hold interval, whose 'infinity' does not exist there and stops the link");
  if (lost(14)) {
    EXPECT_THAT(said, numeric);
  } else {
    EXPECT_THAT(said, Not(numeric));
  }
  if (lost(17)) {
    EXPECT_THAT(said, interval);
    EXPECT_THAT(said, HasSubstr("ALTER TABLE \"public\".\"t\" ADD CHECK (isfinite(\"i\"));"));
  } else {
    EXPECT_THAT(said, Not(interval));
  }
}

TEST_F(TypesOfAnotherVersion, D3InfinityArrivesOrStopsTheLinkByName) {
  prepare("n numeric, i interval", "n numeric, i interval");
  const bool stops = lost(14) || lost(17);
  TealProcess& teal = run_streaming();
  blue_owner().exec("INSERT INTO t VALUES (1, 'NaN', '1 day')");
  wait_caught_up();
  blue_owner().exec("INSERT INTO t VALUES (2, " + std::string(blue_major() >= 14 ? "'-Infinity'" : "0") + ", " +
                    (blue_major() >= 17 ? "'infinity'" : "'1 day'") + ")");
  if (stops) {
    EXPECT_EQ(teal.wait_exit(seconds(30)), 5) << teal.err();
    EXPECT_THAT(teal.err(), HasSubstr("INSERT on public.t key (\"id\")=(2)"));
    EXPECT_THAT(teal.err(), HasSubstr(lost(14) ? "invalid input syntax for type" : "type interval"));
    EXPECT_EQ(green().number("SELECT count(*) FROM t"), 1);
    return;
  }
  wait_caught_up();
  expect_equal("public.t");
  EXPECT_EQ(teal.terminate(), 0) << teal.err();
}

TEST_F(TypesOfAnotherVersion, D9TypesAndScalesThatGreensVersionLacksAreRefused) {
  const std::string scale = blue_major() >= 15 ? "numeric(3,-2)" : "numeric";
  const std::string range = blue_major() >= 14 ? "int4multirange" : "int4range";
  prepare("s " + scale + ", r " + range,
          "s " + std::string(lost(15) ? "numeric" : scale) + ", r " + std::string(lost(14) ? "text" : range));
  const std::string version = std::to_string(green_major());
  std::string said;
  for (const nlohmann::json& finding : findings()) said += what(finding) + "\n" + mend(finding) + "\n";
  if (lost(15)) {
    EXPECT_THAT(said,
                HasSubstr("public.t.s is numeric(3,-2), a scale that PostgreSQL " + version + " on green does not"));
  }
  if (lost(14)) {
    EXPECT_THAT(said, HasSubstr("PostgreSQL " + version + " on green has no type int4multirange (used by public.t.r)"));
  }
  if (!lost(14) && !lost(15)) {
    EXPECT_EQ(said, "");
  }
}

TEST_F(TypesOfAnotherVersion, H1BlueWhoseDecodingMayLoseChangesIsANote) {
  prepare("v int", "v int");
  const std::string said = notes();
  if (blue_major() == 13) {
    EXPECT_THAT(said, HasSubstr("blue is PostgreSQL 13."));
    EXPECT_THAT(said, HasSubstr("may lose changes of transactions that are open on a table while it is published"));
  } else {  // the tests' servers of other majors have the mend
    EXPECT_THAT(said, Not(HasSubstr("may lose changes")));
  }
}

}  // namespace
}  // namespace teal::test
