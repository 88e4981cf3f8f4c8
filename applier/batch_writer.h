#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "applier/coalescer.h"
#include "applier/copy_rows.h"
#include "applier/progress_row.h"
#include "applier/quarantine.h"
#include "applier/row_params.h"
#include "applier/statement_cache.h"
#include "decoder/ids.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/pg_error.h"

namespace teal {

/// Rows could not be written as the source had them: the server refused, or a statement touched another number of rows.
/// Careful mode narrows it down to one row, and then it is what the operator reads.
class RowsRefused : public std::runtime_error {
 public:
  explicit RowsRefused(RefusedChange change) : std::runtime_error(to_string(change)), change_(std::move(change)) {}
  /// Of merged changes: the table and the statement; the row only where it was sent alone.
  [[nodiscard]] const RefusedChange& change() const { return change_; }

 private:
  RefusedChange change_;
};

/// What a target transaction holds besides rows.
struct ControlRows {
  std::vector<std::string> markers;  ///< ids of markers that arrived
  Settlement quarantine;             ///< see Quarantine::settlement
};

/// How rows are written where other sessions write to the same ones.
struct GiveWay {
  /// Of one statement that writes rows; what exceeds it ends with PgError 57014. nullopt: as long as it takes.
  std::optional<std::chrono::milliseconds> statement_time = {};
  /// Takes the tables for itself first, so that it waits for sessions that hold rows while it holds none.
  bool lock_tables = false;
};

/// Writes target transactions: rows, progress row and origin, in this order; commits them only when every statement
/// touched the rows that it should. All that can goes to the target in one message; a COPY, of many inserts, stands
/// between two.
/// Threads: one, that of the session. Errors: RowsRefused (the transaction is rolled back), PgError.
class BatchWriter {
 public:
  BatchWriter(PgConnection& connection, LinkNames names);

  /// Begins the target transaction, if none is open: for what has to hold until its end.
  void begin();

  /// Sends the rows of `epochs`; begins the target transaction if none is open. Returns the number of rows touched,
  /// which is the number that was asked for: everything else throws. A TRUNCATE that spares rows is left to the caller.
  /// With `last`, constraints are checked and the progress row is written too.
  std::uint64_t write(std::span<const Epoch> epochs, const ControlRows& control, const ProgressRow* last);

  /// From now on.
  void give_way(GiveWay how) { give_way_ = how; }

  /// Locks the tables in which a row that was to go was not there: nothing else keeps others from its key until the
  /// commit. Of those who write there, everybody waits; readers go on.
  /// Errors: PgError 55P03 when somebody has it; the next attempt locks it first.
  void lock_absent();

  /// Sets the origin's position and commits, in one message.
  void commit(const ProgressRow& row, Timestamp commit_time);

  /// Commits rows that stand for no position of the source, after a check of deferred constraints: the progress row and
  /// the origin's position stay as they are.
  void commit_without_position();

  /// Undoes the open transaction, if any, and forgets the origin's position.
  void rollback();

  [[nodiscard]] bool open() const { return open_; }

 private:
  struct Sent {
    std::size_t first_call = 0;  ///< index in the pipeline of its PREPARE, or of itself
    std::size_t call = 0;        ///< index in the pipeline
    std::uint64_t expected = 0;
    const TargetTable* table = nullptr;
    const RowGroup* group = nullptr;  ///< null: a TRUNCATE, or with no table rows of schema teal
    ChangePlace place = {};           ///< of a TRUNCATE
  };

  void finish_commit(PgPipeline& pipeline, std::size_t committed);
  std::size_t copy_from() const;
  void send_group(PgPipeline& pipeline, const RowGroup& group);
  std::uint64_t copy_group(std::optional<PgPipeline>& pipeline, const RowGroup& group);
  std::uint64_t settle(std::optional<PgPipeline>& pipeline);
  void send_truncate(PgPipeline& pipeline, const Epoch& epoch);
  void send_markers(PgPipeline& pipeline, const ControlRows& control);
  void send_lock(PgPipeline& pipeline, const std::set<std::string>& tables, const std::string& mode);
  void send_locks(PgPipeline& pipeline, std::span<const Epoch> epochs);
  std::uint64_t send_epochs(std::optional<PgPipeline>& pipeline, std::span<const Epoch> epochs);
  std::string spell(std::uint32_t type, const ColumnValue& value);
  RefusedChange describe(const Sent& sent);
  [[noreturn]] void refuse(const PipelineFailure& failure, const std::vector<ResultHandle>& results);
  [[noreturn]] void refuse(const PgError& error, const Sent* culprit, const std::vector<ResultHandle>& results);
  std::uint64_t check_counts(const std::vector<ResultHandle>& results);
  std::uint64_t check_count(const Sent& sent, std::uint64_t count);

  PgConnection& connection_;
  LinkNames names_;
  StatementCache statements_;
  RowParams params_;
  CopyRows copy_rows_;
  std::vector<std::vector<RowGroup>> groups_;  // of the pipeline under way, for error texts
  std::vector<Sent> sent_;
  std::set<std::string> absent_;      // tables that `lock_absent` locks
  std::set<std::string> lock_first_;  // those that could not be locked then
  GiveWay give_way_;
  std::string locked_;          // by LOCK TABLE in the pipeline under way; "": nothing
  std::size_t locks_call_ = 0;  // that statement's index
  /// To the target and back, with a COMMIT there: the shortest so far.
  std::chrono::microseconds round_trip_ = std::chrono::microseconds::max();
  bool open_ = false;
};

}  // namespace teal
