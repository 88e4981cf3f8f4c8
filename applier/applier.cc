#include "applier/applier.h"

#include <algorithm>
#include <random>
#include <utility>

#include "engine/failpoint.h"
#include "engine/log.h"

namespace teal {
namespace {

constexpr std::string_view kOutOfLocks = "53200";  // or of memory
constexpr std::string_view kCancelled = "57014";   // by a time limit, or by somebody

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
      loader_(connection_, writer_, types_, options_.names, options_.binary),
      tables_([this](const Relation& relation) { return load_table(relation); }),
      plan_(
          tables_, [this](const TargetTable& table) { return all_in_order_ || careful_->contains(table.display_name); },
          [this](const TableName& table, const Change& change, Lsn final_lsn) {
            return loader_.truncates_whole(table, change, final_lsn);
          },
          options_.conflicts.has_value()),
      quarantine_(connection_, options_.names),
      contention_(options_.names.link, BatchPace(options_.batch_rows_max, std::random_device()())),
      written_(std::chrono::steady_clock::now()) {
  // The row that was found is committed, but only the target's flush makes it safe to acknowledge.
  durability_.committed(row_.held);
  durability_.read(read_wal_position(connection_));
  row_.binary = options_.binary.on;
  if (options_.conflicts) guard_.emplace(*options_.conflicts);
  // After that position: reading a table for the first time may write to the target's log, and what the row covers
  // would be safe only with that.
  quarantine_.read();
  if (guard_) guard_->read(connection_);
}

// The commit record begins at `final_lsn` and ends at `end_lsn`: no other record lies between, so comparing the
// beginning with the END that progress stores tells the same, before the end is known.
// Of what goes ahead its beginning is not known either, see commit_ahead.
bool Applier::was_applied(const TransactionSlice& slice) const {
  return ahead_ == nullptr && slice.facts.final_lsn < row_.applied;
}

void Applier::begin(const TransactionFacts& facts) {
  if (ahead_ != nullptr) give_up_ahead("another transaction came");
  facts_ = facts;
  changes_ = 0;
  received_ = 0;
}

bool Applier::full() const {
  return gathered_.rows() >= options_.batch_rows_max || gathered_.bytes() >= options_.batch_bytes_max;
}

void Applier::append(TransactionSlice slice) {
  received_ += slice.counts.received;
  const bool last = slice.last;
  const std::uint64_t changes = slice.changes.size();
  gathered_.add(std::move(slice), std::exchange(changes_, changes_ + changes));
  if (last || !full()) return;
  apply_ended();
  if (full()) write_open_slices();
}

void Applier::commit(Lsn end_lsn) {
  if (received_ > 0) sent_ = {end_lsn, facts_.xid};
  gathered_.end({0, end_lsn, guard_ ? facts_.effective_time : facts_.commit_time, facts_.commit_time, facts_.seen,
                 sent_, facts_.own});
  while (!gathered_.ended().empty() && (full() || writer_.open() || surveying_)) apply_some();
}

// What the other link has written here needs no answer at once, or the two would answer each other for ever.
bool Applier::may_rest() const {
  return guard_ && !writer_.open() && std::chrono::steady_clock::now() - written_ < options_.advance_interval &&
         std::all_of(gathered_.ended().begin(), gathered_.ended().end(), [](const Ended& ended) { return ended.own; });
}

void Applier::flush() {
  if (ahead_ != nullptr) look_after_ahead();
  if (ahead_ != nullptr) return;
  if (surveying_ || (!gathered_.ended().empty() && may_rest())) return;
  apply_ended();
  if (gathered_.pieces().empty() && !writer_.open()) write_idle_progress();
}

void Applier::idle(Lsn wal_end, Timestamp time) {
  if (ahead_ != nullptr) note_source_reads(wal_end);
  idle_to_ = wal_end;
  idle_time_ = time;
}

Lsn Applier::durable() { return durability_.poll(connection_); }

// What goes ahead may be undone on the source too: the stream becomes text when its commit needs that.
TargetTable Applier::load_table(const Relation& relation) {
  try {
    return loader_.load(relation);
  } catch (const TextNeeded&) {
    if (ahead_ == nullptr) careful_->need_text();
    throw;
  }
}

void Applier::plan(std::size_t from, std::size_t to) {
  if (guard_) guard_->begin(writer_.open());
  do {
    plan_.clear();
    tables_.forget_unsettled();
    for (std::size_t i = from; i < to; ++i) {
      const auto& [slice, changes_before] = gathered_.pieces()[i];
      plan_.add(slice, {was_applied(slice), changes_before, quarantine_.skips(slice.facts.final_lsn)});
    }
    if (!guard_) return;
  } while (!guard_->decide(plan_.epochs()));
  plan_.lose(guard_->decided().lost_rows(), guard_->decided().lost_changes());
}

// What a TRUNCATE spares is looked for once the rows before it are written.
Applier::Retry Applier::write(const ControlRows& control, const ProgressRow* last, std::uint64_t& touched) {
  std::span<const Epoch> rest = plan_.epochs();
  touched = 0;
  for (;;) {
    const auto spares = std::find_if(rest.begin(), rest.end(), [](const Epoch& epoch) { return epoch.spares; });
    if (spares == rest.end()) break;
    const auto count = static_cast<std::size_t>(spares - rest.begin()) + 1;
    touched += writer_.write(rest.first(count), {}, nullptr);
    try {
      if (!guard_->truncate(connection_, *spares)) return undo();
    } catch (const RowsRefused&) {
      writer_.rollback();
      throw;
    }
    rest = rest.subspan(count);
  }
  touched += writer_.write(rest, control, last);
  return {};
}

Applier::Retry Applier::undo() {
  writer_.rollback();
  guard_->catch_up();
  return guard_->refusal();
}

// Whether what was written is right in the light of what applications have committed before their rows were locked.
// If so, its conflicts are logged; if not, it is undone, and there is something to plan anew with.
Applier::Retry Applier::confirm(Lsn applied) {
  if (!guard_) return {};
  writer_.lock_absent();
  if (guard_->confirm(plan_.epochs())) {
    guard_->log(connection_, applied);
    return {};
  }
  return undo();
}

bool Applier::stopped_before(Gathered::Run run) const {
  const auto ended = gathered_.ended().subspan(run.first, run.size());
  return std::any_of(ended.begin(), ended.end(),
                     [this](const Ended& one) { return quarantine_.concerns(gathered_.facts(one).final_lsn); });
}

// All but one that is still open.
void Applier::apply_ended() {
  while (!gathered_.ended().empty()) apply_some();
}

// Of what has ended all that goes into one target transaction. In a two-way link that is little, and less after it was
// in the way of applications.
void Applier::apply_some() {
  Gathered::RunLimit limit;
  if (guard_) limit = {contention_.pace().transactions_max(), options_.batch_rows_max};
  const Gathered::Run run = gathered_.first_run(limit);
  if (!apply_run(run)) return;
  plan_.clear();
  gathered_.drop_ended(run.size());
}

bool Applier::apply_run(Gathered::Run run) {
  if (writer_.open() || surveying_) {
    apply_streamed();
    return true;
  }
  if (stopped_before(run)) {
    apply_one_by_one(run);
    return true;
  }
  return apply_merged_or_one_by_one(run);
}

// Whether `apply` came to its end. In a two-way link applications write to the same rows: when they were in the way,
// nothing is wrong; what was begun is undone, and the caller tries again, with less.
bool Applier::attempt(Gathered::Run run, const std::function<Retry()>& apply) {
  Retry retry;
  bool out_of_time = false;
  bool late = false;
  if (guard_) writer_.give_way({contention_.pace().statement_time(), contention_.pace().locks_tables()});
  try {
    retry = apply();
    late = retry && guard_->was_late();
  } catch (const PgError& error) {
    if (!may_give_way(error)) throw;
    writer_.rollback();
    retry = error.what();
    out_of_time = error.sqlstate() == kCancelled;
  }
  writer_.give_way({});
  if (!retry) return true;
  const TransactionFacts* first = run.size() == 0 ? nullptr : &gathered_.facts(gathered_.ended()[run.first]);
  contention_.give_way({run.size(), first, *retry, out_of_time, late}, connection_.stop_token());
  return false;
}

// Somebody may cancel a statement that writes rows, a time limit does so too; other statements have none.
bool Applier::may_give_way(const PgError& error) const {
  if (!guard_ || connection_.stop_requested()) return false;
  return is_contention(error.sqlstate()) || (error.sqlstate() == kCancelled && writer_.open());
}

bool Applier::apply_merged_or_one_by_one(Gathered::Run run) {
  try {
    return attempt(run, [&] { return apply_merged(gathered_.first_piece(run.first), gathered_.ended()[run.end - 1]); });
  } catch (const RowsRefused&) {
    apply_one_by_one(run);
  } catch (const Stopped& stopped) {
    // A table that does not fit any more, found before anything was written: what came before its change still fits,
    // and may not fit later, once the operator has altered the table.
    if (stopped.code() != StopCode::kData) throw;
    writer_.rollback();
    apply_one_by_one(run);
  } catch (const PgError& error) {
    // A merged batch locks the tables of all its transactions at once; each of them alone locks fewer.
    if (error.sqlstate() != kOutOfLocks || run.size() == 1) throw;
    log_event(LogLevel::kWarn, "batch too large for the target, applying one transaction at a time",
              {{"link", options_.names.link}, {"transactions", run.size()}, {"reason", error.what()}});
    writer_.rollback();
    apply_one_by_one(run);
  }
  return true;
}

// The tables that are refused are put in order one after the other: an order that one of them needs would cost the
// others dearly (without a key, each change is a look through the whole table).
Applier::Retry Applier::apply_merged(std::size_t from, const Ended& last) {
  const Lsn final_lsn = gathered_.facts(last).final_lsn;
  all_in_order_ = careful_->forced(final_lsn) || quarantine_.concerns(final_lsn);
  while (true) {
    const bool streamed = writer_.open();
    try {
      plan(from, last.pieces);
      return finish(last);
    } catch (const RowsRefused& refused) {
      if (!streamed && learns()) return refused.what();
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

// Rows, constraints and the progress row first; then, once every count is right, origin and COMMIT.
Applier::Retry Applier::finish(const Ended& last) {
  const Ledger before = sum(row_.ledger, open_ledger_);
  ProgressRow next = row_;
  next.applied = std::max(row_.applied, last.end_lsn);
  next.max_commit_time = std::max(row_.max_commit_time, last.commit_time);
  next.seen = std::max(row_.seen, last.seen);
  if (last.sent.end_lsn > row_.last_commit.end_lsn) next.last_commit = last.sent;
  next.held = next.applied;
  next.held_time = next.max_commit_time;
  next.held_seen = next.seen;
  if (guard_) guard_->hold_back(next, row_);
  next.fresh_at = std::max(row_.fresh_at, last.fresh_at);
  // A commit of teal's own bears the time of its origin, which may be long ago.
  if (last.own && idle_to_ <= next.applied) next.fresh_at = std::max(next.fresh_at, idle_time_);
  next.ledger = sum(before, plan_.expected());
  next.ledger.batches += 1;
  next.ledger.contended += contention_.retries();
  std::vector<std::int64_t> skipped = open_skipped_;
  skipped.insert(skipped.end(), plan_.skipped().begin(), plan_.skipped().end());
  ControlRows control = plan_.control();
  control.quarantine = quarantine_.settlement(next.applied, skipped);
  std::uint64_t touched = 0;
  if (const Retry retry = write(control, &next, touched)) return retry;
  Ledger settled = sum(before, plan_.settle(touched));
  settled.batches += 1;
  if (!settled.closes() || settled.applied != next.ledger.applied) {
    throw Stopped(StopCode::kBug, "link " + options_.names.link + ": the ledger does not close at " +
                                      to_string(next.applied) + ": " + to_string(settled) +
                                      "; nothing was committed; please report this");
  }
  if (const Retry retry = confirm(next.applied)) return retry;
  writer_.commit(next, next.max_commit_time);
  if (options_.changed_keys != nullptr) options_.changed_keys->note(plan_.epochs());
  // What was applied before and is read again says nothing of how its tables go now.
  if (next.applied > row_.applied) careful_->count_batch();
  row_ = std::move(next);
  if (guard_) guard_->committed(row_);
  open_ledger_ = {};
  open_skipped_.clear();
  quarantine_.passed(row_.applied, skipped);
  durability_.committed(row_.held);
  contention_.went_through();
  written_ = std::chrono::steady_clock::now();
  TEAL_FAILPOINT("batch_done");
  return {};
}

// The idle way: the row moves first, is flushed, and only then the acknowledgement follows (invariant I4).
void Applier::write_idle_progress() {
  const auto since = std::chrono::steady_clock::now() - written_;
  const bool advance = idle_to_ > row_.applied && since >= options_.advance_interval;
  if (!advance && since < options_.heartbeat_interval) return;
  TEAL_FAILPOINT("before_idle_progress");
  plan_.clear();
  if (guard_) guard_->begin(false);
  const Ended idle{0, std::max(idle_to_, row_.applied), row_.max_commit_time, idle_time_};
  (void)attempt({}, [&] { return finish(idle); });  // what gave way comes again with the next flush
}

}  // namespace teal
