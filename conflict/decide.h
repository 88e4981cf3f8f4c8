#pragma once
#include <cstdint>

#include "conflict/local_changes.h"
#include "conflict/policy.h"

namespace teal {

enum class Side : std::uint8_t { kBlue, kGreen };

/// What becomes of an incoming change.
enum class Verdict : std::uint8_t {
  kApplies,   ///< nothing on the target is unknown to it: its row is there as it was on the source
  kReplaces,  ///< the same, but earlier changes that were merged into it had not seen all: whatever is there gives way
  kWins,      ///< the target's version gives way
  kLoses,     ///< the target's version stays
  kStops,     ///< the policy leaves it to the operator
};

/// The net change of one key in a batch, or a TRUNCATE's for one key.
struct IncomingChange {
  KeyHash key;
  TableHash table;     ///< with the key's partition: LocalChanges::table_of
  LocalCommit commit;  ///< of the last of the changes that were merged: it decides
  Lsn first_seen;      ///< what the maker of the first one had seen
};

/// Decides between a change and what its target has that the change's maker had not seen.
///
/// `source` and `target`: the local changes of both sides, the target's complete up to a moment at which the change's
/// row was already locked there. Every policy is a total order of values that both sides take from the same two
/// streams, with the side as the tie-break (blue), so both come to the same winner; what was seen is never compared.
/// Errors: throws std::logic_error when `source` does not know the change itself.
/// Source: the design's rule; tests/conflict drives this through random histories, which converge.
[[nodiscard]] Verdict decide(ConflictPolicy policy, Side source_side, const IncomingChange& incoming,
                             const LocalChanges& source, const LocalChanges& target);

/// Decides between a change and another row of its target that holds one of its unique values: `standing`, that row's
/// key. kWins: the standing row gives way. kLoses: the change does. kStops: as above. kApplies: the change's maker had
/// seen all versions of that row, so the two sides do not disagree, and something else is wrong.
///
/// The same orders as above, between the newest versions of two keys: both sides come to the same loser of two
/// versions. The loser is then deleted on the side where it was written, as a change of that side: whatever else
/// happens to the two rows, it is a version that the other side hears of and decides like any other, so the sides
/// converge also where one of the rows changes again before it is met. The losing change is left out of the target only
/// once its own side has a later version of it, which is still to come. Errors: as above.
[[nodiscard]] Verdict decide_claim(ConflictPolicy policy, Side source_side, const IncomingChange& incoming,
                                   const KeyHash& standing, const LocalChanges& source, const LocalChanges& target);

}  // namespace teal
