#pragma once
#include <cstdint>

namespace teal {

/// Types with lower OIDs are built in: the same on every server. Source: FirstNormalObjectId, access/transam.h.
inline constexpr std::uint32_t kFirstUserTypeOid = 16384;

/// Whether every value of built-in type `type` with modifier `source` keeps its value in the same type with modifier
/// `target` (-1: none): equal, none, or wider where "wider" is simple (varchar, varbit, numeric, times).
/// Source: pg_attribute.atttypmod; numerictypmodin in utils/adt/numeric.c.
[[nodiscard]] bool modifier_fits(std::uint32_t type, std::int32_t source, std::int32_t target);

}  // namespace teal
