#include "engine/value_fit.h"

#include <algorithm>
#include <array>

#include "engine/type_fit.h"

namespace teal {
namespace {

constexpr std::uint32_t kInt8 = 20;
constexpr std::uint32_t kInt2 = 21;
constexpr std::uint32_t kInt4 = 23;
constexpr std::uint32_t kText = 25;
constexpr std::uint32_t kFloat4 = 700;
constexpr std::uint32_t kFloat8 = 701;
constexpr std::uint32_t kVarchar = 1043;
constexpr std::uint32_t kNumeric = 1700;

struct ArrayType {
  std::uint32_t array;
  std::uint32_t element;
};

// Of the types that can get wider as another type.
constexpr std::array kArrays{
    ArrayType{1005, kInt2},   ArrayType{1007, kInt4},   ArrayType{1016, kInt8},    ArrayType{1009, kText},
    ArrayType{1021, kFloat4}, ArrayType{1022, kFloat8}, ArrayType{1015, kVarchar}, ArrayType{1231, kNumeric},
};

std::uint32_t element_of(std::uint32_t type) {
  const auto* found = std::find_if(kArrays.begin(), kArrays.end(), [&](const ArrayType& a) { return a.array == type; });
  return found == kArrays.end() ? 0 : found->element;
}

// Decimal digits of the largest value; 0: no whole number.
int digits_of(std::uint32_t type) {
  switch (type) {
    case kInt2:
      return 5;
    case kInt4:
      return 10;
    case kInt8:
      return 19;
    default:
      return 0;
  }
}

ValueFit built_in_fit(TypeUse source, TypeUse target) {
  if (source.type == target.type) {
    return modifier_fits(source.type, source.modifier, target.modifier) ? ValueFit::kYes : ValueFit::kNo;
  }
  const std::uint32_t source_element = element_of(source.type);
  const std::uint32_t target_element = element_of(target.type);
  if (source_element != 0 && target_element != 0) {
    return built_in_fit({source_element, source.modifier}, {target_element, target.modifier});
  }
  if (const int digits = digits_of(source.type); digits > 0) {
    if (target.type == kNumeric) {
      const bool fits = modifier_fits(kNumeric, numeric_modifier(digits, 0), target.modifier);
      return fits ? ValueFit::kYes : ValueFit::kNo;
    }
    return digits_of(target.type) > digits ? ValueFit::kYes : ValueFit::kNo;
  }
  const bool text = source.type == kText || source.type == kVarchar;
  if (text && takes_any_text(target)) return ValueFit::kYes;
  if (takes_any_text(target)) return ValueFit::kCast;  // it takes a padding away, and spells true in full
  return source.type == kFloat4 && target.type == kFloat8 ? ValueFit::kCast : ValueFit::kNo;
}

const TypeDefinition* find(const TypesByOid& types, std::uint32_t type) {
  const auto found = types.find(type);
  return found == types.end() ? nullptr : &found->second;
}

bool parts_fit(const TypesByOid& source_types, const TypeDefinition& source, const TypesByOid& target_types,
               const TypeDefinition& target) {
  const auto fits = [&](const TypePart& from, const TypePart& to) {
    return from.name == to.name && value_fit(source_types, {from.type_oid, from.type_modifier}, target_types,
                                             {to.type_oid, to.type_modifier}) == ValueFit::kYes;
  };
  return std::equal(source.parts.begin(), source.parts.end(), target.parts.begin(), target.parts.end(), fits);
}

}  // namespace

TypeUse base_of(const TypesByOid& types, TypeUse use) {
  for (const TypeDefinition* type = find(types, use.type); type != nullptr && type->kind == TypeKind::kDomain;
       type = find(types, use.type)) {
    use = {type->parts.at(0).type_oid, type->parts.at(0).type_modifier};
  }
  return use;
}

bool takes_any_text(TypeUse use) { return use.type == kText || (use.type == kVarchar && use.modifier == -1); }

ValueFit value_fit(const TypesByOid& source_types, TypeUse source, const TypesByOid& target_types, TypeUse target) {
  source = base_of(source_types, source);
  target = base_of(target_types, target);
  const bool source_moves = source.type >= kFirstMovingTypeOid;
  const bool target_moves = target.type >= kFirstMovingTypeOid;
  if (!source_moves && !target_moves) return built_in_fit(source, target);
  if (source_moves && takes_any_text(target)) return ValueFit::kCast;
  const TypeDefinition* from = find(source_types, source.type);
  const TypeDefinition* to = find(target_types, target.type);
  if (from == nullptr || to == nullptr || from->kind != to->kind) return ValueFit::kNo;
  // An array has the name that was free when its element's type was made.
  if (from->kind != TypeKind::kArray && from->name != to->name) return ValueFit::kNo;
  if (from->kind == TypeKind::kRange && from->order != to->order) return ValueFit::kNo;
  if (target.modifier != -1 && source.modifier != target.modifier) return ValueFit::kNo;
  return parts_fit(source_types, *from, target_types, *to) ? ValueFit::kYes : ValueFit::kNo;
}

}  // namespace teal
