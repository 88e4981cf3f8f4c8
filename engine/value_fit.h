#pragma once
#include <cstdint>

#include "engine/catalog_types.h"

namespace teal {

/// What a column holds: a type and the column's modifier (-1: none).
struct TypeUse {
  std::uint32_t type = 0;
  std::int32_t modifier = -1;
};

/// What the text of one type's values becomes in another type.
enum class ValueFit : std::uint8_t {
  kNo,  ///< some values would be refused or, worse, change
  /// Every value gets in as what ALTER TABLE ... TYPE makes of it: a value of a built-in type has to go through that
  /// type first.
  kCast,
  kYes,  ///< every value keeps its value, and ALTER TABLE ... TYPE gives the same
};

/// Whether all values of `source` fit into `target`: the same type, or a wider one (a longer varchar, a numeric with
/// more digits on both sides, bigint for integer); with a cast also double precision for real, and text for everything.
/// Domains are looked through; what users define has to have the same name and to be made of parts that fit.
/// `source_types` and `target_types` hold what is not built in, with everything that it is made of; what they lack does
/// not fit.
[[nodiscard]] ValueFit value_fit(const TypesByOid& source_types, TypeUse source, const TypesByOid& target_types,
                                 TypeUse target);

/// The type at the base of a domain, with its modifier; every other type is its own.
[[nodiscard]] TypeUse base_of(const TypesByOid& types, TypeUse use);

/// Any text is a value of it: `text`, or `varchar` without a length.
[[nodiscard]] bool takes_any_text(TypeUse use);

}  // namespace teal
