#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "applier/target_table.h"
#include "conflict/local_changes.h"
#include "decoder/tuple.h"
#include "engine/pg_connection.h"

namespace teal {

/// A committed version of a row that holds a unique value which another row claims.
struct HoldingRow {
  KeyHash hash;                          ///< see key_hash
  std::vector<ColumnValue> key;          ///< as a RowKey has it
  std::shared_ptr<ResultHandle> holder;  ///< of the key's bytes
  std::string relation;                  ///< tableoid
  std::string place;                     ///< ctid
  std::string xmin;
  bool same = false;  ///< all values that were sent are the row's; only of `find_rows`
};

/// For each of `rows`, the rows of `table`, on the side of `session`, that share a value with it of which a unique
/// index lets only one row have it: by all unique indexes of that side but the key's own, also by those of some rows
/// and those on expressions. The row itself may be among them. Shapes: `rows` are in the source relation's column
/// order; where a column was not sent (unchanged TOAST), an index that reads it is passed over. Constraints that are
/// deferrable are not looked at, nor, for more than one row, indexes that take NULLs for equal in more than four
/// columns. Errors: PgError, also for an index that needs a column which `rows` do not have (42703).
[[nodiscard]] std::vector<std::vector<HoldingRow>> find_holding_rows(PgConnection& session, const TargetTable& table,
                                                                     std::span<const TupleView> rows);

/// For each of `rows`, the row of `table`, on the side of `session`, that has its key; nullopt: there is none.
/// Errors: PgError.
[[nodiscard]] std::vector<std::optional<HoldingRow>> find_rows(PgConnection& session, const TargetTable& table,
                                                               std::span<const TupleView> rows);

}  // namespace teal
