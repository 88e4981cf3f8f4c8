#include "applier/table_join.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

#include "applier/batch_plan.h"
#include "applier/batch_writer.h"
#include "applier/target_session.h"
#include "applier/target_tables.h"
#include "decoder/transaction_assembler.h"
#include "engine/failpoint.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "engine/wait_log.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kNearBytes = 1U << 20U;  // of the source's log: so little is caught up while the link waits
constexpr int kInVain = 3;                       // rounds of catching up that do not halve what is left
constexpr std::size_t kBatchRows = 20'000;
constexpr std::size_t kBatchBytes = 4U << 20U;
constexpr milliseconds kWait{100};
constexpr milliseconds kSilence{60'000};
constexpr milliseconds kTellWaiting{10'000};

// How far the link has come. `locked`: it does not come farther until the end of the target's transaction.
Lsn read_applied(PgConnection& target, const LinkNames& names, bool locked) {
  const Rows rows = target.exec("read how far the link has come",
                                std::string("SELECT applied FROM teal.progress WHERE migration = $1 AND link = $2 AND "
                                            "lane = 0") +
                                    (locked ? " FOR UPDATE" : ""),
                                {names.migration, names.link});
  const auto lsn = rows.size() == 1 ? parse_lsn(rows.at(0, 0)) : std::nullopt;
  if (!lsn) throw Stopped(StopCode::kRefused, "the progress row of " + names.link + " is gone from the target");
  return *lsn;
}

// Under whatever name.
bool is_same_table(const Relation& relation, const CopyTable& table) {
  return entry_table(table.publication_entry) == std::to_string(relation.id.value);
}

// One table's changes out of the stream of its snapshot's slot, written into an open target transaction.
class CatchUp {
 public:
  CatchUp(ReplicationStream stream, const JoinOptions& options, const CopyTable& table, Lsn from, bool in_order,
          PgConnection& target, BatchWriter& writer)
      : stream_(std::move(stream)),
        assembler_(AssemblerOptions{options.names.own_origin_prefix()}),
        position_(from),
        writer_(writer),
        types_([source = options.source] { return PgConnection::connect(source); }, target),
        tables_([this, &target, table, from](const Relation& relation) {
          if (!is_same_table(relation, table)) return left_table(relation);
          return load_target_table(target, relation,
                                   {table.name, "copied", from, table.publication_entry, table.target, table.bounds},
                                   {}, types_);
        }),
        plan_(
            tables_, [in_order](const TargetTable&) { return in_order; },
            [](const TableName&, const Change&, Lsn) { return false; }) {}

  /// Applies exactly what was committed below `end`, counted from the last call.
  void run_to(Lsn end) {
    for (; !carried_.empty() && carried_.front().facts.final_lsn < end; carried_.pop_front()) {
      keep(std::move(carried_.front()));
    }
    if (carried_.empty()) run(end);
    write();
  }

 private:
  void run(Lsn end) {
    ask_ = true;
    auto heard = std::chrono::steady_clock::now();
    while (position_ < end && carried_.empty()) {
      if (auto frame = stream_.next_frame()) {
        heard = std::chrono::steady_clock::now();
        take(std::move(*frame), end);
        continue;
      }
      if (stream_.stop_requested()) throw Interrupted("stopped while a table was joining; nothing of it was kept");
      // A keepalive says that there is nothing more below.
      if (std::exchange(ask_, false)) send_status(true);
      if (!stream_.readable(kWait)) {
        ask_ = true;
        if (std::chrono::steady_clock::now() - heard > kSilence) {
          throw PgError("read the stream of a joining table", "nothing was heard from the source", "");
        }
      } else if (!stream_.read_socket()) {
        stream_.next_frame();  // says what happened
        throw PgError("read the stream", "the source closed the connection", "");
      }
    }
  }

  void send_status(bool ask) { stream_.send({position_, position_, position_, {}, ask}); }

  void take(Frame frame, Lsn end) {
    const auto envelope = parse_copy_data(frame.bytes());
    if (!envelope) refuse(envelope.error());
    if (const auto* keepalive = std::get_if<PrimaryKeepalive>(&*envelope)) {
      if (!assembler_.in_transaction()) position_ = std::max(position_, keepalive->wal_end);
      if (keepalive->reply_requested) send_status(false);
      return;
    }
    const auto& data = std::get<XLogData>(*envelope);
    auto added = assembler_.add(data.start, data.payload, std::move(frame));
    if (!added) refuse(added.error());
    if (!added->has_value()) return;
    TransactionSlice& slice = **added;
    const Lsn reached = slice.last ? slice.end_lsn : position_;
    // In commit order: once one lies above, nothing below is to come.
    if (slice.facts.final_lsn < end) {
      keep(std::move(slice));
    } else {
      carried_.push_back(std::move(slice));
    }
    position_ = std::max(position_, reached);
  }

  void keep(TransactionSlice slice) {
    rows_ += slice.changes.size();
    bytes_ += slice.bytes;
    slices_.push_back(std::move(slice));
    plan_.add(slices_.back(), {});
    if (rows_ >= kBatchRows || bytes_ >= kBatchBytes) write();
  }

  void write() {
    if (slices_.empty()) return;
    const std::uint64_t touched = writer_.write(plan_.epochs(), {}, nullptr);
    if (!plan_.settle(touched).closes()) {
      throw Stopped(StopCode::kBug, "the ledger of a joining table does not close; nothing was committed");
    }
    plan_.clear();
    slices_.clear();
    rows_ = bytes_ = 0;
  }

  [[noreturn]] static void refuse(const DecodeError& error) {
    throw Stopped(StopCode::kData, "the source's stream could not be decoded: " + to_string(error));
  }

  ReplicationStream stream_;
  TransactionAssembler assembler_;
  Lsn position_;  // everything committed below has been received
  bool ask_ = true;
  BatchWriter& writer_;
  ColumnFit types_;
  TargetTables tables_;
  BatchPlan plan_;
  std::deque<TransactionSlice> carried_;  // received, and committed above where the link has come
  std::deque<TransactionSlice> slices_;   // the plan holds views into them
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
};

// Until little is left; or until it gets no less, where the link runs away from this: what is left then is caught up
// while the link waits, which leaves it more of the machine.
void approach(CatchUp& catch_up, PgConnection& target, const JoinOptions& options, const CopyTable& table) {
  std::uint64_t least = UINT64_MAX;
  int in_vain = 0;
  Lsn end = read_applied(target, options.names, false);
  do {
    catch_up.run_to(end);
    const Lsn next = read_applied(target, options.names, false);
    const std::uint64_t left = bytes_between(end, next);
    in_vain = left < least / 2 ? 0 : in_vain + 1;
    least = std::min(least, left);
    end = next;
    log_event(LogLevel::kDebug, "joining table catches up",
              {{"link", options.names.link}, {"table", table.display_name()}, {"bytes_left", left}});
  } while (least >= kNearBytes && in_vain < kInVain);
}

// Rows that are younger than what the link has applied could be in its way: it would insert once more what has since
// moved to the joining partition. It waits as long as the link lags, and says so.
void wait_for_link(PgConnection& target, const JoinOptions& options, Lsn snapshot, const std::stop_token& stop) {
  auto told = std::chrono::steady_clock::now();
  for (Lsn applied; (applied = read_applied(target, options.names, false)) < snapshot;) {
    if (std::chrono::steady_clock::now() - told > kTellWaiting) {
      told = std::chrono::steady_clock::now();
      log_event(LogLevel::kInfo, "joining waits for the link",
                {{"link", options.names.link}, {"bytes", bytes_between(applied, snapshot)}});
    }
    if (!pause_for(kWait, stop)) throw Interrupted("stopped while a table was joining; nothing of it was kept");
  }
}

}  // namespace

JoinResult join_table(const JoinOptions& options, const CopyTable& table, bool in_order, CopyCounters& counters,
                      const std::stop_token& stop) {
  PgConnection source = PgConnection::connect(options.source);
  source.set_stop_token(stop);
  source.set_wait_listener(log_long_waits(source, "join"));
  const TableShapes shapes = read_table_shapes(source);
  TableSnapshot snapshot(options.snapshot, stop);
  const Lsn from = snapshot.consistent_point();
  const unsigned timeline = snapshot.timeline();
  TEAL_FAILPOINT("join_snapshot_made");
  PgConnection target = open_target_session({options.target, options.names.copy_origin(0), true}, stop);
  wait_for_link(target, options, from, stop);
  if (options.prepare_link) options.prepare_link(from);
  BatchWriter writer(target, options.names);
  writer.begin();
  check_target_empty(target, table);
  check_range_empty(target, table);
  const CopiedRows copied = copy_rows(source, snapshot, table, target, counters);
  if (!read_as_expected(source, table, shapes)) return JoinResult::kAltered;
  TEAL_FAILPOINT("join_rows_copied");
  CatchUp catch_up(std::move(snapshot).stream(options.publications), options, table, from, in_order, target, writer);
  approach(catch_up, target, options, table);
  lock_pending(target, options.names, true);
  TEAL_FAILPOINT("join_locked");
  const Lsn end = read_applied(target, options.names, true);
  catch_up.run_to(end);
  target.exec("check deferred constraints", "SET CONSTRAINTS ALL IMMEDIATE");
  note_copied(target, options.names, table, copied, {end, timeline}, {});
  note_range_taken(target, options.names, table);
  TEAL_FAILPOINT("join_before_commit");
  const Rows committed = target.exec("commit the joined table", "COMMIT");
  if (std::string_view(PQcmdStatus(committed.raw())) != "COMMIT") {
    throw Stopped(StopCode::kRefused, "the target answered COMMIT with " + std::string(PQcmdStatus(committed.raw())));
  }
  TEAL_FAILPOINT("join_committed");
  ++counters.tables_done;
  analyze_copied(target, options.names, table);
  log_event(LogLevel::kInfo, "table joined",
            {{"link", options.names.link},
             {"table", table.display_name()},
             {"rows", copied.rows},
             {"bytes", copied.bytes},
             {"watermark", to_string(end)}});
  return JoinResult::kJoined;
}

}  // namespace teal
