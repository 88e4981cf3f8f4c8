// The applier's transactions that it writes before they have ended on the source: slice by slice into one target
// transaction, as those of applier_slices.cc, but everything that these do about an error is left to the time after the
// commit. Until then the transaction can still be rolled back, nobody may wait for what it locks, and what its commit's
// position decides is not known: whether it was applied before, what a copied table has of it, what is to be passed
// over. A transaction in which one of these could matter is given up.
#include <algorithm>

#include "applier/applier.h"
#include "engine/log.h"

namespace teal {
namespace {

// Without a piece: then its rows' locks, and its hold on old rows, go.
constexpr std::chrono::milliseconds kIdleMost{2'000};
// The same while the source reads on in its log, which the next block may come from.
constexpr std::chrono::milliseconds kReadsMost{10'000};
constexpr std::uint64_t kReadsBytes = 64U << 10U;
// Others wait for this session meanwhile, and hold what it waits for.
const std::string kLimitWaits = "SELECT current_setting('lock_timeout'), set_config('lock_timeout', '1s', true)";

// A TRUNCATE keeps readers out; control rows are others' to see.
bool has_to_wait(const TransactionSlice& slice) {
  return std::any_of(slice.relations.begin(), slice.relations.end(),
                     [](const auto& relation) { return relation->schema == kControlSchema; }) ||
         std::any_of(slice.changes.begin(), slice.changes.end(),
                     [](const Change& change) { return change.op == ChangeOp::kTruncate; });
}

// Changes that are skipped, because of what the commit's position tells or for as long as a table's state is what it
// is.
bool skips(const Ledger& counted) {
  return counted.own + counted.filtered + counted.below_watermark + counted.already_applied + counted.quarantined > 0;
}

}  // namespace

void Applier::ahead(AheadSlice piece) {
  if (ahead_ != nullptr && (ahead_ != piece.trial || ahead_->given_up())) give_up_ahead("it did not stay alone");
  if (piece.trial->given_up()) return;
  if (ahead_ == nullptr) begin_ahead(piece);
  if (ahead_ == nullptr) return;
  ahead_at_ = std::chrono::steady_clock::now();
  received_ += piece.slice.counts.received;
  const bool waits = !piece.slice.last && has_to_wait(piece.slice);
  const bool last = piece.slice.last;
  const Lsn end_lsn = piece.slice.end_lsn;
  const TransactionFacts facts = piece.slice.facts;
  const std::uint64_t changes = piece.slice.changes.size();
  gathered_.add(std::move(piece.slice), std::exchange(changes_, changes_ + changes));
  if (waits) return give_up_ahead("it has changes that have to wait for its commit");
  if (last) return commit_ahead(facts, end_lsn);
  if (full()) try_ahead([this] { write_ahead(); });
}

// What has ended before comes first, with its own errors.
void Applier::begin_ahead(const AheadSlice& first) {
  if (guard_ || !first.slice.first) return first.trial->give_up();
  apply_ended();
  begin(first.slice.facts);
  ahead_ = first.trial;
}

void Applier::try_ahead(const std::function<void()>& step) {
  try {
    step();
  } catch (const RowsRefused& refused) {
    give_up_ahead(refused.what());
  } catch (const ReplayNeeded& replay) {
    give_up_ahead(replay.what());
  } catch (const Stopped& stopped) {
    if (stopped.code() == StopCode::kBug) throw;
    give_up_ahead(stopped.what());
  } catch (const PgError& error) {
    if (!connection_.usable() || connection_.stop_requested()) throw;
    give_up_ahead(error.what());
  }
}

void Applier::write_ahead() {
  all_in_order_ = false;
  plan(0, gathered_.pieces().size());
  // The commit's position is above the one that is known, so this tells too often rather than too seldom.
  if (careful_->forced(facts_.final_lsn) || skips(plan_.counted())) {
    return give_up_ahead("its commit's position has to be known");
  }
  if (open_ledger_.received == 0) {
    writer_.begin();
    const Rows limit = connection_.exec("limit the wait for locks", kLimitWaits);
    lock_timeout_ = limit.str(0, 0);
    if (limit.at(0, 1) != "1s") return give_up_ahead("lock_timeout on green cannot be set");
  }
  open_ledger_ += plan_.settle(writer_.write(plan_.epochs(), {}, nullptr));
  gathered_.drop_open();
  plan_.clear();
}

// What is all in memory is an ordinary transaction from now on.
void Applier::commit_ahead(const TransactionFacts& facts, Lsn end_lsn) {
  gathered_.set_facts(facts);
  facts_ = facts;
  if (!writer_.open()) {
    ahead_->set_done();
    ahead_.reset();
    return commit(end_lsn);
  }
  if (facts.final_lsn < row_.applied) return give_up_ahead("it was applied before");
  if (quarantine_.concerns(facts.final_lsn)) return give_up_ahead("the link has stopped in it before");
  try_ahead([&] {
    wait_for_locks_again();
    apply_ahead(end_lsn);
  });
}

// It has committed on the source: nobody there waits for it, and a wait costs less than all of it once more.
void Applier::wait_for_locks_again() {
  const Rows set = connection_.exec("have locks waited for as usual", "SELECT set_config('lock_timeout', $1, true)",
                                    {lock_timeout_});
  if (set.at(0, 0) == lock_timeout_) return;
  throw Stopped(StopCode::kRefused, "lock_timeout on " + connection_.label() + " was set to " + lock_timeout_ +
                                        " but reads " + set.str(0, 0) + ": connect teal directly, not by a pooler");
}

void Applier::apply_ahead(Lsn end_lsn) {
  const CommitMark sent = received_ > 0 ? CommitMark{end_lsn, facts_.xid} : sent_;
  gathered_.end({0, end_lsn, facts_.commit_time, facts_.commit_time, facts_.seen, sent, facts_.own});
  (void)apply_merged(0, gathered_.ended().back());  // nothing gives way in a one-way link
  plan_.clear();
  gathered_.drop_ended(1);
  sent_ = sent;
  ahead_->set_done();
  ahead_.reset();
}

void Applier::note_source_reads(Lsn wal_end) {
  if (wal_end.value - std::min(wal_end, idle_to_).value < kReadsBytes) return;
  source_reads_ = std::chrono::steady_clock::now();
}

void Applier::look_after_ahead() {
  if (ahead_->given_up()) return give_up_ahead("it did not stay alone");
  const auto now = std::chrono::steady_clock::now();
  const bool idle = now - std::max(ahead_at_, source_reads_) >= kIdleMost;
  if (idle || now - ahead_at_ >= kReadsMost) give_up_ahead("nothing more of it came");
}

void Applier::give_up_ahead(const std::string& reason) {
  const bool tried = writer_.open() || open_ledger_.received > 0 || !plan_.epochs().empty();
  writer_.rollback();
  plan_.clear();
  gathered_.clear();
  open_ledger_ = {};
  open_skipped_.clear();
  ahead_->give_up();
  ahead_.reset();
  log_event(tried ? LogLevel::kInfo : LogLevel::kDebug, "large transaction is applied after its commit",
            {{"link", options_.names.link}, {"xid", facts_.xid.value}, {"reason", reason}});
}

}  // namespace teal
