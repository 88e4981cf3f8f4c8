#pragma once
#include <deque>
#include <span>
#include <string>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "applier/coalescer.h"
#include "conflict/local_changes.h"
#include "engine/pg_connection.h"

namespace teal {

/// What stays of a table that the source has truncated: keys whose version on the target is a later one. A key that
/// is removed there by that version has no row.
using LaterKeys = boost::unordered_flat_map<KeyHash, UnseenVersions, KeyHashHash>;

/// A TRUNCATE that spares rows.
///
/// What is later is known by the hashes of keys, and only the rows have the keys: all of the table's are read, some
/// thousand at a time, and compared; then one DELETE takes all rows but those that were found. Threads: one.
/// Errors: PgError; RowsRefused when the DELETE took another number of rows; Stopped(kBug) when a later row is not
/// found.
class SparedRows {
 public:
  struct Row {
    RowKey key;
    UnseenVersions standing;
  };

  /// Empties `table` but for the rows of `later`, and returns these. In the open transaction of `target`, which holds
  /// the table against all who write there since before `later` was known. Lifetime of the keys: until `clear`.
  std::vector<Row> delete_others(PgConnection& target, const TargetTable& table, const LaterKeys& later,
                                 ChangePlace place);
  void clear() {
    keys_.clear();
    bytes_.clear();
  }

 private:
  struct Found;

  Found find(PgConnection& target, const TargetTable& table, const LaterKeys& later);
  TupleView keep(TupleView columns);

  std::deque<std::string> bytes_;  // of keys_
  std::deque<std::vector<ColumnValue>> keys_;
};

}  // namespace teal
