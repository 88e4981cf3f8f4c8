#pragma once
#include <compare>
#include <cstdint>

namespace teal {

/// A table's OID on the server whose WAL is read. Source: `pg_class.oid`, the Relation message.
struct RelationId {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const RelationId&) const = default;
};

/// A type's OID on the server whose WAL is read. Source: `pg_type.oid`.
struct TypeId {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const TypeId&) const = default;
};

/// A transaction id as the server prints it: 32 bits, wraps around.
struct Xid {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const Xid&) const = default;
};

/// A server's clock. Units: microseconds since 2000-01-01 00:00:00 UTC, the epoch of `timestamptz`.
struct Timestamp {
  std::int64_t us = 0;
  constexpr auto operator<=>(const Timestamp&) const = default;
};

/// Seconds from the Unix epoch to the epoch of `Timestamp`.
inline constexpr std::int64_t kPostgresEpochUnixSeconds = 946'684'800;

}  // namespace teal
