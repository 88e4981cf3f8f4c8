#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace teal {

/// Whether a built-in type's binary form means the same on both servers: no number of another object in it, no locale,
/// no layout that changed between the versions. Everything else travels as text.
/// Shapes: `type` is an oid of pg_type, majors as 15. Source: the types' send and receive functions, 13 to 18: an
/// interval `infinity` (17+) is a value of the same layout that older servers take for a finite one.
[[nodiscard]] bool is_binary_safe(std::uint32_t type, int source_major, int target_major);

/// The same, also for arrays of such types: for COPY, where a value is not an element of an array of ours.
[[nodiscard]] bool is_binary_copy_safe(std::uint32_t type, int source_major, int target_major);

/// The array type over a type that `is_binary_safe` can be true for; nullopt for others.
[[nodiscard]] std::optional<std::uint32_t> binary_array_type(std::uint32_t type);

/// `{16,17,...}`: every type that `is_binary_safe`, as a parameter of type oid[].
[[nodiscard]] std::string binary_safe_types(int source_major, int target_major);

}  // namespace teal
