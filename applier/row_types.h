#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// Units: columns from which on rows travel as records. With fewer it makes no difference (measured: bench/README.md).
inline constexpr std::size_t kRowTypeColumns = 8;

/// A composite type of the target that has the columns of rows as they travel; all zero: there is none.
struct RowType {
  std::uint32_t type = 0;
  std::uint32_t array = 0;  ///< of its values

  friend bool operator==(const RowType&, const RowType&) = default;
};

/// The composite types in schema teal, one for each list of columns' types: `teal.row_<md5 of the list>`, with columns
/// c0, c1, ... They are not the tables' own types, which change with the tables.
/// Lifetime: `connection` outlives it. Threads: one, that of the session.
class RowTypes {
 public:
  explicit RowTypes(PgConnection& connection) : connection_(connection) {}

  /// Of columns of those types. `create`: makes what is not there yet, in a transaction of its own: none may be open.
  /// None where the server does not let us. Errors: PgError.
  [[nodiscard]] RowType of(std::span<const std::uint32_t> columns, bool create);

 private:
  [[nodiscard]] RowType find(const std::string& name, const std::string& columns);

  PgConnection& connection_;
  std::map<std::string, RowType> known_;  // by the list
};

}  // namespace teal
