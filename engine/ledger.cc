#include "engine/ledger.h"

namespace teal {

Ledger& Ledger::operator+=(const Ledger& other) {
  received += other.received;
  applied += other.applied;
  own += other.own;
  filtered += other.filtered;
  below_watermark += other.below_watermark;
  already_applied += other.already_applied;
  quarantined += other.quarantined;
  conflict_lost += other.conflict_lost;
  transactions += other.transactions;
  batches += other.batches;
  contended += other.contended;
  return *this;
}

std::string to_string(const Ledger& ledger) {
  return "received " + std::to_string(ledger.received) + ", applied " + std::to_string(ledger.applied) + ", own " +
         std::to_string(ledger.own) + ", filtered " + std::to_string(ledger.filtered) + ", below_watermark " +
         std::to_string(ledger.below_watermark) + ", already_applied " + std::to_string(ledger.already_applied) +
         ", quarantined " + std::to_string(ledger.quarantined) + ", conflict_lost " +
         std::to_string(ledger.conflict_lost);
}

}  // namespace teal
