#include "engine/type_fit.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

constexpr std::uint32_t kVarchar = 1043;
constexpr std::uint32_t kNumeric = 1700;
constexpr std::uint32_t kBpchar = 1042;

TEST(ModifierFits, EqualAndNoneAlwaysDo) {
  EXPECT_TRUE(modifier_fits(kBpchar, 14, 14));
  EXPECT_TRUE(modifier_fits(kBpchar, 14, -1));
  EXPECT_FALSE(modifier_fits(kVarchar, -1, 14));
}

TEST(ModifierFits, LongerTextDoesShorterDoesNot) {
  EXPECT_TRUE(modifier_fits(kVarchar, 14, 24));
  EXPECT_FALSE(modifier_fits(kVarchar, 24, 14));
  EXPECT_FALSE(modifier_fits(kBpchar, 14, 24));  // padded: other text
}

TEST(ModifierFits, NumericNeedsRoomOnBothSidesOfThePoint) {
  EXPECT_TRUE(modifier_fits(kNumeric, numeric_modifier(10, 2), numeric_modifier(14, 6)));
  EXPECT_FALSE(modifier_fits(kNumeric, numeric_modifier(10, 2), numeric_modifier(10, 4)));
  EXPECT_FALSE(modifier_fits(kNumeric, numeric_modifier(14, 6), numeric_modifier(20, 2)));
  EXPECT_TRUE(modifier_fits(kNumeric, numeric_modifier(5, -2), numeric_modifier(7, 0)));
  EXPECT_FALSE(modifier_fits(kNumeric, numeric_modifier(5, -2), numeric_modifier(6, 0)));
}

}  // namespace
}  // namespace teal
