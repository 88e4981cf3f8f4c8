#include "applier/initial_copy.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "applier/target_session.h"
#include "engine/failpoint.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

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
  std::exception_ptr broken_;           // guarded by mutex_
};

std::string column_list(const CopyTable& table) {
  std::string list;
  for (const std::string& column : table.columns) list += (list.empty() ? "" : ", ") + quote_identifier(column);
  return list;
}

class CopyJob {
 public:
  /// `source` holds the locks and has not taken a snapshot yet.
  CopyJob(const InitialCopyOptions& options, int number, PgConnection source, const TableSnapshot& snapshot,
          CopyCounters& counters, std::stop_token stop)
      : options_(options),
        number_(number),
        snapshot_(snapshot),
        counters_(counters),
        stop_(std::move(stop)),
        source_(std::move(source)) {}

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
      copy(table);
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
    reading_ = false;
  }

  void connect() {
    if (!source_) {
      source_ = PgConnection::connect(options_.source);
      source_->set_stop_token(stop_);
      // The other jobs' locks still keep the tables as they are; an ALTER that waits for them must not hang this one.
      source_->exec("bound the wait for locks", "SELECT set_config('lock_timeout', '30s', false)");
      source_->exec("begin reading", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    }
    if (!reading_) {
      source_->exec("take the snapshot", "SET TRANSACTION SNAPSHOT " + quote_literal(snapshot_.name()));
      reading_ = true;
    }
    if (!target_) {
      target_ = open_target_session({options_.target, options_.names.copy_origin(number_), true}, stop_);
    }
  }

  void copy(const CopyTable& table) {
    connect();
    const auto start = std::chrono::steady_clock::now();
    const std::string name = quote_qualified(table.schema, table.name);
    target_->exec("begin the copy", "BEGIN");
    const Rows filled =
        target_->exec("look whether the table is empty", "SELECT EXISTS (SELECT FROM ONLY " + name + ")");
    if (filled.boolean(0, 0)) {
      throw Stopped(StopCode::kRefused,
                    "it is not empty on the target and was not copied by teal: empty it, or run with "
                    "--no-copy if it holds the source's rows already");
    }
    TEAL_FAILPOINT("copy_started");
    const CopiedRows copied = relay_copy(*source_, "COPY " + name + " (" + column_list(table) + ") TO STDOUT", *target_,
                                         "COPY " + name + " (" + column_list(table) + ") FROM STDIN", counters_);
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
  }

  void note_copied(const CopyTable& table, const CopiedRows& copied) {
    const Rows noted = target_->exec(
        "note the copy",
        "UPDATE teal.table_state SET state = 'copied', watermark = $1::pg_lsn, copied_rows = $2::bigint, copied_bytes "
        "= $7::bigint, publication_entry = $8::oid, updated_at = "
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
  CopyCounters& counters_;
  std::stop_token stop_;
  std::optional<PgConnection> source_;
  bool reading_ = false;  // source_ has the snapshot
  std::optional<PgConnection> target_;
};

// TRUNCATE and a rewriting ALTER TABLE do not keep old row versions: a snapshot from before finds the table empty, and
// the stream does not bring the rows. So both wait until the tables are copied, as they do for pg_dump. Every job holds
// the locks itself, from before the snapshot: one that asked later would queue behind the ALTER that waits for the
// others. The sessions have no transaction id, so the slot's creation does not wait for them.
PgConnection open_locked_source(const InitialCopyOptions& options, const std::vector<CopyTable>& tables,
                                const std::stop_token& stop) {
  PgConnection connection = PgConnection::connect(options.source);
  connection.set_stop_token(stop);
  connection.exec("begin reading", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  for (const CopyTable& table : tables) {
    connection.exec("lock " + table.display_name() + " against rewriting",
                    "LOCK TABLE ONLY " + quote_qualified(table.schema, table.name) + " IN ACCESS SHARE MODE");
  }
  return connection;
}

}  // namespace

void copy_tables(const InitialCopyOptions& options, std::vector<CopyTable> tables, CopyCounters& counters,
                 std::stop_token stop) {
  if (tables.empty()) return;
  std::vector<PgConnection> sources;
  sources.reserve(static_cast<std::size_t>(options.jobs));
  for (int number = 0; number < options.jobs; ++number) sources.push_back(open_locked_source(options, tables, stop));
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
      threads.emplace_back([&, number] {
        CopyJob(options, number, std::move(sources[static_cast<std::size_t>(number)]), snapshot, counters, stop)
            .run(queue);
      });
    }
  }
  queue.rethrow();
}

}  // namespace teal
