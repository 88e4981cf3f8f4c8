#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "applier/coalescer.h"
#include "applier/target_table.h"

namespace teal {

enum class StatementKind : std::uint8_t {
  kInsert,
  kUpdate,
  kMove,
  kDelete,
  kPut,     ///< NetOp::kPut
  kRemove,  ///< NetOp::kRemove: touches as many rows as there are
};

/// Rows are found by their key, which is sent for that.
[[nodiscard]] constexpr bool is_by_key(StatementKind kind) {
  return kind != StatementKind::kInsert && kind != StatementKind::kPut;
}

/// The shape of a set-based statement: which columns of the source travel as arrays, and in which order.
/// An array of a key column that is only looked up (an UPDATE's WHERE) stands first.
struct StatementShape {
  StatementKind kind = StatementKind::kInsert;
  std::vector<std::uint16_t> columns;  ///< ordinals that are written, ascending; empty for deletes
  /// Ordinals that an UPDATE cannot assign (GENERATED ALWAYS AS IDENTITY) and therefore has to find equal: a row whose
  /// value the source changed is not found then, and the count tells (invariant I9).
  std::vector<std::uint16_t> guards = {};
  bool records = false;  ///< rows travel as one array of TargetTable::row_type, instead of one array for each column
  bool alone = false;    ///< one row: its values are the parameters
  bool copy = false;     ///< a COPY, and rows are its data (CopyRows)

  bool operator==(const StatementShape&) const = default;
};

/// Rows of one segment that one statement writes.
struct RowGroup {
  const TargetTable* table = nullptr;
  StatementShape shape;
  std::vector<const NetRow*> rows;
  const RowKey* move_from = nullptr;
};

/// The ordinals of what a statement is sent of each row, in order.
[[nodiscard]] std::vector<std::uint16_t> sent_columns(const TargetTable& table, const StatementShape& shape);

/// Splits a segment into the groups that are sent, in the order in which they must run: what makes
/// room, updates, what takes room.
/// Lifetime: groups point into the segment.
[[nodiscard]] std::vector<RowGroup> group_rows(const Segment& segment);

/// The same groups as they are sent. Where one has few rows, each of these is a statement of its own: starting a set
/// costs more than a few such statements. Where one has many, they are statements of 256 KiB: the server works on
/// the first while the next is built, and its copies of the parameters stay in the caches. Measured: bench/README.md.
/// `copy_from`: so many inserts, or more, are one COPY, where their columns allow it.
[[nodiscard]] std::vector<RowGroup> as_statements(std::vector<RowGroup> groups, std::size_t copy_from = SIZE_MAX);

/// The SQL of a shape: one `text[]` parameter per key column (UPDATE, DELETE), then one per written column, then one
/// per guard; or one of records, with all columns of the table; or, of a row that is sent alone, its values. A COPY has
/// none.
/// `INSERT ... SELECT` (kPut: `ON CONFLICT DO UPDATE`), `UPDATE ... FROM`, `DELETE ... USING` over unnest: REFERENCE of
/// the technique in docs/design.md. There is always at least one parameter otherwise: the number of its elements is the
/// number of rows.
[[nodiscard]] std::string build_statement(const TargetTable& table, const StatementShape& shape);

/// ` WHERE ...`: the rows of `t`, the table, whose key is in `s (v1, v2, ...)` in the form in which the stream sends
/// it.
[[nodiscard]] std::string where_key_matches(const TargetTable& table);

/// The types of its parameters.
[[nodiscard]] std::vector<Oid> parameter_types(const TargetTable& table, const StatementShape& shape);

}  // namespace teal
