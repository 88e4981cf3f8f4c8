#include "conflict/decide.h"

#include <compare>
#include <stdexcept>

namespace teal {
namespace {

// Greater wins. Blue wins what is equal.
Verdict by(std::strong_ordering order, Side source) {
  return order > 0 || (order == 0 && source == Side::kBlue) ? Verdict::kWins : Verdict::kLoses;
}

// Between the versions of `incoming.key` that `standing`'s maker had not seen and `standing`: of the same key, or of
// one that claims the same value.
Verdict between(ConflictPolicy policy, Side source_side, const IncomingChange& incoming, const LocalChanges& source,
                const UnseenVersions& standing) {
  const auto own = source.unseen(incoming.key, incoming.table, standing.last.seen, incoming.commit.lsn);
  if (!own) throw std::logic_error("a change is not among the changes of its own side");
  switch (policy) {
    case ConflictPolicy::kLastUpdateWins:
      return by(incoming.commit.time <=> standing.last.time, source_side);
    case ConflictPolicy::kFirstUpdateWins:
      return by(standing.first_time <=> own->first_time, source_side);
    case ConflictPolicy::kVersionColumn:
      return by(own->version_max <=> standing.version_max, source_side);
    case ConflictPolicy::kBlueWins:
      return source_side == Side::kBlue ? Verdict::kWins : Verdict::kLoses;
    case ConflictPolicy::kGreenWins:
      return source_side == Side::kGreen ? Verdict::kWins : Verdict::kLoses;
    case ConflictPolicy::kError:
      return Verdict::kStops;
  }
  throw std::logic_error("unknown conflict policy");
}

}  // namespace

Verdict decide(ConflictPolicy policy, Side source_side, const IncomingChange& incoming, const LocalChanges& source,
               const LocalChanges& target) {
  const auto standing = target.unseen(incoming.key, incoming.table, incoming.commit.seen);
  if (standing) return between(policy, source_side, incoming, source, *standing);
  const bool all_seen = !target.unseen(incoming.key, incoming.table, incoming.first_seen);
  return all_seen ? Verdict::kApplies : Verdict::kReplaces;
}

Verdict decide_claim(ConflictPolicy policy, Side source_side, const IncomingChange& incoming, const KeyHash& standing,
                     const LocalChanges& source, const LocalChanges& target) {
  const auto claims = target.unseen(standing, incoming.table, incoming.commit.seen);
  return claims ? between(policy, source_side, incoming, source, *claims) : Verdict::kApplies;
}

}  // namespace teal
