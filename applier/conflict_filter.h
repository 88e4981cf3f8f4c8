#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "applier/coalescer.h"
#include "applier/fetched_keys.h"
#include "applier/lost_claims.h"
#include "applier/side_changes.h"
#include "applier/source_rows.h"
#include "applier/spared_rows.h"
#include "conflict/decide.h"
#include "conflict/policy.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

namespace teal {

/// What is written about a change that met another version of its row, see teal.conflict_log.
/// Lifetime: `key` and `values` point to where the batch's rows do.
struct ConflictRecord {
  ConflictType type = ConflictType::kInsertExists;
  const TargetTable* table = nullptr;
  RowKey key;
  TupleView values;          ///< the incoming row, in the source relation's column order; empty: it is taken away
  Lsn lsn;                   ///< of the incoming change's commit, in the source's log
  Timestamp time;            ///< its effective time
  Lsn standing_lsn;          ///< of the target's version, in the target's log
  Timestamp standing_time;   ///< its effective time
  bool applied = false;      ///< the incoming change won
  RowKey standing_key = {};  ///< of the target's version, where it is another row that holds a value; empty: the same
};

/// A key as messages and teal.conflict_log show it: `("id")=(7)`.
[[nodiscard]] std::string key_text(const TargetTable& table, const RowKey& key);

/// What a two-way link knows of its two sides. Lifetime: all of it outlives the link's sessions.
struct ConflictOptions {
  Side source_side = Side::kBlue;
  SideChanges* source = nullptr;
  SideChanges* target = nullptr;
  std::function<ConflictPolicy(const TableName&)> policy;
  std::shared_ptr<LostClaims> lost = std::make_shared<LostClaims>();  ///< never null
};

/// Holds the rows of a batch against what applications have changed on the target, and turns each into what is to be
/// written: as it is, whatever is there, or not at all.
/// Threads: one.
class ConflictFilter {
 public:
  /// Lifetime: `source_rows` and `fetched` outlive it.
  ConflictFilter(ConflictOptions options, const SourceRows& source_rows, FetchedKeys& fetched)
      : options_(std::move(options)), source_rows_(source_rows), fetched_(fetched) {}

  /// Decides by what is known of the target by now. A later look may find more: see `first_that_differs`. Not finished
  /// while rows are `wanted`: read them, plan anew, and decide again.
  /// Errors: Stopped(kData) for the policy `error`.
  void decide(std::span<Epoch> epochs);
  /// Rows that have to be written whole, were not sent whole, and have not been read from the source yet.
  [[nodiscard]] std::span<const WantedRow> wanted() const { return wanted_; }

  /// Once the rows are written, and so locked, and the target's stream has passed that moment: the table of a row that
  /// should not have been written like that. Then undo what was written, plan anew, and decide with what is known now.
  /// Null: all is well.
  [[nodiscard]] const TargetTable* first_that_differs(std::span<const Epoch> epochs);

  /// Whether `decide` would come to something else by what is known now. Stricter than `first_that_differs`: rows that
  /// the server refused hold no locks.
  [[nodiscard]] bool decides_otherwise(std::span<const Epoch> epochs) const;

  /// What the TRUNCATE of `epoch` leaves of `table`, one of its, by what is known now; with `stops`, the policy leaves
  /// that to the operator.
  struct Later {
    LaterKeys keys;
    bool stops = false;
  };
  [[nodiscard]] Later later_than(const Epoch& epoch, const TargetTable& table) const;
  /// Notes a row that it left, or stops there. Lifetime of the key: until `clear`. Errors: Stopped(kData).
  void spare(const Epoch& epoch, const TargetTable& table, const SparedRows::Row& row, bool stops);

  /// What was decided is committed: its rows are about to go, and with them what is known of them here.
  void clear();

  /// Of the last `decide`, and of what `first_that_differs` found to have won without having to be written otherwise.
  [[nodiscard]] const std::vector<ConflictRecord>& records() const { return records_; }
  /// Row operations that were taken out by the last `decide`, and how many changes they were.
  [[nodiscard]] std::uint64_t lost_rows() const { return lost_rows_; }
  [[nodiscard]] std::uint64_t lost_changes() const { return lost_changes_; }

 private:
  struct Both;
  using AsDecided = std::function<bool(const TargetTable&, const RowKey&, const NetRow&, Both)>;

  [[nodiscard]] const TargetTable* find(std::span<const Epoch> epochs, const AsDecided& as_decided) const;
  Verdict look(const TargetTable& table, const RowKey& key, const NetRow& row, Both both,
               std::optional<UnseenVersions>* standing) const;
  void record(const TargetTable& table, const RowKey& key, const NetRow& row, NetOp op, const UnseenVersions& standing,
              bool applied);
  void lose(NetRow& row);
  [[nodiscard]] const LostClaim* lost_claim(const TargetTable& table, const NetRow& row) const;
  void leave_out(const TargetTable& table, NetRow& row, const LostClaim& claim, Both both);
  void decide_row(const TargetTable& table, NetRow& row, Both both);
  void remove(const TargetTable& table, NetRow& row, Both both);
  void put_whole(const TargetTable& table, NetRow& row, Both both);
  bool complete(const TargetTable& table, NetRow& row, const SourceRows::Row& source);
  void write_over_fetched(const TargetTable& table, NetRow& row, Both both);
  [[nodiscard]] static Lsn newest_there(const TargetTable& table, const RowKey& key, Both both);
  void decide_move(Segment& segment, Both both);
  void add_later(const Epoch& epoch, const TargetTable& table, Both both, LaterKeys& later, bool* stops) const;
  [[nodiscard]] bool spares(const Epoch& epoch, Both both) const;
  bool holds_row(const TargetTable& table, const RowKey& key, const NetRow& row, Both both);

  ConflictOptions options_;
  const SourceRows& source_rows_;
  FetchedKeys& fetched_;
  std::vector<WantedRow> wanted_;
  std::deque<std::vector<ColumnValue>> completed_;  // what the values of rows that were read point to
  std::vector<ConflictRecord> records_;
  std::uint64_t lost_rows_ = 0;
  std::uint64_t lost_changes_ = 0;
};

}  // namespace teal
