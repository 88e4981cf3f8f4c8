// The applier's transactions that are larger than a batch: written slice by slice inside one target transaction.
#include "applier/applier.h"

namespace teal {
namespace {

[[noreturn]] void throw_met_others(const std::string& reason) {
  throw ReplayNeeded("a large transaction has to be read again: " + reason);
}

}  // namespace

// Earlier slices of the one transaction that has ended were written, and are not in memory any more.
void Applier::apply_streamed() {
  const Ended& last = gathered_.ended().back();
  if (surveying_) end_survey(last);
  try {
    if (const Retry retry = apply_merged(0, last)) throw_met_others(*retry);
  } catch (const RowsRefused& refused) {
    survey_or_stop(refused, gathered_.facts(last));
    throw_met_others(refused.what());
  }
}

// The slices of a large transaction that were written before are not in memory any more. What the rest would be refused
// for, claims of unique values, is settled before it is all read again: each of them would be a reading of its own. No
// target transaction is open meanwhile, so that nobody waits for this.
void Applier::survey_or_stop(const RowsRefused& refused, const TransactionFacts& facts) {
  if (learns()) throw_met_others(refused.what());
  if (is_in_order(refused.change().table)) {
    if (!guard_ || !guard_->settle_claims(refused.change(), plan_.epochs())) stop_at(refused, facts);
    surveying_ = true;
    open_ledger_ = {};
    open_skipped_.clear();
    survey(gathered_.pieces().size());
    return;
  }
  if (!put_in_order(refused)) careful_->force_until(facts.final_lsn);
  throw ReplayNeeded("a large transaction has to be read again to apply it in source order");
}

// Of the pieces up to there.
void Applier::survey(std::size_t to) {
  constexpr int kTimes = 3;
  const auto concerns = [this](const TargetTable& table) { return is_in_order(table.display_name); };
  plan(0, to);
  for (int i = 0; i < kTimes && guard_->settle_claims_ahead(plan_.epochs(), concerns); ++i) plan(0, to);
  guard_->passed(plan_.epochs());
}

void Applier::end_survey(const Ended& last) {
  survey(last.pieces);
  throw_met_others("unique values that its rows claim were settled");
}

// A transaction larger than a batch: its slices so far go into the open target transaction and leave memory.
void Applier::write_open_slices() {
  all_in_order_ = careful_->forced(facts_.final_lsn) || quarantine_.concerns(facts_.final_lsn);
  if (surveying_) {
    survey(gathered_.pieces().size());
  } else {
    plan(0, gathered_.pieces().size());
    try {
      std::uint64_t touched = 0;
      if (const Retry retry = write(plan_.control(), nullptr, touched)) throw_met_others(*retry);
      open_ledger_ += plan_.settle(touched);
      if (const Retry retry = confirm(row_.applied)) throw_met_others(*retry);
      open_skipped_.insert(open_skipped_.end(), plan_.skipped().begin(), plan_.skipped().end());
      if (guard_) guard_->passed(plan_.epochs());
    } catch (const RowsRefused& refused) {
      survey_or_stop(refused, facts_);
    }
  }
  gathered_.drop_open();
  plan_.clear();
}

}  // namespace teal
