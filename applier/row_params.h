#pragma once
#include <span>
#include <vector>

#include "applier/array_param.h"
#include "applier/record_param.h"
#include "applier/statement_builder.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// The parameters that a statement of a shape is sent with: see StatementShape and `build_statement`.
/// Threads: one.
class RowParams {
 public:
  /// Lifetime: until the next call, and of the group's rows. Errors: Stopped(kBug) for a value in another form than its
  /// column's, or one that was not sent.
  [[nodiscard]] std::span<const BinaryParam> fill(const RowGroup& group);

 private:
  void fill_records(const RowGroup& group);
  void fill_arrays(const RowGroup& group);
  void fill_values(const RowGroup& group);

  std::vector<ArrayParam> arrays_;
  RecordParam record_;
  std::vector<BinaryParam> params_;
};

}  // namespace teal
