#pragma once
#include <cstdint>
#include <span>

#include "decoder/lsn.h"
#include "decoder/relation.h"
#include "decoder/tuple.h"

namespace teal {

enum class ChangeOp : std::uint8_t { kInsert, kUpdate, kDelete, kTruncate };

/// Flag bits of a Truncate message. Source: PostgreSQL manual, "Truncate".
inline constexpr std::uint8_t kTruncateCascade = 1;
inline constexpr std::uint8_t kTruncateRestartIdentity = 2;

/// One row change, or one TRUNCATE of one or more tables.
/// Lifetime: everything it points to is owned by the TransactionSlice that holds it.
struct Change {
  ChangeOp op = ChangeOp::kInsert;
  OldTupleKind old_kind = OldTupleKind::kNone;
  std::uint8_t truncate_flags = 0;
  const Relation* relation = nullptr;          ///< the first table of a TRUNCATE
  TupleView old_tuple;                         ///< UPDATE, DELETE
  TupleView new_tuple;                         ///< INSERT, UPDATE
  std::span<const Relation* const> truncated;  ///< all tables of a TRUNCATE
  Lsn lsn;                                     ///< of the WAL record; not unique (COPY rows share one)

  /// How many changes the ledger counts for it: a TRUNCATE counts once per table.
  [[nodiscard]] std::uint64_t ledger_count() const { return op == ChangeOp::kTruncate ? truncated.size() : 1; }
};

}  // namespace teal
