#include "applier/applier.h"

#include <algorithm>
#include <utility>

#include "engine/failpoint.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::string_view kOutOfLocks = "53200";  // or of memory

Ledger sum(Ledger a, const Ledger& b) { return a += b; }

}  // namespace

Applier::Applier(ApplierOptions options, PgConnection connection, ProgressRow progress,
                 std::shared_ptr<CarefulTables> careful)
    : options_(std::move(options)),
      connection_(std::move(connection)),
      row_(std::move(progress)),
      careful_(std::move(careful)),
      writer_(connection_, options_.names),
      types_(options_.open_source, connection_),
      tables_([this](const Relation& relation) { return load_table(relation); }),
      plan_(
          tables_, [this](const TargetTable& table) { return all_in_order_ || careful_->contains(table.display_name); },
          [this](const TableName& table, const Change& change, Lsn final_lsn) {
            return truncates_whole(table, change, final_lsn);
          }),
      quarantine_(connection_, options_.names),
      written_(std::chrono::steady_clock::now()) {
  // The row that was found is committed, but only the target's flush makes it safe to acknowledge.
  durability_.committed(row_.held, read_wal_position(connection_));
  row_.binary = options_.binary.on;
  if (options_.conflicts) guard_.emplace(*options_.conflicts);
  // After that position: reading a table for the first time may write to the target's log, and what the row covers
  // would be safe only with that.
  quarantine_.read();
}

// The commit record begins at `final_lsn` and ends at `end_lsn`: no other record lies between, so comparing the
// beginning with the END that progress stores tells the same, before the end is known.
bool Applier::was_applied(const TransactionSlice& slice) const { return slice.facts.final_lsn < row_.applied; }

void Applier::begin(const TransactionFacts& facts) {
  facts_ = facts;
  changes_ = 0;
  received_ = 0;
}

void Applier::append(TransactionSlice slice) {
  pending_rows_ += slice.changes.size();
  pending_bytes_ += slice.bytes;
  received_ += slice.counts.received;
  const bool last = slice.last;
  const std::uint64_t changes_before = std::exchange(changes_, changes_ + slice.changes.size());
  pending_.push_back({std::move(slice), changes_before});
  if (pending_rows_ < options_.batch_rows_max && pending_bytes_ < options_.batch_bytes_max) return;
  if (!last) {
    apply_ended();
    if (pending_bytes_ >= options_.batch_bytes_max || pending_rows_ >= options_.batch_rows_max) write_open_slices();
  }
}

void Applier::commit(Lsn end_lsn) {
  if (received_ > 0) sent_ = {end_lsn, facts_.xid};
  ended_.push_back(Ended{pending_.size(), end_lsn, guard_ ? facts_.effective_time : facts_.commit_time,
                         facts_.commit_time, facts_.seen, sent_, facts_.own});
  const bool full = pending_rows_ >= options_.batch_rows_max || pending_bytes_ >= options_.batch_bytes_max;
  if (full || writer_.open()) apply_ended();
}

// What the other link has written here needs no answer at once, or the two would answer each other for ever.
bool Applier::may_rest() const {
  return guard_ && !writer_.open() && std::chrono::steady_clock::now() - written_ < options_.advance_interval &&
         std::all_of(ended_.begin(), ended_.end(), [](const Ended& ended) { return ended.own; });
}

void Applier::flush() {
  if (!ended_.empty() && may_rest()) return;
  apply_ended();
  if (pending_.empty() && !writer_.open()) write_idle_progress();
}

void Applier::idle(Lsn wal_end, Timestamp time) {
  idle_to_ = wal_end;
  idle_time_ = time;
}

Lsn Applier::durable() { return durability_.poll(connection_); }

