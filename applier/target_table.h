#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "applier/column_fit.h"
#include "applier/row_types.h"
#include "conflict/row_key.h"
#include "decoder/lsn.h"
#include "decoder/relation.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "engine/transaction_sink.h"

namespace teal {

/// A column of the target that the source sends, in the source relation's column order.
struct MappedColumn {
  std::string name = {};       ///< quoted for SQL
  std::string type = {};       ///< the target's type without modifier, as a cast takes it
  std::string full_type = {};  ///< the same with its modifier
  std::string equality =
      {};  ///< the operator of the key's index, e.g. `OPERATOR(pg_catalog.=)`; empty for non-key columns
  std::uint32_t element = 25;  ///< the type that values travel as: text's oid, or with `binary` the column's own
  bool binary = false;         ///< values come in the type's binary form
  bool key = false;
  bool written = true;   ///< false: generated on the target
  bool settable = true;  ///< false: an UPDATE may not assign it (generated, or GENERATED ALWAYS AS IDENTITY)
  bool text_cast =
      false;  ///< a cast from text runs a function: the value goes through the type's input function instead

  friend bool operator==(const MappedColumn&, const MappedColumn&) = default;
};

/// How one announced relation of the source is written to the target: made once per Relation, then only read.
/// Units: ordinals are positions in the source relation's columns.
struct TargetTable {
  std::uint64_t id = 0;         ///< never given twice in a process: what is kept per table is kept under it
  std::string display_name;     ///< schema.table, for messages
  TableName target;             ///< where its rows go
  std::string sql_name;         ///< the same, quoted
  std::uint64_t target_id = 0;  ///< equal for all that is written to the same table of the target
  bool partitioned = false;
  bool has_rules = false;
  std::vector<MappedColumn> columns;
  std::vector<std::uint16_t> key;  ///< ordinals of the identity, ascending
  /// No key (REPLICA IDENTITY FULL): a row is found by all its values, of equal rows any one is taken; `key` is every
  /// column.
  bool whole_rows = false;
  RowType row_type = {};  ///< that rows may travel as, see RecordParam
  bool control = false;   ///< a table of schema teal: handled by name, never written as rows
  bool pending = false;   ///< its rows are still to be copied: no other member is meant then
  bool left = false;      ///< not selected any more: its changes are counted and dropped
  /// Columns that only the target has, or that an UPDATE cannot set: delete + insert of a key is not an UPDATE then.
  bool keeps_more_than_source = false;
  /// The source's table is a partition. Its rows are written as those of `rows`, which partitions with the same columns
  /// share; a TRUNCATE of it alone goes to `part`, the target's equal partition (null: there is none).
  bool is_part = false;
  std::shared_ptr<const TargetTable> rows;
  std::shared_ptr<const TargetTable> part;
  bool single_part = false;  ///< such a `part`: `target` is the table that it is a partition of
  Lsn watermark;             ///< transactions whose commit lies below it are already in the copied rows
  /// How its rows are known on both sides of a two-way link; the ordinals are positions in a RowKey.
  KeyShape row_key = {};
};

/// How the stream sends values.
struct BinaryForm {
  bool on = false;
  int source_major = 0;
};

/// The stream has to be read again as text.
class TextNeeded : public ReplayNeeded {
 public:
  using ReplayNeeded::ReplayNeeded;
};

/// What teal.table_state says about a table of the source.
struct TableState {
  TableName name;           ///< as it was copied
  std::string state;        ///< pending, copied, detached, left; "": nothing
  Lsn watermark;            ///< of the copy
  std::string entry;        ///< in the publication, as of the copy; see PublishedTable::entry
  TableName target;         ///< where its rows go
  std::string bounds = {};  ///< of a partition
};

/// A table that was copied is known by its number too: what was written while it had another name, for a moment or for
/// good, belongs to it. Errors: PgError.
[[nodiscard]] TableState read_table_state(PgConnection& target, const LinkNames& names, const Relation& relation);

/// Who holds on to "this table is still to be copied" until the end of the target's transaction (`hand_over` false: a
/// link that skips its changes), against who makes it untrue in that transaction (`hand_over` true). An advisory lock:
/// its queue is fair, while a row lock that is shared again and again may never be given to who wants it alone.
/// Errors: PgError.
void lock_pending(PgConnection& target, const LinkNames& names, bool hand_over);

/// How `relation` is written to the target table `state.target`.
/// Errors: Stopped(kData) that names table and column when the target lacks one, has one that some values may not fit,
/// has no unique index on the identity, or the table is another one than was copied; PgError.
/// `binary`: the stream sends binary values; TextNeeded when a column of the table cannot be taken like that.
[[nodiscard]] TargetTable load_target_table(PgConnection& target, const Relation& relation, const TableState& state,
                                            const BinaryForm& binary, ColumnFit& types);

/// A table of the target with a number of its own and nothing else: no columns yet.
[[nodiscard]] TargetTable new_target_table(std::string display_name);

/// A relation whose changes are dropped, and counted.
[[nodiscard]] TargetTable left_table(const Relation& relation);

}  // namespace teal
