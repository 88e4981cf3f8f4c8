#include "engine/pg_error.h"

#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace teal {
namespace {

struct Expected {
  ErrorClass error_class;
  const char* sqlstates;  ///< with blanks between them
};

// Every error of errcodes.txt, of the versions up to 18, and what becomes of it.
const Expected kAll[] = {
    {ErrorClass::kRetry, "40000 40001 40P01 55P03 57000 57014 "},
    {ErrorClass::kReconnect,
     "08000 08001 08003 08004 08006 08007 08P01 25006 25P03 25P04 40003 53000 53100 53200 53300 53400 "
     "55006 57P01 57P02 57P03 57P04 57P05 58000 58030 "},
    {ErrorClass::kLogin, "28000 28P01 3D000 "},
    {ErrorClass::kRights, "42501 "},
    {ErrorClass::kStop,
     "03000 09000 0A000 0B000 0F000 0F001 0L000 0LP01 0P000 0Z000 0Z002 20000 21000 22000 22001 22002 "
     "22003 22004 22005 22007 22008 22009 2200B 2200C 2200D 2200F 2200G 2200H 2200L 2200M 2200N 2200S "
     "2200T 22010 22011 22012 22013 22014 22015 22016 22018 22019 2201B 2201E 2201F 2201G 2201W 2201X "
     "22021 22022 22023 22024 22025 22026 22027 2202E 2202G 2202H 22030 22031 22032 22033 22034 22035 "
     "22036 22037 22038 22039 2203A 2203B 2203C 2203D 2203E 2203F 2203G 22P01 22P02 22P03 22P04 22P05 "
     "22P06 22P07 23000 23001 23502 23503 23505 23514 23P01 24000 25000 25001 25002 25003 25004 25005 "
     "25007 25008 25P01 25P02 26000 27000 2B000 2BP01 2D000 2F000 2F002 2F003 2F004 2F005 34000 38000 "
     "38001 38002 38003 38004 39000 39001 39004 39P01 39P02 39P03 3B000 3B001 3F000 40002 42000 42601 "
     "42602 42611 42622 42701 42702 42703 42704 42710 42712 42723 42725 42803 42804 42809 42830 42846 "
     "42883 428C9 42939 42P01 42P02 42P03 42P04 42P05 42P06 42P07 42P08 42P09 42P10 42P11 42P12 42P13 "
     "42P14 42P15 42P16 42P17 42P18 42P19 42P20 42P21 42P22 44000 54000 54001 54011 54023 55000 55P02 "
     "55P04 58P01 58P02 58P03 72000 F0000 F0001 HV000 HV001 HV002 HV004 HV005 HV006 HV007 HV008 HV009 "
     "HV00A HV00B HV00C HV00D HV00J HV00K HV00L HV00M HV00N HV00P HV00Q HV00R HV010 HV014 HV021 HV024 "
     "HV090 HV091 P0000 P0001 P0002 P0003 P0004 XX000 XX001 XX002 "}};

std::vector<std::string> words(const char* text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST(SqlstateTable, DecidesForEachErrorThatPostgresqlHas) {
  std::set<std::string> seen;
  for (const Expected& expected : kAll) {
    for (const std::string& sqlstate : words(expected.sqlstates)) {
      EXPECT_EQ(classify(sqlstate), expected.error_class) << sqlstate;
      EXPECT_TRUE(seen.insert(sqlstate).second) << sqlstate << " stands here twice";
    }
  }
  EXPECT_EQ(seen.size(), 252U);
}

TEST(SqlstateTable, HasNoLineThatNothingComesTo) {
  std::set<std::string_view> used;
  for (const Expected& expected : kAll) {
    for (const std::string& sqlstate : words(expected.sqlstates)) {
      for (const SqlstateRule& rule : sqlstate_rules()) {
        if (!sqlstate.starts_with(rule.prefix)) continue;
        used.insert(rule.prefix);
        break;
      }
    }
  }
  for (const SqlstateRule& rule : sqlstate_rules()) {
    EXPECT_TRUE(used.contains(rule.prefix)) << rule.prefix << " is hidden by a line above it";
    EXPECT_FALSE(rule.reason.empty()) << rule.prefix;
    EXPECT_TRUE(rule.prefix.size() == 5 || rule.prefix.size() == 2 || rule.prefix == "57P") << rule.prefix;
  }
}

TEST(SqlstateTable, LostConnectionIsMadeAnewAndAnUnknownErrorStops) {
  EXPECT_EQ(classify(""), ErrorClass::kReconnect) << "libpq's own: the server said nothing";
  EXPECT_EQ(classify("ZZ999"), ErrorClass::kStop);
  EXPECT_EQ(classify("4"), ErrorClass::kStop);
}

TEST(SqlstateTable, M10ReadOnlyServerIsWaitedFor) { EXPECT_EQ(classify("25006"), ErrorClass::kReconnect); }

TEST(PgError, SaysWhatWasTriedAndWhatTheServerAnswered) {
  const PgError error("create the slot", "all replication slots are in use", "53400");
  EXPECT_STREQ(error.what(), "create the slot: all replication slots are in use (SQLSTATE 53400)");
  EXPECT_EQ(error.error_class(), ErrorClass::kReconnect);
  EXPECT_FALSE(error.needs_somebody());
  EXPECT_TRUE(PgError("copy", "denied", "42501").needs_somebody());
  EXPECT_TRUE(PgError("copy", "out of range", "22003").needs_somebody());
}

}  // namespace
}  // namespace teal
