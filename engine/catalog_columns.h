#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/catalog.h"
#include "engine/pg_connection.h"

namespace teal {

/// `{1,2,3}`: a parameter of type oid[].
[[nodiscard]] std::string oid_array(const std::vector<std::uint32_t>& oids);

/// The live columns of each table of `oids`, in attnum order; a table without columns has no entry. Errors: PgError.
[[nodiscard]] std::map<std::uint32_t, std::vector<CatalogColumn>> read_columns(PgConnection& connection,
                                                                               const std::vector<std::uint32_t>& oids);

/// A unique index without predicate and expressions.
struct UniqueIndex {
  std::string name;
  bool primary = false;
  bool replica_identity = false;
  bool valid = false;
  bool immediate = false;
  std::vector<std::string> columns;  ///< key columns only, in the index's order
};

/// The unique indexes of each table of `oids`. Errors: PgError.
[[nodiscard]] std::map<std::uint32_t, std::vector<UniqueIndex>> read_unique_indexes(
    PgConnection& connection, const std::vector<std::uint32_t>& oids);

}  // namespace teal
