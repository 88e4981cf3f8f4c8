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
/// `{"a","b"}`, with what needs it escaped: a parameter of type text[].
[[nodiscard]] std::string text_array(const std::vector<std::string>& items);

/// The live columns of each table of `oids`, in attnum order; a table without columns has no entry. Errors: PgError.
[[nodiscard]] std::map<std::uint32_t, std::vector<CatalogColumn>> read_columns(PgConnection& connection,
                                                                               const std::vector<std::uint32_t>& oids);

/// A unique index without predicate and expressions.
struct UniqueIndex {
  /// Whether it rejects a second row at once, and keeps the same rows apart as the columns' own `=` does: then UPDATE
  /// and DELETE by its columns touch one row at most.
  [[nodiscard]] bool finds_one_row() const { return valid && immediate && own_collations; }
  /// Whether its key columns are `names`, in any order.
  [[nodiscard]] bool covers_exactly(std::vector<std::string> names) const;

  std::string name;
  bool primary = false;
  bool replica_identity = false;
  bool valid = false;
  bool immediate = false;
  bool own_collations = true;         ///< every key column is indexed under its own collation
  std::vector<std::string> columns;   ///< key columns only, in the index's order
  std::vector<std::string> equality;  ///< of each, the operator class's `=`, e.g. `OPERATOR(pg_catalog.=)`
};

/// The unique indexes of each table of `oids`. Errors: PgError.
[[nodiscard]] std::map<std::uint32_t, std::vector<UniqueIndex>> read_unique_indexes(
    PgConnection& connection, const std::vector<std::uint32_t>& oids);

/// An SQL expression: which rows the partition `oid` takes, from its own bounds up to the table at its top; equal texts
/// mean equal rows. NULL for what is no partition.
[[nodiscard]] std::string partition_bounds_sql(const std::string& oid);

/// Whether `part` is, there too, a partition (at whatever depth) of `table` that takes the same rows, as far as bounds
/// can tell: false for default and hash partitions. Errors: PgError.
[[nodiscard]] bool has_same_partition(PgConnection& connection, const TableName& part, const TableName& table,
                                      const std::string& bounds);

}  // namespace teal
