#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "applier/coalescer.h"
#include "applier/column_fit.h"
#include "conflict/local_changes.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// A row of which some columns were not sent. Lifetime: what it points to, until it was read.
struct WantedRow {
  const TargetTable* table = nullptr;
  RowKey key;
  KeyHash hash;      ///< of the key, see key_hash
  Xid xid;           ///< of the source's transaction that wrote it
  TupleView values;  ///< as they were sent, in the source relation's column order
};

/// What the source has under the keys of rows that were not sent whole, at a moment after they were written.
///
/// A session on the source reads them, the columns that were not sent and no others, in the form in which the stream
/// sends values. What was seen is on the source's disk then: it cannot go back behind it in a crash.
/// Threads: one. Errors: PgError; Stopped(kData) for a table that is not there under its name.
class SourceRows {
 public:
  struct Row {
    bool there = false;
    std::vector<ColumnValue> columns;  ///< by ordinal; those that were not asked for are kUnchangedToast
  };

  SourceRows(OpenSource open_source, LinkNames names)
      : open_source_(std::move(open_source)), names_(std::move(names)) {}

  /// Reads what is `wanted`, and keeps it beside what was read before. Tells the log how many rows of a table that were
  /// since the session began, at most every ten seconds.
  void read(std::span<const WantedRow> wanted);
  /// Null: it was not read. Lifetime: until `clear`.
  [[nodiscard]] const Row* find(const KeyHash& hash) const;
  /// All commits that what was read knows of are below this position of the source's log.
  [[nodiscard]] Lsn as_of() const { return as_of_; }
  void clear();

 private:
  struct Group;
  struct Told {
    std::uint64_t rows = 0;
    std::uint64_t gone = 0;
    std::chrono::steady_clock::time_point next;
  };

  static std::vector<Group> group(std::span<const WantedRow> wanted);
  PgConnection& session();
  bool is_partitioned(const TargetTable& table);
  void keep(const Group& group, std::span<const WantedRow> wanted, ResultHandle result);
  void tell(const Group& group, std::uint64_t there);

  OpenSource open_source_;
  LinkNames names_;
  std::optional<PgConnection> session_;
  std::map<std::uint64_t, bool> partitioned_;  // by TargetTable::id
  std::map<std::string, Told> told_;           // by table
  std::vector<ResultHandle> results_;          // hold the bytes of rows_
  boost::unordered_flat_map<KeyHash, Row, KeyHashHash> rows_;
  Lsn as_of_;
};

}  // namespace teal
