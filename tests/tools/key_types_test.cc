#include "tools/key_types.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

constexpr std::uint32_t kInterval = 1186;
constexpr std::uint32_t kNumeric = 1700;
constexpr std::uint32_t kText = 25;
constexpr std::uint32_t kOwnType = 20000;

CatalogColumn column_of(std::uint32_t type) {
  CatalogColumn column;
  column.type_oid = type;
  return column;
}

TypeDefinition made_of(TypeKind kind, const TypePart& part) {
  TypeDefinition type;
  type.oid = kOwnType;
  type.name = {"public", "own"};
  type.kind = kind;
  type.parts = {part};
  return type;
}

TypePart part_of(std::uint32_t type, int modifier = -1) {
  TypePart part;
  part.type_oid = type;
  part.type_modifier = modifier;
  return part;
}

std::string why(TypeKind kind, const TypePart& part) {
  return why_keys_differ(column_of(kOwnType), {{kOwnType, made_of(kind, part)}});
}

TEST(KeyTypes, NumberIsComparedByItsValueInAColumnOfItsOwnOnly) {
  EXPECT_EQ(why_keys_differ(column_of(kNumeric), {}), "");
  EXPECT_NE(why(TypeKind::kDomain, part_of(kNumeric)), "");
  EXPECT_NE(why(TypeKind::kArray, part_of(kNumeric)), "");
  EXPECT_NE(why(TypeKind::kRange, part_of(kNumeric)), "");
  EXPECT_EQ(why(TypeKind::kDomain, part_of(kNumeric, 655366)), "") << "a scale leaves one form";
}

TEST(KeyTypes, IntervalIsRefusedAtAnyDepth) {
  EXPECT_NE(why_keys_differ(column_of(kInterval), {}), "");
  EXPECT_NE(why(TypeKind::kComposite, part_of(kInterval)), "");
}

TEST(KeyTypes, CollationThatIsNotDeterministicIsFoundInColumnAndPart) {
  CatalogColumn column = column_of(kText);
  EXPECT_EQ(why_keys_differ(column, {}), "");
  column.deterministic = false;
  EXPECT_NE(why_keys_differ(column, {}), "");
  TypePart part = part_of(kText);
  EXPECT_EQ(why(TypeKind::kComposite, part), "");
  part.deterministic = false;
  EXPECT_NE(why(TypeKind::kComposite, part), "");
}

TEST(KeyTypes, EqualityOfTypesThatUsersMakeIsNotKnown) {
  TypeDefinition type;
  type.oid = kOwnType;
  type.name = {"public", "citext"};
  EXPECT_NE(why_keys_differ(column_of(kOwnType), {{kOwnType, type}}), "");
  type.kind = TypeKind::kEnum;
  EXPECT_EQ(why_keys_differ(column_of(kOwnType), {{kOwnType, type}}), "");
}

TEST(KeyTypes, DomainOverAnIntegerIsAnInteger) {
  constexpr std::uint32_t kBigint = 20;
  EXPECT_TRUE(is_integer(kBigint, {}));
  EXPECT_TRUE(is_integer(kOwnType, {{kOwnType, made_of(TypeKind::kDomain, part_of(kBigint))}}));
  EXPECT_FALSE(is_integer(kOwnType, {{kOwnType, made_of(TypeKind::kArray, part_of(kBigint))}}));
  EXPECT_FALSE(is_integer(kNumeric, {}));
}

}  // namespace
}  // namespace teal
