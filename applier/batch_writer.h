#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "applier/array_param.h"
#include "applier/coalescer.h"
#include "applier/progress_row.h"
#include "applier/statement_cache.h"
#include "decoder/ids.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// Rows could not be written as the source had them: the server refused, or a statement touched another number of rows.
/// Careful mode narrows it down to one row, and then it is what the operator reads.
class RowsRefused : public std::runtime_error {
 public:
  RowsRefused(const std::string& text, std::string table, std::string sqlstate)
      : std::runtime_error(text), table_(std::move(table)), sqlstate_(std::move(sqlstate)) {}
  [[nodiscard]] const std::string& table() const { return table_; }        ///< schema.table
  [[nodiscard]] const std::string& sqlstate() const { return sqlstate_; }  ///< empty: a count was wrong

 private:
  std::string table_;
  std::string sqlstate_;
};

/// Where the target's WAL was after a commit was acknowledged.
struct CommitPoint {
  Lsn inserted;  ///< everything of the commit lies below
  Lsn flushed;
};

/// What a target transaction holds besides rows.
struct ControlRows {
  std::vector<std::string> markers;  ///< ids of markers that arrived
};

/// Writes target transactions: rows, progress row and origin, in this order; commits them only when every statement
/// touched the rows that it should.
/// Threads: one, that of the session. Errors: RowsRefused (the transaction is rolled back), PgError.
class BatchWriter {
 public:
  BatchWriter(PgConnection& connection, LinkNames names);

  /// Begins the target transaction, if none is open: for what has to hold until its end.
  void begin();

  /// Sends the rows of `epochs`; begins the target transaction if none is open. Returns the number of rows touched,
  /// which is the number that was asked for: everything else throws.
  /// With `last`, constraints are checked and the progress row is written too.
  std::uint64_t write(std::span<const Epoch> epochs, const ControlRows& control, const ProgressRow* last);

  /// Sets the origin's position and commits, in one message.
  CommitPoint commit(const ProgressRow& row, Timestamp commit_time);

  /// Undoes the open transaction, if any, and forgets the origin's position.
  void rollback();

  [[nodiscard]] bool open() const { return open_; }

 private:
  struct Sent {
    std::size_t first_call = 0;  ///< index in the pipeline of its PREPARE, or of itself
    std::size_t call = 0;        ///< index in the pipeline
    std::uint64_t expected = 0;
    const TargetTable* table = nullptr;
    const RowGroup* group = nullptr;
  };

  void send_group(PgPipeline& pipeline, const RowGroup& group);
  void send_truncate(PgPipeline& pipeline, const Epoch& epoch);
  void send_markers(PgPipeline& pipeline, const ControlRows& control);
  void send_epochs(PgPipeline& pipeline, std::span<const Epoch> epochs);
  std::string spell(std::uint32_t type, const ColumnValue& value);
  std::string where(const RowGroup& group);
  [[noreturn]] void refuse(const PipelineFailure& failure);
  std::uint64_t check_counts(const std::vector<ResultHandle>& results);

  PgConnection& connection_;
  LinkNames names_;
  StatementCache statements_;
  std::vector<ArrayParam> arrays_;
  std::vector<BinaryParam> params_;
  std::vector<std::vector<RowGroup>> groups_;  // of the pipeline under way, for error texts
  std::vector<Sent> sent_;
  bool open_ = false;
};

}  // namespace teal
