#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "applier/batch_plan.h"
#include "applier/batch_writer.h"
#include "applier/careful_tables.h"
#include "applier/changed_keys.h"
#include "applier/conflict_guard.h"
#include "applier/contention.h"
#include "applier/durability.h"
#include "applier/gathered.h"
#include "applier/progress_row.h"
#include "applier/quarantine.h"
#include "applier/table_loader.h"
#include "engine/names.h"
#include "engine/pg_error.h"
#include "engine/transaction_sink.h"

namespace teal {

struct ApplierOptions {
  LinkNames names;
  BinaryForm binary;       ///< how the stream sends values
  OpenSource open_source;  ///< for what the stream does not tell of types
  std::size_t batch_rows_max = 20'000;
  std::size_t batch_bytes_max = 4U << 20U;
  /// An idle link writes its progress row this often when the source's WAL has moved, ...
  std::chrono::milliseconds advance_interval{1'000};
  /// ... and this often when nothing moved: a sign of life for `teal status`.
  std::chrono::milliseconds heartbeat_interval{5'000};
  /// Of a two-way link; nullopt: nobody else writes to the target's tables.
  std::optional<ConflictGuardOptions> conflicts = {};
  /// Learns which rows were changed; null: nobody wants to know. Lifetime: outlives the applier.
  ChangedKeys* changed_keys = nullptr;
};

/// The target end of a link: gathers source transactions into batches and commits each batch, its progress row and its
/// origin in one target transaction.
///
/// A batch ends at a source commit. A transaction that is larger than a batch is written slice by slice inside one
/// target transaction. Where the target refuses merged rows of a table, its changes are written again as the source
/// made them, and if that is not enough, transaction by transaction (careful mode); what is refused then is the
/// operator's to decide, named by table, key and LSN, and noted in teal.quarantine.
///
/// In a one-way link a large transaction may be written before it has ended on the source (`ahead`). Whatever is in the
/// way has it undone and leaves it to its commit, and so do two seconds in which the source brought nothing.
///
/// In a two-way link applications write to the same rows. A target transaction that is in their way, or they in its
/// way, is rolled back and tried again in place, with fewer source transactions: see Contention. Only a transaction
/// whose first slices have left memory takes a new session for that. Threads: one. Errors: see TransactionSink.
class Applier final : public TransactionSink {
 public:
  /// `connection` holds the link's origin, and `progress` was read after it was acquired.
  Applier(ApplierOptions options, PgConnection connection, ProgressRow progress,
          std::shared_ptr<CarefulTables> careful);

  void begin(const TransactionFacts& facts) override;
  void append(TransactionSlice slice) override;
  void ahead(AheadSlice piece) override;
  void commit(Lsn end_lsn) override;
  void flush() override;
  void idle(Lsn wal_end, Timestamp time) override;
  [[nodiscard]] Lsn applied() const override { return row_.applied; }
  [[nodiscard]] Lsn held() const override { return row_.held; }
  [[nodiscard]] Lsn durable() override;

 private:
  using Ended = Gathered::Ended;
  /// Why nothing was committed and what was written is undone, so that it has to be tried again; nothing: it was
  /// committed.
  using Retry = std::optional<std::string>;

  [[nodiscard]] bool full() const;
  void apply_ended();
  void apply_some();
  [[nodiscard]] bool apply_run(Gathered::Run run);
  void apply_streamed();
  [[nodiscard]] bool attempt(Gathered::Run run, const std::function<Retry()>& apply);
  [[nodiscard]] bool may_give_way(const PgError& error) const;
  [[nodiscard]] bool apply_merged_or_one_by_one(Gathered::Run run);
  [[nodiscard]] Retry apply_merged(std::size_t from, const Ended& last);
  void apply_one_by_one(Gathered::Run run);
  [[nodiscard]] Retry apply_one(std::size_t transaction);
  [[nodiscard]] Retry apply_or_settle(std::size_t transaction);
  bool put_in_order(const RowsRefused& refused);
  [[nodiscard]] bool is_in_order(const std::string& table) const;
  void log_refused(const RowsRefused& refused) const;
  void survey_or_stop(const RowsRefused& refused, const TransactionFacts& facts);
  [[nodiscard]] bool stopped_before(Gathered::Run run) const;
  [[noreturn]] void stop_at(const RowsRefused& refused, const TransactionFacts& facts);
  void write_open_slices();
  void begin_ahead(const AheadSlice& first);
  void try_ahead(const std::function<void()>& step);
  void write_ahead();
  void commit_ahead(const TransactionFacts& facts, Lsn end_lsn);
  void wait_for_locks_again();
  void apply_ahead(Lsn end_lsn);
  void note_source_reads(Lsn wal_end);
  void look_after_ahead();
  void give_up_ahead(const std::string& reason);
  [[nodiscard]] TargetTable load_table(const Relation& relation);
  void plan(std::size_t from, std::size_t to);
  void survey(std::size_t to);
  [[noreturn]] void end_survey(const Ended& last);
  [[nodiscard]] Retry finish(const Ended& last);
  [[nodiscard]] Retry write(const ControlRows& control, const ProgressRow* last, std::uint64_t& touched);
  [[nodiscard]] Retry undo();
  [[nodiscard]] Retry confirm(Lsn applied);
  [[nodiscard]] bool may_rest() const;
  [[nodiscard]] bool learns();
  void write_idle_progress();
  [[nodiscard]] bool was_applied(const TransactionSlice& slice) const;

  ApplierOptions options_;
  PgConnection connection_;
  ProgressRow row_;
  std::shared_ptr<CarefulTables> careful_;
  BatchWriter writer_;
  ColumnFit types_;
  TableLoader loader_;
  TargetTables tables_;
  BatchPlan plan_;
  Durability durability_;

  Quarantine quarantine_;
  std::optional<ConflictGuard> guard_;
  Contention contention_;  // of a two-way link

  Gathered gathered_;
  Ledger open_ledger_;                      // of slices already written in the open target transaction
  std::vector<std::int64_t> open_skipped_;  // of the same: BatchPlan::skipped
  TransactionFacts facts_;
  std::uint64_t changes_ = 0;   // of the transaction that `facts_` tells of, so far
  std::uint64_t received_ = 0;  // the same, own ones included: as the decoder counted them
  CommitMark sent_;
  std::shared_ptr<AheadTrial> ahead_;  // of what is gathered, and of the open target transaction; null: it has ended
  std::chrono::steady_clock::time_point ahead_at_;      // its last piece came
  std::chrono::steady_clock::time_point source_reads_;  // the source was seen to come further in its log
  std::string lock_timeout_;  // the session's own, while the open target transaction has another
  bool all_in_order_ = false;
  bool surveying_ = false;  // the open transaction is not written: what would be refused is settled
  Lsn idle_to_;
  Timestamp idle_time_;
  std::chrono::steady_clock::time_point written_;
};

}  // namespace teal
