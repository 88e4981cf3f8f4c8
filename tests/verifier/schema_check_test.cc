#include "verifier/schema_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace teal {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using Items = std::vector<SchemaItem>;

SchemaItem item(SchemaKind kind, const std::string& name, const std::string& definition = "",
                const std::string& state = "", const std::string& fault = "") {
  return {kind, name, definition, state, fault};
}

std::vector<VerifyFinding> compare(const Items& blue, const Items& green, bool one_version = true) {
  return compare_schema("public.item", blue, green, one_version);
}

TEST(SchemaCheck, RulesAreTheSameUnderAnyNameAndEachOnlyOnce) {
  const Items blue{item(SchemaKind::kUnique, "a_key", "UNIQUE (a)"),
                   item(SchemaKind::kUnique, "a_again", "UNIQUE (a)")};
  EXPECT_THAT(
      compare(blue, {item(SchemaKind::kUnique, "x", "UNIQUE (a)"), item(SchemaKind::kUnique, "y", "UNIQUE (a)")}),
      IsEmpty());
  EXPECT_THAT(compare(blue, {item(SchemaKind::kUnique, "x", "UNIQUE (a)")}), SizeIs(1));
}

TEST(SchemaCheck, WhatOneSideLacksMattersAndAnIndexIsANote) {
  const auto found = compare({item(SchemaKind::kConstraint, "positive", "CHECK ((a > 0))")}, {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].weight, FindingWeight::kMatters);
  EXPECT_EQ(found[0].side, "green");
  EXPECT_THAT(found[0].text, HasSubstr("constraint positive: CHECK ((a > 0)) is on blue and not on green"));
  EXPECT_EQ(compare({}, {item(SchemaKind::kIndex, "i", "(a)")}).at(0).weight, FindingWeight::kNote);
}

TEST(SchemaCheck, VersionsMaySpellOneDefinitionInTwoWays) {
  const Items blue{item(SchemaKind::kDefault, "a", "timezone('utc'::text, now())"),
                   item(SchemaKind::kConstraint, "c", "CHECK (((a > 0) AND (b > 0)))")};
  const Items green{item(SchemaKind::kDefault, "a", "(now() AT TIME ZONE 'utc'::text)"),
                    item(SchemaKind::kConstraint, "c", "CHECK ((a > 0 AND b > 0))")};
  Items columns{item(SchemaKind::kColumn, "a", "timestamp")};
  Items here = columns;
  Items there = columns;
  here.insert(here.end(), blue.begin(), blue.end());
  there.insert(there.end(), green.begin(), green.end());
  const auto found = compare(here, there, false);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].weight, FindingWeight::kNote);
  EXPECT_THAT(found[0].text, HasSubstr("may only spell it differently"));
  EXPECT_THAT(compare(here, there, true), SizeIs(2)) << "one version spells alike what is alike";
}

TEST(SchemaCheck, WhatHangsOnAColumnOfOneSideIsNotSaidAgain) {
  EXPECT_THAT(compare({item(SchemaKind::kColumn, "more", "int"), item(SchemaKind::kNotNull, "more", "NOT NULL"),
                       item(SchemaKind::kDefault, "more", "5")},
                      {}),
              IsEmpty());
}

TEST(SchemaCheck, FaultsAreNamedOnTheirSide) {
  const auto found = compare({item(SchemaKind::kUnique, "k", "UNIQUE (a)")},
                             {item(SchemaKind::kUnique, "k", "UNIQUE (a)", "", "is not valid")});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].side, "green");
  EXPECT_EQ(found[0].weight, FindingWeight::kMatters);
}

}  // namespace
}  // namespace teal
