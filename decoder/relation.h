#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "decoder/ids.h"

namespace teal {

/// Source: `pg_class.relreplident`.
enum class ReplicaIdentity : char { kDefault = 'd', kNothing = 'n', kFull = 'f', kIndex = 'i' };

struct Column {
  std::string name;
  TypeId type;
  std::int32_t type_modifier = -1;
  bool identity = false;  ///< part of the replica identity (flag bit 1)
  /// Of a type that is not built in: as its Type message names it, a domain by the type at its base. "": built in.
  std::string type_schema = {};
  std::string type_name = {};

  friend bool operator==(const Column&, const Column&) = default;
};

/// The shape that the source announced for a table, valid until it announces the next one or the connection ends.
struct Relation {
  RelationId id;
  std::string schema;  ///< never empty: the wire's "" (pg_catalog) is spelled out
  std::string name;
  ReplicaIdentity replica_identity = ReplicaIdentity::kDefault;
  std::vector<Column> columns;

  friend bool operator==(const Relation&, const Relation&) = default;
};

}  // namespace teal
