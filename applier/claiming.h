#pragma once
#include <algorithm>
#include <vector>

#include "applier/claims.h"

namespace teal {

/// Whether that is one version of one row. Lifetime: until the row is deleted and its place vacuumed.
[[nodiscard]] inline bool is_same_version(const HoldingRow& one, const HoldingRow& other) {
  return one.relation == other.relation && one.place == other.place && one.xmin == other.xmin;
}

/// A row of the target that is met, and what was decided between the two.
struct Claims::Met {
  HoldingRow row;
  Verdict verdict = Verdict::kApplies;
  UnseenVersions standing = {};
};

/// A row of the batch that claims a value which those rows of the target have.
struct Claims::Claiming {
  const TargetTable* table = nullptr;
  const NetRow* row = nullptr;
  KeyHash hash;
  std::vector<Met> met = {};

  [[nodiscard]] IncomingChange change() const {
    const TransactionFacts& facts = *row->place.facts;
    return {hash, table->row_key.table, {facts.final_lsn, facts.effective_time, facts.seen}, row->first_seen};
  }
  [[nodiscard]] const Met* first(Verdict verdict) const {
    const auto found = std::find_if(met.begin(), met.end(), [&](const Met& one) { return one.verdict == verdict; });
    return found == met.end() ? nullptr : &*found;
  }
};

}  // namespace teal
