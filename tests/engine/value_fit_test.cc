#include "engine/value_fit.h"

#include <gtest/gtest.h>

#include "engine/type_fit.h"

namespace teal {
namespace {

constexpr std::uint32_t kInt8 = 20;
constexpr std::uint32_t kInt2 = 21;
constexpr std::uint32_t kInt4 = 23;
constexpr std::uint32_t kText = 25;
constexpr std::uint32_t kFloat4 = 700;
constexpr std::uint32_t kFloat8 = 701;
constexpr std::uint32_t kInt4Array = 1007;
constexpr std::uint32_t kInt8Array = 1016;
constexpr std::uint32_t kBpchar = 1042;
constexpr std::uint32_t kVarchar = 1043;
constexpr std::uint32_t kTimestamp = 1114;
constexpr std::uint32_t kTimestamptz = 1184;
constexpr std::uint32_t kNumeric = 1700;

constexpr std::int32_t kHeader = 4;  // of a length

ValueFit fit(TypeUse source, TypeUse target) { return value_fit({}, source, {}, target); }

TypeDefinition made_of(std::uint32_t oid, const std::string& name, TypeKind kind, std::vector<TypePart> parts) {
  TypeDefinition type;
  type.oid = oid;
  type.name = {"public", name};
  type.kind = kind;
  type.parts = std::move(parts);
  return type;
}

TypesByOid types(std::vector<TypeDefinition> list) {
  TypesByOid all;
  for (TypeDefinition& type : list) all.emplace(type.oid, std::move(type));
  return all;
}

TEST(ValueFit, WholeNumbersFitWiderOnesOnly) {
  EXPECT_EQ(fit({kInt2}, {kInt4}), ValueFit::kYes);
  EXPECT_EQ(fit({kInt4}, {kInt8}), ValueFit::kYes);
  EXPECT_EQ(fit({kInt8}, {kInt4}), ValueFit::kNo);
  EXPECT_EQ(fit({kInt4Array}, {kInt8Array}), ValueFit::kYes);
  EXPECT_EQ(fit({kInt4}, {kInt8Array}), ValueFit::kNo);
  EXPECT_EQ(fit({kInt4}, {kNumeric}), ValueFit::kYes);
  EXPECT_EQ(fit({kInt4}, {kNumeric, numeric_modifier(12, 2)}), ValueFit::kYes);
  EXPECT_EQ(fit({kInt4}, {kNumeric, numeric_modifier(11, 2)}), ValueFit::kNo);
  EXPECT_EQ(fit({kNumeric, numeric_modifier(5, 0)}, {kInt4}), ValueFit::kNo);
  EXPECT_EQ(fit({kInt4}, {kFloat8}), ValueFit::kNo);
}

TEST(ValueFit, TextFitsWhereNothingIsCut) {
  EXPECT_EQ(fit({kVarchar, kHeader + 5}, {kText}), ValueFit::kYes);
  EXPECT_EQ(fit({kText}, {kVarchar}), ValueFit::kYes);
  EXPECT_EQ(fit({kText}, {kVarchar, kHeader + 5}), ValueFit::kNo);
  EXPECT_EQ(fit({kVarchar, kHeader + 5}, {kVarchar, kHeader + 9}), ValueFit::kYes);
  EXPECT_EQ(fit({kInt4}, {kVarchar, kHeader + 20}), ValueFit::kNo);
}

TEST(ValueFit, WhereAlterTableChangesTheValueItGoesThroughTheSourcesType) {
  EXPECT_EQ(fit({kFloat4}, {kFloat8}), ValueFit::kCast);
  EXPECT_EQ(fit({kFloat8}, {kFloat4}), ValueFit::kNo);
  EXPECT_EQ(fit({kBpchar, kHeader + 5}, {kText}), ValueFit::kCast);
  EXPECT_EQ(fit({16}, {kText}), ValueFit::kCast);  // a boolean's output is t, its cast to text true
  EXPECT_EQ(fit({kBpchar, kHeader + 5}, {kVarchar, kHeader + 5}), ValueFit::kNo);
}

TEST(ValueFit, AnotherTypeWhoseInputWouldTakeTheTextDoesNotFit) {
  EXPECT_EQ(fit({kTimestamp}, {kTimestamptz}), ValueFit::kNo);
  EXPECT_EQ(fit({kTimestamp}, {1082}), ValueFit::kNo);  // date drops the time
  EXPECT_EQ(fit({114}, {3802}), ValueFit::kNo);         // jsonb spells what json keeps as it is
}

TEST(ValueFit, DomainsAreJudgedByWhatTheyAreMadeOver) {
  const TypesByOid source = types({made_of(20001, "code", TypeKind::kDomain, {{"", "", kVarchar, kHeader + 9}}),
                                   made_of(20002, "of_code", TypeKind::kDomain, {{"", "", 20001, -1}})});
  const TypesByOid target = types({made_of(30001, "code", TypeKind::kDomain, {{"", "", kVarchar, kHeader + 5}})});
  EXPECT_EQ(value_fit(source, {20002}, target, {kVarchar, kHeader + 9}), ValueFit::kYes);
  EXPECT_EQ(value_fit(source, {20002}, target, {30001}), ValueFit::kNo) << "the same name says nothing";
  EXPECT_EQ(value_fit(source, {kVarchar, kHeader + 5}, target, {30001}), ValueFit::kYes);
  EXPECT_EQ(value_fit(source, {kVarchar, kHeader + 6}, target, {30001}), ValueFit::kNo);
}

TEST(ValueFit, UsersTypesFitByNameAndParts) {
  const auto pair = [](std::uint32_t oid, std::int32_t modifier) {
    return made_of(oid, "pair", TypeKind::kComposite, {{"a", "", kNumeric, modifier}});
  };
  const TypesByOid source =
      types({pair(20001, numeric_modifier(10, 2)), made_of(20002, "_pair", TypeKind::kArray, {{"", "", 20001, -1}}),
             made_of(20003, "mood", TypeKind::kEnum, {})});
  const TypesByOid same =
      types({pair(30001, numeric_modifier(10, 2)), made_of(30002, "__pair", TypeKind::kArray, {{"", "", 30001, -1}}),
             made_of(30003, "other", TypeKind::kEnum, {})});
  const TypesByOid coarser =
      types({pair(30001, numeric_modifier(10, 1)), made_of(30002, "_pair", TypeKind::kArray, {{"", "", 30001, -1}})});
  EXPECT_EQ(value_fit(source, {20001}, same, {30001}), ValueFit::kYes);
  EXPECT_EQ(value_fit(source, {20002}, same, {30002}), ValueFit::kYes);
  EXPECT_EQ(value_fit(source, {20002}, coarser, {30002}), ValueFit::kNo);
  EXPECT_EQ(value_fit(source, {20003}, same, {30003}), ValueFit::kNo);
  EXPECT_EQ(value_fit(source, {20003}, same, {kText}), ValueFit::kCast);
  EXPECT_EQ(value_fit({}, {20003}, same, {30003}), ValueFit::kNo) << "what is not known does not fit";
}

}  // namespace
}  // namespace teal
