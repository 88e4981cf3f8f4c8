#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "applier/target_table.h"
#include "decoder/relation.h"

namespace teal {

/// The target tables of the relations that were announced, loaded when first needed. A source announces a table again
/// after each of its catalog's invalidations (an ANALYZE is enough): an equal shape gets the table that is known.
/// Lifetime: a reference stays valid while somebody else holds the relation it was asked for, and until
/// `forget_unsettled`. Units: memory for the latest shape of each table, and for older ones that slices still hold.
/// Threads: one, that of the session.
class TargetTables {
 public:
  using Load = std::function<TargetTable(const Relation&)>;

  explicit TargetTables(Load load) : load_(std::move(load)) {}

  /// Errors: those of `load`.
  const TargetTable& of(const std::shared_ptr<const Relation>& relation);

  /// Tables whose changes are skipped, because they are still to be copied or have left, are loaded again: that may be
  /// otherwise by now. Between two plans only.
  void forget_unsettled();

 private:
  struct Known {
    std::shared_ptr<const Relation> relation;  // keeps the address from being used again
    std::shared_ptr<const TargetTable> table;
  };

  void forget_unused();
  void share_rows(TargetTable& table);

  Load load_;
  std::unordered_map<const Relation*, Known> known_;
  std::unordered_map<std::uint32_t, Known> latest_;       // by RelationId
  std::vector<std::weak_ptr<const TargetTable>> shared_;  // TargetTable::rows
  std::size_t forget_at_ = 64;                            // relations
  bool any_unsettled_ = false;
};

}  // namespace teal
