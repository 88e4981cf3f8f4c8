#include "applier/initial_copy.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "applier/target_session.h"
#include "engine/failpoint.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/wait_log.h"

namespace teal {
namespace {

// What each table was like, by "schema.table": its oid, the file its rows are in, and its columns. A TRUNCATE, a
// rewriting ALTER TABLE and a table that is made anew change them, and leave no old row versions: a snapshot from
// before finds the table empty, and the stream does not bring the rewritten rows. Rejected: locks on all tables from
// before the snapshot until the end. They hold up the application's DDL, and whoever queues behind it, for as long as
// the copy takes. A column that comes meanwhile would not be copied, and no stream brings its values.
using TableShapes = std::map<std::string, std::string>;

// A row per table: `first`, and what the table is like.
std::string shape_query(std::string_view first, std::string_view where) {
  std::string sql = "SELECT ";
  sql += first;
  sql +=
      ", c.oid || '/' || pg_relation_filenode(c.oid) || '/' || (SELECT coalesce(string_agg(concat_ws(' ', attnum, "
      "attname, atttypid, atttypmod, attgenerated), ', ' ORDER BY attnum), '') FROM pg_attribute WHERE attrelid = "
      "c.oid "
      "AND attnum > 0 AND NOT attisdropped) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ";
  sql += where;
  return sql;
}

TableShapes read_table_shapes(const InitialCopyOptions& options, const std::stop_token& stop) {
  PgConnection source = PgConnection::connect(options.source);
  source.set_stop_token(stop);
  const Rows rows =
      source.exec("look what the tables are like", shape_query("n.nspname || '.' || c.relname", "c.relkind = 'r'"));
  TableShapes shapes;
  for (int i = 0; i < rows.size(); ++i) shapes[rows.str(i, 0)] = rows.str(i, 1);
  return shapes;
}

// What the jobs share: the tables that are left, and what went wrong.
class CopyQueue {
 public:
  explicit CopyQueue(std::vector<CopyTable> tables) : tables_(std::move(tables)) {
    std::sort(tables_.begin(), tables_.end(), [](const CopyTable& a, const CopyTable& b) { return a.bytes < b.bytes; });
  }

  std::optional<CopyTable> take() {
    const std::scoped_lock lock(mutex_);
    if (tables_.empty() || broken_) return std::nullopt;
    CopyTable table = std::move(tables_.back());
    tables_.pop_back();
    return table;
  }

  void table_failed(const std::string& text, StopCode code) {
    const std::scoped_lock lock(mutex_);
    failures_.push_back(text);
    if (code_ != StopCode::kData) code_ = code;  // data is the graver reason
  }

  /// The table has to be copied from a newer snapshot.
  void again() {
    const std::scoped_lock lock(mutex_);
    ++again_;
  }

  [[nodiscard]] std::size_t left_for_again() {
    const std::scoped_lock lock(mutex_);
    return again_;
  }

  /// No job can go on.
  void broken(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!broken_) broken_ = std::move(error);
  }

  void rethrow() {
    const std::scoped_lock lock(mutex_);
    if (broken_) std::rethrow_exception(broken_);
    if (failures_.empty()) return;
    std::string text = "the copy of " + std::to_string(failures_.size()) + " table(s) failed, the others are done:";
    for (const std::string& failure : failures_) text += "\n  " + failure;
    throw Stopped(code_, text);
  }

 private:
  std::mutex mutex_;
  std::vector<CopyTable> tables_;       // guarded by mutex_
  std::vector<std::string> failures_;   // guarded by mutex_
  StopCode code_ = StopCode::kRefused;  // guarded by mutex_
  std::size_t again_ = 0;               // guarded by mutex_
  std::exception_ptr broken_;           // guarded by mutex_
};

std::string column_list(const CopyTable& table) {
  std::string list;
  for (const std::string& column : table.columns) list += (list.empty() ? "" : ", ") + quote_identifier(column);
  return list;
}

class CopyJob {
 public:
  /// `shapes`: as they were before the snapshot.
  CopyJob(const InitialCopyOptions& options, int number, const TableSnapshot& snapshot, const TableShapes& shapes,
          CopyCounters& counters, std::stop_token stop)
      : options_(options),
        number_(number),
        snapshot_(snapshot),
        shapes_(shapes),
        counters_(counters),
        stop_(std::move(stop)) {}

  void run(CopyQueue& queue) {
    try {
      while (auto table = queue.take()) copy_or_note(*table, queue);
    } catch (...) {
      queue.broken(std::current_exception());
    }
  }

 private:
  void copy_or_note(const CopyTable& table, CopyQueue& queue) {
    try {
      if (!copy(table)) queue.again();
    } catch (const PgError& error) {
      close();
      if (error.error_class() != ErrorClass::kStop) throw;
      queue.table_failed(table.display_name() + ": " + error.what(), StopCode::kData);
    } catch (const Stopped& stopped) {
      close();
      queue.table_failed(table.display_name() + ": " + stopped.what(), stopped.code());
    }
  }

  void close() {
    source_.reset();
    target_.reset();
  }

  void connect() {
    if (!source_) {
      source_ = PgConnection::connect(options_.source);
      source_->set_stop_token(stop_);
      source_->set_wait_listener(log_long_waits(*source_, "copy"));
    }
    if (!target_) {
      target_ = open_target_session({options_.target, options_.names.copy_origin(number_), true}, stop_);
    }
  }

