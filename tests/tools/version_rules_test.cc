#include "tools/version_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace teal {
namespace {

std::string types_of(int source_major, int target_major) {
  std::string types;
  for (const VersionRule& rule : version_rules(source_major, target_major)) types += std::string(rule.type) + " ";
  return types;
}

int numeric(int precision, int scale) { return ((precision << 16) | (scale & 0x7FF)) + 4; }

TEST(VersionRules, D3NumericInfinityDoesNotGoFrom14To13) {
  EXPECT_EQ(types_of(15, 13), "numeric ");
  EXPECT_EQ(types_of(14, 13), "numeric ");
}

TEST(VersionRules, D3IntervalInfinityDoesNotGoFrom17ToOlderOnes) {
  EXPECT_EQ(types_of(17, 16), "interval ");
  EXPECT_EQ(types_of(17, 15), "char interval ");
  EXPECT_EQ(types_of(18, 13), "char interval numeric ");
}

TEST(VersionRules, OnlyTheCharIsReadOtherwiseWithoutAnError) {
  for (const VersionRule& rule : version_rules(18, 13)) EXPECT_EQ(rule.silent, rule.type == "char") << rule.type;
}

TEST(VersionRules, NothingIsLostOnTheWayToANewerOne) {
  for (int source = 13; source <= 18; ++source) {
    for (int target = source; target <= 18; ++target) EXPECT_EQ(types_of(source, target), "");
  }
}

TEST(VersionRules, D3ScaleThatIsNegativeOrLargerThanThePrecisionNeeds15) {
  EXPECT_TRUE(scale_needs_15(numeric(3, -2)));
  EXPECT_TRUE(scale_needs_15(numeric(3, 5)));
  EXPECT_FALSE(scale_needs_15(numeric(3, 3)));
  EXPECT_FALSE(scale_needs_15(numeric(10, 0)));
  EXPECT_FALSE(scale_needs_15(-1));
}

TEST(VersionRules, H1MinorsThatMayLoseChangesAreToldWhatToUpgradeTo) {
  EXPECT_NE(decoding_flaw(150012).find("upgrade it to 15.13 or newer"), std::string::npos);
  EXPECT_NE(decoding_flaw(140017).find("14.18"), std::string::npos);
  EXPECT_NE(decoding_flaw(160008).find("16.9"), std::string::npos);
  EXPECT_NE(decoding_flaw(170000).find("17.5"), std::string::npos);
  EXPECT_NE(decoding_flaw(130022).find("no minor version of 13"), std::string::npos);
  for (const int fixed : {140018, 150013, 150020, 160009, 170005, 180000}) EXPECT_EQ(decoding_flaw(fixed), "") << fixed;
}

}  // namespace
}  // namespace teal
