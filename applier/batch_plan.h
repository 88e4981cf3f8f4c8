#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "applier/batch_writer.h"
#include "applier/coalescer.h"
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

  BatchPlan(TargetTables& tables, std::function<bool(const TargetTable&)> in_order, WholeTable whole_table)
      : tables_(tables), coalescer_(std::move(in_order)), whole_table_(std::move(whole_table)) {}

  /// Adds one slice. `skip`: its transaction was applied before; it is only counted.
  void add(const TransactionSlice& slice, bool skip);
  void clear();

  [[nodiscard]] std::span<const Epoch> epochs() const { return coalescer_.epochs(); }
  [[nodiscard]] const ControlRows& control() const { return control_; }
  [[nodiscard]] const Ledger& counted() const { return counted_; }

  /// Holds what statements touched against what was planned, and enters it into the ledger.
  /// Errors: Stopped(kBug) when they disagree (invariant I2).
  [[nodiscard]] Ledger settle(std::uint64_t rows_touched) const;
  /// What `settle` will return if every statement touches the rows that it should: written with the rows themselves.
  [[nodiscard]] Ledger expected() const;

 private:
  void add_change(const TransactionSlice& slice, const Change& change);
  void add_control(const Change& change);
  void add_truncate(const TransactionSlice& slice, const Change& change);
  const TargetTable& table_of(const TransactionSlice& slice, const Relation* relation);

  TargetTables& tables_;
  Coalescer coalescer_;
  WholeTable whole_table_;
  ControlRows control_;
  Ledger counted_;
  std::uint64_t row_changes_ = 0;  // given to the coalescer
  std::uint64_t truncated_ = 0;    // tables
  const Relation* last_relation_ = nullptr;
  const TargetTable* last_table_ = nullptr;
};

}  // namespace teal
