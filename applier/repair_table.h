#pragma once
#include <string>
#include <vector>

#include "applier/target_table.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// A table on one of the two sides.
struct RepairSide {
  TableName name;
  bool partitioned = false;
};

/// What of a table is the same on both sides, once it is repaired.
struct RepairScope {
  RepairSide right;
  RepairSide wrong;
  std::vector<std::string> columns;  ///< quoted, alike on both sides: what was compared
  std::vector<std::string> key;      ///< not quoted; empty: none, rows are known by all their values
};

/// A table whose rows on the wrong side are written from those on the right one.
struct RepairTable {
  std::string right;  ///< for FROM, as `t`
  std::string wrong;  ///< the same on the wrong side
  /// Columns are what was compared, without what the wrong side computes.
  TargetTable compared;
  /// The same, and then the columns that only the wrong side has, or that could not be compared: a row that is written
  /// anew keeps what stood in them.
  TargetTable whole;
  std::vector<std::string> own;  ///< these columns, quoted
  bool may_lock_right = false;   ///< UPDATE on the right side's table, which SELECT ... FOR SHARE takes
  /// Why it cannot be written, each with what mends it; empty: it can.
  std::vector<std::string> obstacles;
};

/// Looks up on both sides how rows of a table are repaired, and what is in the way. Changes nothing.
/// Errors: PgError.
[[nodiscard]] RepairTable load_repair_table(PgConnection& right, PgConnection& wrong, const RepairScope& scope);

}  // namespace teal
