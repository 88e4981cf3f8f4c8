#pragma once
#include <string>

#include "applier/statement_builder.h"
#include "engine/copy_in.h"

namespace teal {

/// Whether the rows of `group` can travel by COPY: inserts whose columns all come in binary form, into a table without
/// rules, which COPY would pass over.
[[nodiscard]] bool can_copy(const RowGroup& group);

/// Sends rows as the data of the COPY that `build_statement` writes for their shape.
///
/// COPY puts many rows into a page at a time, each page with one record in the log; an INSERT of a set puts each row on
/// its own. Green's time for a million rows of five columns is less than half (measured: bench/README.md).
/// Threads: one. Source: PostgreSQL manual, "COPY", Binary Format; `heap_multi_insert`.
class CopyRows {
 public:
  /// Errors: PgError; Stopped(kBug) for a value in another form than its column's, or one that was not sent.
  void send(const RowGroup& group, CopyIn& copy);

 private:
  void append_int16(int value);
  void append_int32(int value);

  std::string buffer_;
};

}  // namespace teal
