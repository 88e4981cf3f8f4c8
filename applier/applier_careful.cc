// The applier's way with what was refused: one transaction after the other, then one change after the other, until the
// change is known that fails for itself.
#include "applier/applier.h"
#include "engine/log.h"

namespace teal {

void Applier::stop_at(const RowsRefused& refused, const TransactionFacts& facts) {
  const std::string claims = guard_ ? guard_->claims_reason() : "";
  std::string way_on;
  try {
    way_on = "or pass over this change with teal quarantine skip " +
             std::to_string(quarantine_.record(facts, refused.change())) + " --link " + options_.names.link;
  } catch (const PgError& error) {
    if (error.error_class() != ErrorClass::kStop) throw;
    way_on = "it could not be noted in teal.quarantine: " + std::string(error.what());
  }
  throw Stopped(StopCode::kData,
                "link " + options_.names.link + " stopped: " + refused.what() + (claims.empty() ? "" : "; " + claims) +
                    " (transaction " + std::to_string(facts.xid.value) + ", commit " + to_string(facts.final_lsn) +
                    "); nothing of it was applied and nothing is lost: mend on the target what was in its way, "
                    "then run teal again; " +
                    way_on);
}

// One source transaction per target transaction.
void Applier::apply_one_by_one(Gathered::Run run) {
  for (std::size_t i = run.first; i < run.end; ++i) {
    const TransactionFacts& facts = gathered_.facts(gathered_.ended()[i]);
    try {
      while (!attempt({i, i + 1}, [&] { return apply_or_settle(i); })) continue;
    } catch (const RowsRefused& refused) {
      stop_at(refused, facts);
    } catch (const Stopped& stopped) {
      throw Stopped(stopped.code(), "link " + options_.names.link + " stopped before transaction " +
                                        std::to_string(facts.xid.value) + " (commit " + to_string(facts.final_lsn) +
                                        "): " + stopped.what());
    }
  }
}

// A value that another row of the target has may be one that the two sides disagree about. Then nobody is in the way.
Applier::Retry Applier::apply_or_settle(std::size_t transaction) {
  constexpr int kAtOnce = 20;
  for (int tries = 1;; ++tries) {
    try {
      return apply_one(transaction);
    } catch (const RowsRefused& refused) {
      if (!guard_ || !guard_->settle_claims(refused.change(), plan_.epochs())) throw;
      if (tries == kAtOnce) return refused.what();
    }
  }
}

// What fails while every change is a statement of its own, in the source's order, fails for itself.
Applier::Retry Applier::apply_one(std::size_t transaction) {
  const std::size_t from = gathered_.first_piece(transaction);
  const Ended& last = gathered_.ended()[transaction];
  try {
    return apply_merged(from, last);
  } catch (const RowsRefused& refused) {
    if (is_in_order(refused.change().table)) throw;
    log_refused(refused);
  }
  all_in_order_ = true;
  try {
    plan(from, last.pieces);
    return finish(last);
  } catch (const RowsRefused& refused) {
    if (learns()) return refused.what();
    throw;
  }
}

// What was refused may have met a row that an application has changed a moment ago.
bool Applier::learns() {
  if (!guard_) return false;
  guard_->catch_up();
  return guard_->decides_otherwise(plan_.epochs());
}

bool Applier::is_in_order(const std::string& table) const { return all_in_order_ || careful_->contains(table); }

void Applier::log_refused(const RowsRefused& refused) const {
  log_event(LogLevel::kWarn, "rows refused, applying in source order",
            {{"link", options_.names.link},
             {"table", refused.change().table},
             {"sqlstate", refused.change().sqlstate},
             {"reason", refused.what()}});
}

}  // namespace teal
