#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "applier/copy_relay.h"
#include "applier/table_snapshot.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// A table to copy.
struct CopyTable {
  TableName name;                    ///< on the source
  TableName target;                  ///< where its rows go: the same, or the partitioned table that it is a part of
  std::vector<std::string> columns;  ///< that both sides have and the target lets be written
  std::uint64_t bytes = 0;           ///< estimated, to begin with the largest
  std::string publication_entry;     ///< noted with the copy, see teal.table_state
  std::string bounds;                ///< of a partition, see partition_bounds_sql
  std::string takes;                 ///< of a partition, see SourceTable::takes
  std::string toast;                 ///< of a partition, see PublishedTable::toast
  bool binary = false;               ///< both sides know its columns' binary forms

  [[nodiscard]] std::string display_name() const { return to_string(name); }
  /// Its rows are a part of another table's on the target.
  [[nodiscard]] bool is_part() const { return name != target; }
};

/// What tables are like: oid, the file that the rows are in, and columns. A TRUNCATE, a rewriting ALTER TABLE and a
/// table that is made anew change them, and leave no old row versions: a snapshot from before finds the table empty,
/// and the stream does not bring the rewritten rows. Rejected: locks on all tables from before the snapshot until the
/// end. They hold up the application's DDL, and whoever queues behind it, for as long as the copy takes. A column that
/// comes meanwhile would not be copied, and no stream brings its values.
using TableShapes = std::map<TableName, std::string>;

/// Of every table in the database. Errors: PgError.
[[nodiscard]] TableShapes read_table_shapes(PgConnection& source);

/// What of a table is copied, and how.
struct CopyExtent {
  std::string where = {};  ///< a range of rows, as SQL; "": all
  bool frozen = false;     ///< the target's table was emptied in this transaction: its rows need no vacuum
};

/// Reads `table` from the snapshot and writes it in the target's open transaction, which the caller commits.
/// Errors: PgError; Stopped(kData) when the target took another number of rows.
CopiedRows copy_rows(PgConnection& source, const TableSnapshot& snapshot, const CopyTable& table, PgConnection& target,
                     CopyCounters& counters, const CopyExtent& extent = {});

/// Ranges of a table's pages, as SQL, each about `piece_bytes` large: together all of its rows, each in one of them.
/// Empty where the source cannot read a range without reading all (before 14), and for a table without columns.
/// Errors: PgError.
[[nodiscard]] std::vector<std::string> split_rows(PgConnection& source, const CopyTable& table,
                                                  std::uint64_t piece_bytes);

/// Whether what was read is what `before`, from before the snapshot, says: to be asked after `copy_rows`. What was
/// altered before COPY had its lock is seen here; what is altered after it costs a repetition.
[[nodiscard]] bool read_as_expected(PgConnection& source, const CopyTable& table, const TableShapes& before);

/// Begins an attempt to copy the table, in the target's open transaction, and returns its number. The target's table
/// is empty then: what an earlier attempt in pieces has left there is deleted. From the commit on, what is still under
/// way of that one is refused by `check_attempt`.
/// Errors: Stopped(kRefused) for a target that has rows which teal did not copy, and a table that is not pending.
[[nodiscard]] std::int64_t begin_attempt(PgConnection& target, const LinkNames& names, const CopyTable& table);

/// That an attempt of that number is the last one; it stays so until the end of the target's open transaction.
/// Errors: Stopped(kRefused).
void check_attempt(PgConnection& target, const LinkNames& names, const CopyTable& table, std::int64_t attempt);

/// Has the target's empty table begin anew, in its open transaction, so that rows can be written frozen: with no other
/// transaction that could have seen it, none has to look up later whether they were committed. Returns false where the
/// table does not allow it, or somebody is reading it. For tables that nobody but teal needs yet: they are locked until
/// the transaction's end.
/// Errors: PgError; Stopped(kRefused) for a table that has rows.
[[nodiscard]] bool begin_frozen(PgConnection& target, const CopyTable& table);

/// Errors: Stopped(kRefused) for a target that has rows; of a part of another table, where the target has the same one.
void check_target_empty(PgConnection& target, const CopyTable& table);

/// The same by the range that a part takes, where its table has been streaming: then no row of it may be there. Reads
/// the target's whole table where nothing leads to the range. Errors: Stopped(kRefused).
void check_range_empty(PgConnection& target, const CopyTable& table);

/// Turns the table's row in teal.table_state from pending to copied, in the target's open transaction.
/// Errors: Stopped(kRefused) when it is not pending, and when another attempt than `attempt` has begun
/// (nullopt: there are no attempts, its rows come in one transaction).
void note_copied(PgConnection& target, const LinkNames& names, const CopyTable& table, const CopiedRows& copied,
                 LogPosition watermark, std::optional<std::int64_t> attempt);

/// Of a part that came later: what its table's default partitions take from now on (teal.table_state), in the target's
/// open transaction. Errors: PgError.
void note_range_taken(PgConnection& target, const LinkNames& names, const CopyTable& table);

/// Where teal's role owns the target's table; else it says so in the log. Errors: PgError.
void analyze_copied(PgConnection& target, const LinkNames& names, const CopyTable& table);

}  // namespace teal
