#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "applier/holding_rows.h"
#include "conflict/local_changes.h"
#include "conflict/policy.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

namespace teal {

/// A change of the source that claims a unique value which another row of the target keeps: it is not written.
struct LostClaim {
  HoldingRow standing;  ///< that row
  ConflictType type = ConflictType::kInsertExists;
  Lsn standing_lsn;         ///< of its newest version, in the target's log
  Timestamp standing_time;  ///< its effective time
  Lsn as_of;                ///< a later version of the change's row is below this position of the source's log
};

/// What a link has decided about claims, until their changes have passed.
///
/// Such a change may be left out whatever happens to the other row: its source has a later version of its row, which is
/// still to come. It outlives the link's sessions, because a large transaction is read again in a new one. Without it,
/// as in a new process, the same is decided again. Threads: one.
class LostClaims {
 public:
  void add(const KeyHash& key, Lsn commit, std::uint64_t position, LostClaim claim) {
    claims_.insert_or_assign({commit, position, key.high, key.low}, std::move(claim));
  }
  /// `commit` and `position`: see ChangePlace. Null: it is none. Lifetime: until `forget`.
  [[nodiscard]] const LostClaim* find(const KeyHash& key, Lsn commit, std::uint64_t position) const {
    const auto found = claims_.find({commit, position, key.high, key.low});
    return found == claims_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool empty() const { return claims_.empty(); }
  /// Of the commits that `applied` covers.
  void forget(Lsn applied) { claims_.erase(claims_.begin(), claims_.lower_bound({applied, 0, 0, 0})); }

 private:
  std::map<std::tuple<Lsn, std::uint64_t, std::uint64_t, std::uint64_t>, LostClaim> claims_;
};

}  // namespace teal
