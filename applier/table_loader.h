#pragma once
#include <utility>

#include "applier/batch_writer.h"
#include "applier/column_fit.h"
#include "applier/target_table.h"
#include "engine/names.h"

namespace teal {

/// Looks up on the target where an announced table's rows go, with the locks that keep the answer true until the open
/// target transaction ends.
/// Lifetime: all that is given outlives it. Threads: one, that of the session. Errors: those of load_target_table.
class TableLoader {
 public:
  TableLoader(PgConnection& connection, BatchWriter& writer, ColumnFit& types, LinkNames names, BinaryForm binary)
      : connection_(connection),
        writer_(writer),
        types_(types),
        names_(std::move(names)),
        binary_(binary),
        row_types_(connection) {}

  [[nodiscard]] TargetTable load(const Relation& relation);
  /// See BatchPlan::WholeTable.
  [[nodiscard]] bool truncates_whole(const TableName& table, const Change& change, Lsn final_lsn);

 private:
  void find_row_type(TargetTable& table);

  PgConnection& connection_;
  BatchWriter& writer_;
  ColumnFit& types_;
  LinkNames names_;
  BinaryForm binary_;
  RowTypes row_types_;
};

}  // namespace teal
