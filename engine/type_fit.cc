#include "engine/type_fit.h"

namespace teal {
namespace {

struct NumericModifier {
  std::int32_t precision;
  std::int32_t scale;
};

constexpr std::int32_t kHeader = 4;

NumericModifier unpack(std::int32_t modifier) {
  const std::int32_t packed = modifier - kHeader;
  return {(packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024};  // the scale is signed, in eleven bits
}

}  // namespace

std::int32_t numeric_modifier(std::int32_t precision, std::int32_t scale) {
  return ((precision << 16) | (scale & 0x7FF)) + kHeader;
}

bool modifier_fits(std::uint32_t type, std::int32_t source, std::int32_t target) {
  if (source == target || target == -1) return true;
  if (source == -1) return false;
  switch (type) {
    case 1043:  // varchar, then its array
    case 1015:
    case 1562:  // varbit
    case 1563:
    case 1083:  // time
    case 1183:
    case 1266:  // timetz
    case 1270:
    case 1114:  // timestamp
    case 1115:
    case 1184:  // timestamptz
    case 1185:
      return target >= source;
    case 1700:  // numeric
    case 1231: {
      const NumericModifier from = unpack(source);
      const NumericModifier to = unpack(target);
      return to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale;
    }
    default:
      return false;
  }
}

}  // namespace teal