  // Returns false when the table was altered after the snapshot; nothing of it is kept then.
  bool copy(const CopyTable& table) {
    connect();
    const auto start = std::chrono::steady_clock::now();
    const std::string name = quote_qualified(table.schema, table.name);
    target_->exec("begin the copy", "BEGIN");
    const Rows filled = target_->exec("look whether the table is empty", "SELECT EXISTS (SELECT FROM " + name + ")");
    if (filled.boolean(0, 0)) {
      throw Stopped(StopCode::kRefused,
                    "it is not empty on the target and was not copied by teal: empty it, or run with "
                    "--no-copy if it holds the source's rows already");
    }
    TEAL_FAILPOINT("copy_started");
    // A transaction per table: its lock on the source goes with it.
    source_->exec("begin reading", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    source_->exec("take the snapshot", "SET TRANSACTION SNAPSHOT " + quote_literal(snapshot_.name()));
    // A table without columns has rows as well, and no list to name.
    const std::string what = "COPY " + name + (table.columns.empty() ? "" : " (" + column_list(table) + ")");
    const CopiedRows copied = relay_copy(*source_, what + " TO STDOUT", *target_, what + " FROM STDIN", counters_);
    source_->exec("end reading", "COMMIT");
    if (!read_as_expected(table)) {
      target_->exec("give up the copy", "ROLLBACK");
      log_event(LogLevel::kInfo, "table was altered after the snapshot, it is copied again",
                {{"link", options_.names.link}, {"table", table.display_name()}});
      return false;
    }
    TEAL_FAILPOINT("copy_rows_sent");
    note_copied(table, copied);
    target_->exec("commit the copy", "COMMIT");
    TEAL_FAILPOINT("copy_committed");
    ++counters_.tables_done;
    analyze(table, name);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    log_event(LogLevel::kInfo, "table copied",
              {{"link", options_.names.link},
               {"table", table.display_name()},
               {"rows", copied.rows},
               {"bytes", copied.bytes},
               {"watermark", to_string(snapshot_.consistent_point())},
               {"ms", took.count()}});
    return true;
  }

  // Asked after the snapshot's transaction, which sees the catalogs of its own time. What was altered before COPY had
  // its lock is seen here; what is altered after it costs a repetition.
  bool read_as_expected(const CopyTable& table) {
    const std::string columns =
        "(SELECT string_agg('\"' || replace(attname, '\"', '\"\"') || '\"', ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')";
    const Rows now =
        source_->exec("look at the table that was read", shape_query(columns, "n.nspname = $1 AND c.relname = $2"),
                      {table.schema, table.name});
    const auto before = shapes_.find(table.display_name());
    return before != shapes_.end() && now.size() == 1 && before->second == now.at(0, 1) &&
           now.at(0, 0) == column_list(table);
  }

  void note_copied(const CopyTable& table, const CopiedRows& copied) {
    const Rows noted = target_->exec(
        "note the copy",
        "UPDATE teal.table_state SET state = 'copied', watermark = $1::pg_lsn, copied_rows = $2::bigint, copied_bytes "
        "= $7::bigint, publication_entry = $8, updated_at = "
        "clock_timestamp() WHERE migration = $3 AND link = $4 AND schema_name = $5 AND table_name = $6 AND state = "
        "'pending'",
        {to_string(snapshot_.consistent_point()), std::to_string(copied.rows), options_.names.migration,
         options_.names.link, table.schema, table.name, std::to_string(copied.bytes), table.publication_entry});
    if (noted.affected() != 1)
      throw Stopped(StopCode::kRefused, "its row in teal.table_state is not 'pending' any more");
  }

  // Only an owner may; without it the server warns, and teal's own plans do not depend on statistics.
  void analyze(const CopyTable& table, const std::string& name) {
    const Rows owner = target_->exec("look up the owner",
                                     "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c JOIN pg_namespace n ON "
                                     "n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                                     {table.schema, table.name});
    if (!owner.empty() && owner.boolean(0, 0)) {
      target_->exec("analyze the copied table", "ANALYZE " + name);
    } else {
      log_event(LogLevel::kInfo, "table not analyzed, it has another owner",
                {{"link", options_.names.link}, {"table", table.display_name()}});
    }
  }

  const InitialCopyOptions& options_;
  int number_;
  const TableSnapshot& snapshot_;
  const TableShapes& shapes_;
  CopyCounters& counters_;
  std::stop_token stop_;
  std::optional<PgConnection> source_;
  std::optional<PgConnection> target_;
};

}  // namespace

std::size_t copy_tables(const InitialCopyOptions& options, std::vector<CopyTable> tables, CopyCounters& counters,
                        std::stop_token stop) {
  if (tables.empty()) return 0;
  const TableShapes shapes = read_table_shapes(options, stop);
  const TableSnapshot snapshot(options.snapshot, stop);
  TEAL_FAILPOINT("copy_snapshot_made");
  log_event(LogLevel::kInfo, "copy started",
            {{"link", options.names.link},
             {"tables", tables.size()},
             {"jobs", options.jobs},
             {"watermark", to_string(snapshot.consistent_point())}});
  CopyQueue queue(std::move(tables));
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(options.jobs));
    for (int number = 0; number < options.jobs; ++number) {
      threads.emplace_back([&, number] { CopyJob(options, number, snapshot, shapes, counters, stop).run(queue); });
    }
  }
  queue.rethrow();
  return queue.left_for_again();
}

}  // namespace teal
