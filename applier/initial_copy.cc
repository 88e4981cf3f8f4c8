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
#include "engine/wait_log.h"

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
      if (!error.needs_somebody()) throw;
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
    target_->exec("begin the copy", "BEGIN");
    check_target_empty(*target_, table);
    TEAL_FAILPOINT("copy_started");
    const CopiedRows copied = copy_rows(*source_, snapshot_, table, *target_, counters_);
    if (!read_as_expected(*source_, table, shapes_)) {
      target_->exec("give up the copy", "ROLLBACK");
      log_event(LogLevel::kInfo, "table was altered after the snapshot, it is copied again",
                {{"link", options_.names.link}, {"table", table.display_name()}});
      return false;
    }
    TEAL_FAILPOINT("copy_rows_sent");
    note_copied(*target_, options_.names, table, copied, {snapshot_.consistent_point(), snapshot_.timeline()});
    TEAL_FAILPOINT("before_copy_commit");
    target_->exec("commit the copy", "COMMIT");
    TEAL_FAILPOINT("copy_committed");
    ++counters_.tables_done;
    analyze_copied(*target_, options_.names, table);
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
  const TableShapes shapes = [&] {
    PgConnection source = PgConnection::connect(options.source);
    source.set_stop_token(stop);
    return read_table_shapes(source);
  }();
  TEAL_FAILPOINT("before_copy_snapshot");
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
