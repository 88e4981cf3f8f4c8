#include "tests/support/simulation/model_target.h"

#include <algorithm>
#include <utility>

namespace teal::test {

void ModelTarget::commit(const Batch& batch) {
  Committed next{batch.row, transactions(), committed_.empty() ? 0 : committed_.back().rows};
  for (const std::vector<std::string>& rows : batch.transactions) {
    if (next.transactions >= source_.transactions()) throw Violation("I1: more was applied than there is");
    std::vector<std::string> wanted = source_.rows(next.transactions);
    std::erase_if(wanted, [this](const std::string& row) { return passes_over(row); });
    if (rows != wanted) {
      const std::string found = rows.empty() ? "nothing" : rows.front();
      throw Violation("I1, I3: transaction " + std::to_string(next.transactions) +
                      " is next, and what came begins with " + found);
    }
    ++next.transactions;
    next.rows += rows.size();
  }
  check(next);
  origin_ = std::max(origin_, batch.row.applied);
  committed_.push_back(next);
}

void ModelTarget::check(const Committed& next) const {
  if (next.row.applied < row().applied || next.row.held < row().held) throw Violation("the progress row went back");
  if (next.row.held > next.row.applied) throw Violation("more is acknowledged than is applied");
  const std::size_t covered = source_.transactions_until(next.row.applied);
  if (covered > next.transactions) throw Violation("A8: the progress row covers what is not there");
  if (covered < next.transactions) throw Violation("A5: the progress row does not cover what is there");
  const Ledger& ledger = next.row.ledger;
  if (!ledger.closes()) throw Violation("I2: the ledger does not close: " + to_string(ledger));
  if (ledger.applied != next.rows) throw Violation("I2: there are other rows than the ledger says");
}

void ModelTarget::end_commit(bool committed) {
  const auto batch = std::exchange(in_flight_, std::nullopt);
  if (batch && committed) commit(*batch);
}

void ModelTarget::crash() {
  committed_.resize(durable_, Committed{{}, 0, 0});
  in_flight_.reset();
  origin_ = row().applied;
  ++life_;
}

void ModelTarget::lose_flushed() {
  durable_ -= durable_ / 2;
  crash();
}

void ModelTarget::pass_over() {
  if (refused_) passed_over_.insert(*std::exchange(refused_, std::nullopt));
}

}  // namespace teal::test
