#pragma once
#include <cstdint>

namespace teal {

/// Types with lower OIDs are the same on every server. Source: FirstGenbkiObjectId, access/transam.h.
inline constexpr std::uint32_t kFirstMovingTypeOid = 10000;
/// Types with lower OIDs are made by initdb; from kFirstMovingTypeOid on (those of information_schema, the row types of
/// catalogs) a number means another type in another version. Source: FirstNormalObjectId, access/transam.h.
inline constexpr std::uint32_t kFirstUserTypeOid = 16384;

/// Whether every value of built-in type `type` with modifier `source` keeps its value in the same type with modifier
/// `target` (-1: none): equal, none, or wider where "wider" is simple (varchar, varbit, numeric, times).
/// Source: pg_attribute.atttypmod; numerictypmodin in utils/adt/numeric.c.
[[nodiscard]] bool modifier_fits(std::uint32_t type, std::int32_t source, std::int32_t target);

/// The modifier of `numeric(precision, scale)`.
[[nodiscard]] std::int32_t numeric_modifier(std::int32_t precision, std::int32_t scale);

}  // namespace teal