// A table that is still to be copied, or has left and may be copied again, has its changes skipped: a copy will have
// them, because its snapshot is made later. That must not become untrue before the skipping is committed, hence the
// lock. A table that nobody has announced yet gets a row in teal.table_state, where whoever copies tables finds it
// (join_table).
TargetTable Applier::load_table(const Relation& relation) {
  const TableName name{relation.schema, relation.name};
  TableState state{name, "", {}, "", name};
  if (relation.schema != kControlSchema) {
    state = read_table_state(connection_, options_.names, relation);
    if (state.state.empty() || state.state == "pending" || state.state == "left") {
      writer_.begin();
      lock_pending(connection_, options_.names, false);
      connection_.exec("note a table to copy",
                       "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, "
                       "target_table, state) VALUES ($1, $2, $3, $4, $3, $4, 'pending') ON CONFLICT DO NOTHING",
                       {options_.names.migration, options_.names.link, name.schema, name.name});
      state = read_table_state(connection_, options_.names, relation);
    }
  }
  try {
    return load_target_table(connection_, relation, state, options_.binary, types_);
  } catch (const TextNeeded&) {
    careful_->need_text();
    throw;
  }
}

// A partition that is not named has rows that stay; one that was copied later came with rows that an earlier TRUNCATE
// must not take. One that is still to be copied has none yet, and while the lock is held none come.
bool Applier::truncates_whole(const TableName& table, const Change& change, Lsn final_lsn) {
  // What a partition that is joining at this moment brings has to be seen first.
  writer_.begin();
  connection_.exec("lock the partitioned table",
                   "LOCK TABLE " + quote_qualified(table.schema, table.name) + " IN ACCESS EXCLUSIVE MODE");
  const Rows parts = connection_.exec(
      "look for partitions that keep rows",
      "SELECT schema_name, table_name, watermark > $5::pg_lsn, split_part(publication_entry, '/', 2) FROM "
      "teal.table_state "
      "WHERE migration = $1 AND link = $2 AND target_schema = $3 AND target_table = $4 "
      "AND state IN ('copied', 'detached')",
      {options_.names.migration, options_.names.link, table.schema, table.name, to_string(final_lsn)});
  for (int i = 0; i < parts.size(); ++i) {
    const bool named = std::any_of(change.truncated.begin(), change.truncated.end(), [&](const Relation* relation) {
      return (relation->schema == parts.at(i, 0) && relation->name == parts.at(i, 1)) ||
             std::to_string(relation->id.value) == parts.at(i, 3);
    });
    if (!named || parts.boolean(i, 2)) return false;
  }
  return true;
}

void Applier::plan(std::size_t from, std::size_t to) {
  plan_.clear();
  tables_.forget_unsettled();
  for (std::size_t i = from; i < to; ++i) {
    const auto& [slice, changes_before] = pending_[i];
    plan_.add(slice, {was_applied(slice), changes_before, quarantine_.skips(slice.facts.final_lsn)});
  }
  if (!guard_) return;
  guard_->decide(plan_.epochs());
  plan_.lose(guard_->decided().lost_rows(), guard_->decided().lost_changes());
}

// Whether what was written is right in the light of what applications have committed before their rows were locked.
// If so, its conflicts are logged; if not, it is undone, and there is something to plan anew with.
bool Applier::confirm() {
  if (!guard_) return true;
  if (guard_->confirm(plan_.epochs())) {
    writer_.note("log conflicts", conflict_log_sql(options_.names, guard_->decided().records()));
    return true;
  }
  writer_.rollback();
  guard_->catch_up();
  return false;
}

// The next transaction may have begun: `facts_` can be that one's.
const TransactionFacts& Applier::facts_of_last_ended() const { return pending_[ended_.back().slices - 1].slice.facts; }

bool Applier::stopped_before() const {
  return std::any_of(ended_.begin(), ended_.end(), [this](const Ended& ended) {
    return quarantine_.concerns(pending_[ended.slices - 1].slice.facts.final_lsn);
  });
}

// Applies every transaction that has ended; one that is still open stays pending.
void Applier::apply_ended() {
  if (ended_.empty()) return;
  const bool streamed = writer_.open();
  if (!streamed && stopped_before()) {
    apply_one_by_one();
  } else {
    apply_merged_or_one_by_one(streamed);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(ended_.back().slices));
  ended_.clear();
  recount_pending();
  plan_.clear();
}

void Applier::recount_pending() {
  pending_rows_ = 0;
  pending_bytes_ = 0;
  for (const Pending& pending : pending_) {
    pending_rows_ += pending.slice.changes.size();
    pending_bytes_ += pending.slice.bytes;
  }
}

