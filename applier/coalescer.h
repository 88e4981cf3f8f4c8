#pragma once
#include <cstdint>
#include <functional>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "applier/target_table.h"
#include "conflict/decide.h"
#include "decoder/change.h"
#include "decoder/transaction.h"

namespace teal {

/// What is left to do for one key after the changes of a batch were merged.
enum class NetOp : std::uint8_t {
  kNone,     ///< inserted and deleted again
  kInsert,   ///< a whole row
  kUpdate,   ///< the columns that are present
  kReplace,  ///< deleted and inserted again: an update of the whole row
  kDelete,
  kPut,     ///< won a conflict: a whole row, whatever is there
  kRemove,  ///< won a conflict: no row, whatever is there
};

/// The identity of a row as the source wrote it: its key columns, in ascending column order.
/// Lifetime: points into a slice's arena or the coalescer's.
struct RowKey {
  TupleView columns;
  std::uint64_t hash = 0;
  bool operator==(const RowKey& other) const;
};

struct RowKeyHash {
  using is_avalanching = void;
  std::size_t operator()(const RowKey& key) const { return key.hash; }
};

/// Where a change stands in the source's log and in its transaction.
struct ChangePlace {
  Lsn lsn;                                  ///< not unique: COPY rows share one
  std::uint64_t position = 0;               ///< in its transaction, from 1; the same whenever the transaction is read
  const TransactionFacts* facts = nullptr;  ///< of the transaction; lives in its slice
};

inline constexpr std::uint32_t kNoRow = UINT32_MAX;

/// One row's net change. `values` is in the source relation's column order; empty for deletes.
struct NetRow {
  RowKey key = {};
  TupleView values = {};
  NetOp op = NetOp::kNone;
  std::uint32_t same_before = kNoRow;  ///< of a table without a key: an earlier row that becomes equal to this one
  ColumnValue* own_values = nullptr;   ///< where `values` is a copy of the coalescer's, which may be written to
  ChangePlace place = {};              ///< of the last change merged into it
  Lsn first_seen = {};                 ///< TransactionFacts::seen of the first one
  bool moved_away = false;             ///< the old key's half of a change that became delete + insert
  bool counted = true;                 ///< false: a kRemove that stands for no change of its own
  Verdict verdict = Verdict::kApplies;
  Lsn standing =
      {};  ///< of a kRemove: the newest change of the key on the target that was known of when it was decided
};

/// Rows of one table that may be written in any order, because every key occurs once.
/// A move is a key change that has to stay an UPDATE; it is alone in its segment.
/// Of a table without a key (TargetTable::whole_rows) equal rows may occur: what the segment takes away was there
/// before it, and `index` holds the last row that makes each image, from where `same_before` leads to the others.
struct Segment {
  const TargetTable* table = nullptr;
  std::vector<NetRow> rows;
  std::optional<RowKey> move_from;
  boost::unordered_flat_map<RowKey, std::uint32_t, RowKeyHash> index;
};

/// Segments of all tables of the target, each table's in order (also of partitions that look different on the source),
/// then at most one TRUNCATE.
struct Epoch {
  std::vector<std::vector<Segment>> tables;  ///< by order of first appearance
  std::vector<const TargetTable*> truncated;
  /// The source's TRUNCATE named more tables than these: alone they may be refused for a foreign key among them.
  bool truncated_in_part = false;
  ChangePlace truncate_place;
  /// The TRUNCATE meets later rows of the target. Only what is left of the tables is known then: see SparedRows.
  bool spares = false;
};

/// How the changes of a batch turned into row operations: the ledger's share of the coalescer.
struct CoalesceCounts {
  std::uint64_t merged = 0;  ///< changes that need no row operation of their own
  std::uint64_t split = 0;   ///< row operations added: a key change became delete + insert
};

/// Merges the changes of several transactions, given in commit order, into net changes per key.
///
/// I+U->I, I+D->nothing (one-way links), U+U->U, U+D->D, D+I->U of the whole row; columns that were not sent never
/// overwrite. Without a key, a change that takes a row which an earlier one has made is merged with that one. What is
/// outside this algebra (a row of a key that another segment must finish first; in two-way links, columns that were not
/// sent by a change which had seen more of the target than the one before it) begins a new segment, so that the server
/// decides and the counts tell. Lifetime: holds views into the slices of the changes; they must outlive it. Threads:
/// one. Source: GoldenGate BATCHSQL's grouping; TRAPS F1-F4, F7, C2, C3.
class Coalescer {
 public:
  /// `in_order(table)`: every change of that table gets a segment of its own, as the source made it.
  /// `writes_keys`: a row that came and went is written and taken away again, because nothing else keeps others from
  /// its key until the commit.
  explicit Coalescer(std::function<bool(const TargetTable&)> in_order, bool writes_keys = false);

  /// A row change of `table`, which stands at `place`. Truncates go to `truncate`.
  void add(const TargetTable& table, const Change& change, ChangePlace place);
  /// `in_part`: `tables` are not all that the source truncated together.
  void truncate(std::vector<const TargetTable*> tables, bool in_part, ChangePlace place);

  [[nodiscard]] std::vector<Epoch>& epochs() { return epochs_; }
  [[nodiscard]] const std::vector<Epoch>& epochs() const { return epochs_; }
  [[nodiscard]] const CoalesceCounts& counts() const { return counts_; }
  [[nodiscard]] bool empty() const { return epochs_.empty(); }
  void clear();

 private:
  Segment& open_segment(const TargetTable& table);
  Segment& new_segment(const TargetTable& table);
  void add_whole_row(const TargetTable& table, const Change& change, ChangePlace place);
  void merge_whole_row(Segment& segment, std::uint32_t made_by, const Change& change, ChangePlace place);
  NetRow& put(const TargetTable& table, RowKey key, NetOp op, TupleView values, ChangePlace place);
  bool merge(const TargetTable& table, NetRow& row, NetOp op, TupleView values);
  static bool bridges_echo(const NetRow& row, TupleView values, ChangePlace place);
  void overlay(NetRow& row, TupleView values);
  void update_key(const TargetTable& table, ChangePlace place, RowKey from, RowKey to, TupleView values);
  RowKey key_of(const TargetTable& table, TupleView tuple, TupleView fallback);
  TupleView backfilled(const Change& change);
  std::span<ColumnValue> allocate(std::size_t count);

  std::function<bool(const TargetTable&)> in_order_;
  bool writes_keys_;
  std::pmr::monotonic_buffer_resource arena_;
  std::vector<Epoch> epochs_;
  boost::unordered_flat_map<std::uint64_t, std::size_t> slots_;  // of the open epoch, by TargetTable::target_id
  bool epoch_open_ = false;
  CoalesceCounts counts_;
};

}  // namespace teal
