#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "applier/batch_writer.h"
#include "applier/coalescer.h"
#include "applier/target_table.h"
#include "decoder/transaction.h"
#include "engine/ledger.h"

namespace teal {

/// The target tables of the relations that were announced, loaded when first needed. A source announces a table again
/// after each of its catalog's invalidations (an ANALYZE is enough): an equal shape gets the table that is known.
/// Lifetime: a reference stays valid while somebody else holds the relation it was asked for.
/// Units: memory for the latest shape of each table, and for older ones that slices still hold.
/// Threads: one, that of the session.
class TargetTables {
 public:
  TargetTables(PgConnection& target, LinkNames names) : target_(target), names_(std::move(names)) {}

  /// Errors: as load_target_table.
  const TargetTable& of(const std::shared_ptr<const Relation>& relation);

 private:
  struct Known {
    std::shared_ptr<const Relation> relation;  // keeps the address from being used again
    std::shared_ptr<const TargetTable> table;
  };

  void forget_unused();

  PgConnection& target_;
  LinkNames names_;
  std::unordered_map<const Relation*, Known> known_;
  std::unordered_map<std::uint32_t, Known> latest_;  // by RelationId
  std::size_t forget_at_ = 64;                       // relations
};

/// What a run of slices comes to: net changes, control rows, and where each change went.
/// Lifetime: holds views into the slices given to `add`.
class BatchPlan {
 public:
  BatchPlan(TargetTables& tables, std::function<bool(const TargetTable&)> in_order)
      : tables_(tables), coalescer_(std::move(in_order)) {}

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
  ControlRows control_;
  Ledger counted_;
  std::uint64_t row_changes_ = 0;  // given to the coalescer
  std::uint64_t truncated_ = 0;    // tables
  const Relation* last_relation_ = nullptr;
  const TargetTable* last_table_ = nullptr;
};

}  // namespace teal
