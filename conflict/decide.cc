#include "conflict/decide.h"

#include <compare>
#include <stdexcept>

namespace teal {
namespace {

// Greater wins. Blue wins what is equal.
Verdict by(std::strong_ordering order, Side source) {
  return order > 0 || (order == 0 && source == Side::kBlue) ? Verdict::kWins : Verdict::kLoses;
}

}  // namespace

Verdict decide(ConflictPolicy policy, Side source_side, const IncomingChange& incoming, const LocalChanges& source,
               const LocalChanges& target) {
  const auto standing = target.unseen(incoming.key, incoming.table, incoming.commit.seen);
  if (!standing) {
    const bool all_seen = !target.unseen(incoming.key, incoming.table, incoming.first_seen);
    return all_seen ? Verdict::kApplies : Verdict::kReplaces;
  }
  const auto own = source.unseen(incoming.key, incoming.table, standing->last.seen, incoming.commit.lsn);
  if (!own) throw std::logic_error("a change is not among the changes of its own side");
  switch (policy) {
    case ConflictPolicy::kLastUpdateWins:
      return by(incoming.commit.time <=> standing->last.time, source_side);
    case ConflictPolicy::kFirstUpdateWins:
      return by(standing->first_time <=> own->first_time, source_side);
    case ConflictPolicy::kVersionColumn:
      return by(own->version_max <=> standing->version_max, source_side);
    case ConflictPolicy::kBlueWins:
      return source_side == Side::kBlue ? Verdict::kWins : Verdict::kLoses;
    case ConflictPolicy::kGreenWins:
      return source_side == Side::kGreen ? Verdict::kWins : Verdict::kLoses;
    case ConflictPolicy::kError:
      return Verdict::kStops;
  }
  throw std::logic_error("unknown conflict policy");
}

}  // namespace teal