// `streamed`: earlier slices of the one transaction that has ended were written, and are not in memory any more.
void Applier::apply_merged_or_one_by_one(bool streamed) {
  try {
    apply_merged(0, ended_.back());
  } catch (const RowsRefused& refused) {
    if (streamed) read_again_or_stop(refused, facts_of_last_ended());
    apply_one_by_one();
  } catch (const Stopped& stopped) {
    // A table that does not fit any more, found before anything was written: what came before its change still fits,
    // and may not fit later, once the operator has altered the table.
    if (stopped.code() != StopCode::kData || streamed) throw;
    writer_.rollback();
    apply_one_by_one();
  } catch (const PgError& error) {
    // A merged batch locks the tables of all its transactions at once; each of them alone locks fewer.
    if (error.sqlstate() != kOutOfLocks || streamed || ended_.size() == 1) throw;
    log_event(LogLevel::kWarn, "batch too large for the target, applying one transaction at a time",
              {{"link", options_.names.link}, {"transactions", ended_.size()}, {"reason", error.what()}});
    writer_.rollback();
    apply_one_by_one();
  }
}

// The tables that are refused are put in order one after the other: an order that one of them needs would cost the
// others dearly (without a key, each change is a look through the whole table).
void Applier::apply_merged(std::size_t from, const Ended& last) {
  const Lsn final_lsn = pending_[last.slices - 1].slice.facts.final_lsn;
  all_in_order_ = careful_->forced(final_lsn) || quarantine_.concerns(final_lsn);
  while (true) {
    const bool streamed = writer_.open();
    try {
      plan(from, last.slices);
      if (finish(last)) return;
      if (streamed)
        throw ReplayNeeded("a large transaction has to be read again, because it met other versions of its rows");
    } catch (const RowsRefused& refused) {
      if (!streamed && learns()) continue;
      if (streamed || !put_in_order(refused)) throw;
    }
  }
}

// Whether this is news: a table that was merged, and will not be for a while.
bool Applier::put_in_order(const RowsRefused& refused) {
  const std::string& table = refused.change().table;
  if (table.empty() || is_in_order(table)) return false;
  log_refused(refused);
  careful_->remember(table);
  return true;
}

void Applier::stop_at(const RowsRefused& refused, const TransactionFacts& facts) {
  std::string way_on;
  try {
    way_on = "or pass over this change with teal quarantine skip " +
             std::to_string(quarantine_.record(facts, refused.change()));
  } catch (const PgError& error) {
    if (error.error_class() != ErrorClass::kStop) throw;
    way_on = "it could not be noted in teal.quarantine: " + std::string(error.what());
  }
  throw Stopped(StopCode::kData,
                "link " + options_.names.link + " stopped: " + refused.what() + " (transaction " +
                    std::to_string(facts.xid.value) + ", commit " + to_string(facts.final_lsn) +
                    "); nothing of it was applied and nothing is lost: mend on the target what was in its way, "
                    "then run teal again; " +
                    way_on);
}

// One source transaction per target transaction.
void Applier::apply_one_by_one() {
  std::size_t from = 0;
  for (const Ended& ended : ended_) {
    const TransactionFacts& facts = pending_[from].slice.facts;
    try {
      apply_one(from, ended);
    } catch (const RowsRefused& refused) {
      stop_at(refused, facts);
    } catch (const Stopped& stopped) {
      throw Stopped(stopped.code(), "link " + options_.names.link + " stopped before transaction " +
                                        std::to_string(facts.xid.value) + " (commit " + to_string(facts.final_lsn) +
                                        "): " + stopped.what());
    }
    from = ended.slices;
  }
}

// What fails while every change is a statement of its own, in the source's order, fails for itself.
void Applier::apply_one(std::size_t from, const Ended& last) {
  try {
    apply_merged(from, last);
    return;
  } catch (const RowsRefused& refused) {
    if (is_in_order(refused.change().table)) throw;
    log_refused(refused);
  }
  all_in_order_ = true;
  do plan(from, last.slices);
  while (!finish(last));
}

// What was refused may have met a row that an application has changed a moment ago.
bool Applier::learns() {
  if (!guard_) return false;
  guard_->catch_up();
  return guard_->knows_more();
}

bool Applier::is_in_order(const std::string& table) const { return all_in_order_ || careful_->contains(table); }

