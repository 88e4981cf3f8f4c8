#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "applier/batch_plan.h"
#include "applier/batch_writer.h"
#include "applier/careful_tables.h"
#include "applier/conflict_guard.h"
#include "applier/durability.h"
#include "applier/progress_row.h"
#include "applier/quarantine.h"
#include "engine/names.h"
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
};

/// The target end of a link: gathers source transactions into batches and commits each batch, its progress row and its
/// origin in one target transaction.
///
/// A batch ends at a source commit. A transaction that is larger than a batch is written slice by slice inside one
/// target transaction. Where the target refuses merged rows of a table, its changes are written again as the source
/// made them, and if that is not enough, transaction by transaction (careful mode); what is refused then is the
/// operator's to decide, named by table, key and LSN, and noted in teal.quarantine. Threads: one. Errors: see
/// TransactionSink.
class Applier final : public TransactionSink {
 public:
  /// `connection` holds the link's origin, and `progress` was read after it was acquired.
  Applier(ApplierOptions options, PgConnection connection, ProgressRow progress,
          std::shared_ptr<CarefulTables> careful);

  void begin(const TransactionFacts& facts) override;
  void append(TransactionSlice slice) override;
  void commit(Lsn end_lsn) override;
  void flush() override;
  void idle(Lsn wal_end, Timestamp time) override;
  [[nodiscard]] Lsn applied() const override { return row_.applied; }
  [[nodiscard]] Lsn held() const override { return row_.held; }
  [[nodiscard]] Lsn durable() override;

 private:
  struct Pending {
    TransactionSlice slice;
    std::uint64_t changes_before = 0;  ///< see BatchPlan::SliceFacts
  };
  struct Ended {
    std::size_t slices = 0;  ///< of `pending_` up to and including this transaction
    Lsn end_lsn;
    Timestamp commit_time;
    Timestamp fresh_at;    ///< as in ProgressRow
    Lsn seen = {};         ///< TransactionFacts::seen
    CommitMark sent = {};  ///< the last one up to here that had changes
    bool own = false;      ///< written by teal itself: no row of it is applied
  };

  void apply_ended();
  void apply_merged(std::size_t from, const Ended& last);
  void apply_merged_or_one_by_one(bool streamed);
  void apply_one_by_one();
  void apply_one(std::size_t from, const Ended& last);
  bool put_in_order(const RowsRefused& refused);
  [[nodiscard]] bool is_in_order(const std::string& table) const;
  void log_refused(const RowsRefused& refused) const;
  [[noreturn]] void read_again_or_stop(const RowsRefused& refused, const TransactionFacts& facts);
  void recount_pending();
  [[nodiscard]] const TransactionFacts& facts_of_last_ended() const;
  [[nodiscard]] bool stopped_before() const;
  [[noreturn]] void stop_at(const RowsRefused& refused, const TransactionFacts& facts);
  void write_open_slices();
  void plan(std::size_t from, std::size_t to);
  TargetTable load_table(const Relation& relation);
  bool truncates_whole(const TableName& table, const Change& change, Lsn final_lsn);
  [[nodiscard]] bool finish(const Ended& last);
  [[nodiscard]] bool confirm();
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
  TargetTables tables_;
  BatchPlan plan_;
  Durability durability_;

  Quarantine quarantine_;
  std::optional<ConflictGuard> guard_;

  std::vector<Pending> pending_;
  std::vector<Ended> ended_;
  std::size_t pending_rows_ = 0;
  std::size_t pending_bytes_ = 0;
  Ledger open_ledger_;                      // of slices already written in the open target transaction
  std::vector<std::int64_t> open_skipped_;  // of the same: BatchPlan::skipped
  TransactionFacts facts_;
  std::uint64_t changes_ = 0;   // of the transaction that `facts_` tells of, so far
  std::uint64_t received_ = 0;  // the same, own ones included: as the decoder counted them
  CommitMark sent_;
  bool all_in_order_ = false;
  Lsn idle_to_;
  Timestamp idle_time_;
  std::chrono::steady_clock::time_point written_;
};

}  // namespace teal
