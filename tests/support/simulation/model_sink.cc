#include "tests/support/simulation/model_sink.h"

#include <algorithm>
#include <utility>

#include "engine/pg_error.h"

namespace teal::test {

ModelSink::ModelSink(ModelTarget& target, const ModelTarget::Row& row, std::mt19937_64& random, Mistake mistake)
    : target_(target), random_(random), mistake_(mistake), life_(target.life()), row_(row) {
  if (mistake_ == Mistake::kTrustsTheOrigin) row_.applied = std::max(row_.applied, target_.origin());
}

void ModelSink::look_alive() const {
  if (life_ != target_.life() || broken_) throw PgError("simulate", "the session is over", "57P02");
}

void ModelSink::begin(const TransactionFacts& facts) {
  look_alive();
  if (ahead_ && !ahead_->given_up()) throw Violation("C5: another transaction came while one went ahead");
  ahead_.reset();
  if (facts.seen.valid() && facts.seen != facts.final_lsn) throw Violation("I6: what an observer wrote was lost");
  open_ = Pending{};
  open_->known = facts.final_lsn < row_.applied && mistake_ != Mistake::kAppliesAgain;
}

void ModelSink::append(TransactionSlice slice) {
  look_alive();
  if (forgets_) {
    broken_ = true;
    throw ReplayNeeded("what was open was let go");
  }
  collect(slice);
}

// What its commit's position decides is not known before it, and what is refused may never be committed.
void ModelSink::ahead(AheadSlice piece) {
  look_alive();
  if (ahead_ != piece.trial) {
    if (ahead_) give_up_ahead();
    if (piece.trial->given_up() || !piece.slice.first) return piece.trial->give_up();
    write();
    open_ = Pending{};
    ahead_ = piece.trial;
  }
  collect(piece.slice);
  const bool known = piece.slice.last && piece.slice.facts.final_lsn < row_.applied;
  if (known || open_->refused || open_->counts.quarantined > 0 || below(20) == 0) ahead_->give_up();
  if (ahead_->given_up()) return give_up_ahead();
  if (!piece.slice.last) return;
  open_->end_lsn = piece.slice.end_lsn;
  ended_.push_back(*std::exchange(open_, std::nullopt));
  if (below(2) == 0) write();
  std::exchange(ahead_, nullptr)->set_done();
}

void ModelSink::give_up_ahead() {
  open_.reset();
  if (mistake_ == Mistake::kForgetsWhatWentAhead) {
    ahead_->set_done();
  } else {
    ahead_->give_up();
  }
  ahead_.reset();
}

void ModelSink::collect(const TransactionSlice& slice) {
  Ledger& counts = open_->counts;
  counts.received += slice.counts.received;
  counts.own += slice.counts.own;
  for (const Change& change : slice.changes) {
    const std::string row(change.new_tuple[0].text());
    if (open_->known) {
      ++(mistake_ == Mistake::kMiscountsWhatIsKnown ? counts.applied : counts.already_applied);
    } else if (target_.passes_over(row) || (target_.refused() == row && mistake_ == Mistake::kSkipsWhatIsRefused)) {
      ++counts.quarantined;
    } else {
      ++counts.applied;
      if (target_.refused() == row) open_->refused = row;
      open_->rows.push_back(row);
    }
  }
}

void ModelSink::commit(Lsn end_lsn) {
  look_alive();
  open_->end_lsn = end_lsn;
  ended_.push_back(*std::exchange(open_, std::nullopt));
  if (below(4) == 0) write();
}

void ModelSink::flush() {
  look_alive();
  if (ahead_ && below(4) == 0) ahead_->give_up();
  if (ahead_ && ahead_->given_up()) give_up_ahead();
  if (mistake_ == Mistake::kEndsBatchAnywhere && open_ && !open_->rows.empty()) {
    ended_.push_back(*open_);
    ended_.back().end_lsn = row_.applied;
    open_->rows.clear();
  }
  write();
  const bool moves = idle_to_ > row_.applied || (idle_to_ == row_.applied && row_.held < row_.applied);
  if (!open_ && moves && below(2) == 0) write_pending(0, idle_to_);
}

void ModelSink::idle(Lsn wal_end, Timestamp /*time*/) {
  look_alive();
  if (mistake_ != Mistake::kNeverIdle) idle_to_ = wal_end;
}

Lsn ModelSink::durable() {
  look_alive();
  return mistake_ == Mistake::kAcknowledgesApplied ? row_.held : std::min(row_.held, target_.durable_row().held);
}

// Merged, up to the first that is refused; that one stops the link once what came before it is there.
void ModelSink::write() {
  const auto refused = std::find_if(ended_.begin(), ended_.end(), [](const Pending& one) { return one.refused; });
  const auto count = static_cast<std::size_t>(refused - ended_.begin());
  const std::optional<std::string> row = refused == ended_.end() ? std::nullopt : refused->refused;
  if (count > 0) write_pending(count, ended_[count - 1].end_lsn);
  if (row) stop_at(*row);
}

// `end`: everything up to there was given to the sink.
void ModelSink::write_pending(std::size_t count, Lsn end) {
  ModelTarget::Batch batch{{}, {std::max(row_.applied, end), row_.held, row_.ledger}};
  // A link of two ways holds the slot back at times: then it is sent again what it has.
  if (below(3) != 0) batch.row.held = std::max(row_.held, end);
  for (std::size_t i = 0; i < count; ++i) {
    if (!ended_[i].known) batch.transactions.push_back(ended_[i].rows);
    batch.row.ledger += ended_[i].counts;
  }
  write_batch(batch);
  row_ = batch.row;
  ended_.erase(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(count));
}

void ModelSink::write_batch(const ModelTarget::Batch& batch) {
  const auto lost = [] { return PgError("simulate", "the connection is lost", "08006"); };
  const Breaks how = std::exchange(breaks_, Breaks::kNot);
  if (how == Breaks::kNot) return target_.commit(batch);
  if (how == Breaks::kBeforeCommit && mistake_ == Mistake::kTrustsItsCommit) return;
  broken_ = true;
  switch (how) {
    case Breaks::kNot:
      return;
    case Breaks::kBeforeCommit:
      target_.fail_commit(batch);
      throw lost();
    case Breaks::kAfterCommit:
      target_.commit(batch);
      throw lost();
    case Breaks::kInCommit:
      target_.leave_commit(batch);
      throw lost();
    case Breaks::kDeadlock:
      throw PgError("simulate", "deadlock detected", "40P01");
    case Breaks::kDiskFull:
      throw PgError("simulate", "no space left on device", "53100");
    case Breaks::kRightRevoked:
      throw PgError("simulate", "permission denied", "42501");
    case Breaks::kCorrupt:
      throw PgError("simulate", "invalid page", "XX001");
  }
}

void ModelSink::stop_at(const std::string& row) {
  broken_ = true;
  throw Stopped(StopCode::kData, "the target refuses row " + row);
}

}  // namespace teal::test