void Applier::log_refused(const RowsRefused& refused) const {
  log_event(LogLevel::kWarn, "rows refused, applying in source order",
            {{"link", options_.names.link},
             {"table", refused.change().table},
             {"sqlstate", refused.change().sqlstate},
             {"reason", refused.what()}});
}

// The slices of a large transaction that were written before are not in memory any more.
void Applier::read_again_or_stop(const RowsRefused& refused, const TransactionFacts& facts) {
  if (is_in_order(refused.change().table)) stop_at(refused, facts);
  if (!put_in_order(refused)) careful_->force_until(facts.final_lsn);
  throw ReplayNeeded("a large transaction has to be read again to apply it in source order");
}

// A transaction larger than a batch: its slices so far go into the open target transaction and leave memory.
void Applier::write_open_slices() {
  all_in_order_ = careful_->forced(facts_.final_lsn) || quarantine_.concerns(facts_.final_lsn);
  plan(0, pending_.size());
  try {
    const std::uint64_t touched = writer_.write(plan_.epochs(), plan_.control(), nullptr);
    open_ledger_ += plan_.settle(touched);
    if (!confirm())
      throw ReplayNeeded("a large transaction has to be read again, because it met other versions of its rows");
    open_skipped_.insert(open_skipped_.end(), plan_.skipped().begin(), plan_.skipped().end());
  } catch (const RowsRefused& refused) {
    read_again_or_stop(refused, facts_);
  }
  pending_.clear();
  recount_pending();
  plan_.clear();
}

// Rows, constraints and the progress row first; then, once every count is right, origin and COMMIT.
bool Applier::finish(const Ended& last) {
  const Ledger before = sum(row_.ledger, open_ledger_);
  ProgressRow next = row_;
  next.applied = std::max(row_.applied, last.end_lsn);
  next.max_commit_time = std::max(row_.max_commit_time, last.commit_time);
  next.seen = std::max(row_.seen, last.seen);
  if (last.sent.end_lsn > row_.last_commit.end_lsn) next.last_commit = last.sent;
  next.held = next.applied;
  next.held_time = next.max_commit_time;
  next.held_seen = next.seen;
  if (guard_) guard_->hold_back(next, row_.held);
  next.fresh_at = std::max(row_.fresh_at, last.fresh_at);
  next.ledger = sum(before, plan_.expected());
  next.ledger.batches += 1;
  std::vector<std::int64_t> skipped = open_skipped_;
  skipped.insert(skipped.end(), plan_.skipped().begin(), plan_.skipped().end());
  ControlRows control = plan_.control();
  control.quarantine = quarantine_.settlement(next.applied, skipped);
  const std::uint64_t touched = writer_.write(plan_.epochs(), control, &next);
  Ledger settled = sum(before, plan_.settle(touched));
  settled.batches += 1;
  if (!settled.closes() || settled.applied != next.ledger.applied) {
    throw Stopped(StopCode::kBug, "link " + options_.names.link + ": the ledger does not close at " +
                                      to_string(next.applied) + ": " + to_string(settled) +
                                      "; nothing was committed; please report this");
  }
  if (!confirm()) return false;
  const CommitPoint point = writer_.commit(next, next.max_commit_time);
  row_ = std::move(next);
  if (guard_) guard_->forget(row_.seen);
  open_ledger_ = {};
  open_skipped_.clear();
  quarantine_.passed(row_.applied, skipped);
  durability_.committed(row_.held, point);
  careful_->count_batch();
  written_ = std::chrono::steady_clock::now();
  TEAL_FAILPOINT("batch_done");
  return true;
}

// The idle way: the row moves first, is flushed, and only then the acknowledgement follows (invariant I4).
void Applier::write_idle_progress() {
  const auto since = std::chrono::steady_clock::now() - written_;
  const bool advance = idle_to_ > row_.applied && since >= options_.advance_interval;
  if (!advance && since < options_.heartbeat_interval) return;
  TEAL_FAILPOINT("before_idle_progress");
  plan_.clear();
  // Without rows there is nothing to confirm.
  (void)finish(Ended{0, std::max(idle_to_, row_.applied), row_.max_commit_time, idle_time_});
}

}  // namespace teal
