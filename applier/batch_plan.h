#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "applier/batch_writer.h"
#include "applier/coalescer.h"
#include "applier/quarantine.h"
#include "applier/target_tables.h"
#include "decoder/transaction.h"
#include "engine/ledger.h"

namespace teal {

/// What a run of slices comes to: net changes, control rows, and where each change went.
/// Lifetime: holds views into the slices given to `add`.
class BatchPlan {
 public:
  /// Whether a TRUNCATE of partitions that committed at that position empties the whole table they are partitions of:
  /// it names all of them, and the rows of none are younger.
  using WholeTable = std::function<bool(const TableName& table, const Change& truncate, Lsn final_lsn)>;

  /// `in_order` and `writes_keys`: see Coalescer.
  BatchPlan(TargetTables& tables, std::function<bool(const TargetTable&)> in_order, WholeTable whole_table,
            bool writes_keys = false)
      : tables_(tables), coalescer_(std::move(in_order), writes_keys), whole_table_(std::move(whole_table)) {}

  /// What is known of a slice besides its changes.
  struct SliceFacts {
    bool applied = false;                   ///< its transaction was applied before: it is only counted
    std::uint64_t changes_before = 0;       ///< in earlier slices of its transaction
    const SkippedChanges* skips = nullptr;  ///< null: nothing of the transaction is passed over
  };

  /// Adds one slice. Errors: Stopped; those of TargetTables.
  void add(const TransactionSlice& slice, const SliceFacts& facts);
  void clear();

  [[nodiscard]] std::span<Epoch> epochs() { return coalescer_.epochs(); }
  /// Rows that a conflict took out of the epochs, and how many changes they were.
  void lose(std::uint64_t rows, std::uint64_t changes) {
    lost_rows_ = rows;
    counted_.conflict_lost = changes;
  }

  [[nodiscard]] std::span<const Epoch> epochs() const { return coalescer_.epochs(); }
  [[nodiscard]] const ControlRows& control() const { return control_; }
  [[nodiscard]] const Ledger& counted() const { return counted_; }
  /// Rows of teal.quarantine whose changes were passed over.
  [[nodiscard]] std::span<const std::int64_t> skipped() const { return skipped_; }

  /// Holds what statements touched against what was planned, and enters it into the ledger.
  /// Errors: Stopped(kBug) when they disagree (invariant I2).
  [[nodiscard]] Ledger settle(std::uint64_t rows_touched) const;
  /// What `settle` will return if every statement touches the rows that it should: written with the rows themselves.
  [[nodiscard]] Ledger expected() const;

 private:
  void add_change(const TransactionSlice& slice, const Change& change, ChangePlace place, const SkippedChanges* skips);
  void add_control(const Change& change);
  void add_truncate(const TransactionSlice& slice, const Change& change, ChangePlace place,
                    const SkippedChanges* skips);
  bool passes_over(const SkippedChanges* skips, ChangePlace place);
  const TargetTable& table_of(const TransactionSlice& slice, const Relation* relation);

  TargetTables& tables_;
  Coalescer coalescer_;
  WholeTable whole_table_;
  ControlRows control_;
  Ledger counted_;
  std::vector<std::int64_t> skipped_;
  std::uint64_t row_changes_ = 0;  // given to the coalescer
  std::uint64_t truncated_ = 0;    // tables
  std::uint64_t lost_rows_ = 0;
  const Relation* last_relation_ = nullptr;
  const TargetTable* last_table_ = nullptr;
};

}  // namespace teal
