#include "applier/initial_copy.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "applier/target_session.h"
#include "engine/failpoint.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/wait_log.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

// A table that is copied in pieces.
struct SplitTable {
  std::int64_t attempt = 0;
  Clock::time_point start;
  std::size_t pieces = 1;
  std::size_t left = 0;   // of them; guarded by the queue's mutex, as what follows
  CopiedRows copied;      // of the pieces that are committed
  bool given_up = false;  // one of them failed
};

// A table whose rows are all there.
struct CopiedTable {
  const CopyTable& table;
  CopiedRows copied;
  std::int64_t attempt = 0;
  std::size_t pieces = 1;
  Clock::time_point start;
};

// What one job copies in one transaction: a table, or a piece of one.
struct CopyPiece {
  CopyTable table;
  std::uint64_t bytes = 0;
  std::shared_ptr<SplitTable> split = nullptr;  // null: the whole table
  std::string where = {};
};

// What the jobs share: what is left, and what went wrong.
class CopyQueue {
 public:
  void fill(std::vector<CopyPiece> pieces) {
    pieces_ = std::move(pieces);
    std::sort(pieces_.begin(), pieces_.end(), [](const CopyPiece& a, const CopyPiece& b) {
      return std::tie(a.bytes, a.table.name, a.where) < std::tie(b.bytes, b.table.name, b.where);
    });
  }

  std::optional<CopyPiece> take() {
    const std::scoped_lock lock(mutex_);
    while (!pieces_.empty() && !broken_) {
      CopyPiece piece = std::move(pieces_.back());
      pieces_.pop_back();
      if (!piece.split || !piece.split->given_up) return piece;
    }
    return std::nullopt;
  }

  /// A piece is committed. Returns whether it was the last one of its table, and so the table is whole.
  bool committed(SplitTable& split, const CopiedRows& copied) {
    const std::scoped_lock lock(mutex_);
    split.copied.rows += copied.rows;
    split.copied.bytes += copied.bytes;
    return --split.left == 0;
  }

  void failed(const CopyTable& table, SplitTable* split, const std::string& text, StopCode code) {
    const std::scoped_lock lock(mutex_);
    if (split != nullptr && std::exchange(split->given_up, true)) return;
    failures_.push_back(table.display_name() + ": " + text);
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
  std::vector<CopyPiece> pieces_;       // guarded by mutex_; the largest last
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
      while (auto piece = queue.take()) copy_or_note(*piece, queue);
    } catch (...) {
      queue.broken(std::current_exception());
    }
  }

 private:
  void copy_or_note(const CopyPiece& piece, CopyQueue& queue) {
    try {
      connect();
      if (piece.split) {
        copy_piece(piece, queue);
      } else {
        copy_whole(piece.table, queue);
      }
    } catch (const PgError& error) {
      close();
      if (!error.needs_somebody()) throw;
      queue.failed(piece.table, piece.split.get(), error.what(), StopCode::kData);
    } catch (const Stopped& stopped) {
      close();
      queue.failed(piece.table, piece.split.get(), stopped.what(), stopped.code());
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

  void copy_whole(const CopyTable& table, CopyQueue& queue) {
    const auto start = Clock::now();
    target_->exec("begin the copy", "BEGIN");
    const std::int64_t attempt = begin_attempt(*target_, options_.names, table);
    const CopyExtent extent{.frozen = options_.frozen && begin_frozen(*target_, table)};
    TEAL_FAILPOINT("copy_started");
    const CopiedRows copied = copy_rows(*source_, snapshot_, table, *target_, counters_, extent);
    finish({.table = table, .copied = copied, .attempt = attempt, .start = start}, queue);
  }

  void copy_piece(const CopyPiece& piece, CopyQueue& queue) {
    target_->exec("begin the copy of a piece", "BEGIN");
    check_attempt(*target_, options_.names, piece.table, piece.split->attempt);
    const CopiedRows copied = copy_rows(*source_, snapshot_, piece.table, *target_, counters_, {.where = piece.where});
    TEAL_FAILPOINT("copy_rows_sent");
    TEAL_FAILPOINT("before_copy_commit");
    target_->exec("commit the copy of a piece", "COMMIT");
    TEAL_FAILPOINT("copy_committed");
    if (!queue.committed(*piece.split, copied)) return;
    target_->exec("begin the end of the copy", "BEGIN");
    const SplitTable& split = *piece.split;
    finish({piece.table, split.copied, split.attempt, split.pieces, split.start}, queue);
  }

  // In the target's open transaction. Of a table that was altered after the snapshot nothing is kept: what pieces have
  // committed of it is deleted when it begins again.
  void finish(const CopiedTable& done, CopyQueue& queue) {
    const CopyTable& table = done.table;
    if (!read_as_expected(*source_, table, shapes_)) {
      target_->exec("give up the copy", "ROLLBACK");
      log_event(LogLevel::kInfo, "table was altered after the snapshot, it is copied again",
                {{"link", options_.names.link}, {"table", table.display_name()}});
      queue.again();
      return;
    }
    TEAL_FAILPOINT("copy_rows_sent");
    note_copied(*target_, options_.names, table, done.copied, {snapshot_.consistent_point(), snapshot_.timeline()},
                done.attempt);
    TEAL_FAILPOINT("before_copy_commit");
    target_->exec("commit the copy", "COMMIT");
    TEAL_FAILPOINT("copy_committed");
    ++counters_.tables_done;
    analyze_copied(*target_, options_.names, table);
    const std::chrono::duration<double, std::milli> took = Clock::now() - done.start;
    log_event(LogLevel::kInfo, "table copied",
              {{"link", options_.names.link},
               {"table", table.display_name()},
               {"rows", done.copied.rows},
               {"bytes", done.copied.bytes},
               {"pieces", done.pieces},
               {"watermark", to_string(snapshot_.consistent_point())},
               {"ms", took.count()}});
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

// Divides the tables that are larger than `split_larger_than`, and notes on the target that they are begun, before
// there is a row of theirs: what is found there after a crash is teal's then. Parts of another table are left whole,
// because their rows could not be told from its others.
class PieceMaker {
 public:
  PieceMaker(const InitialCopyOptions& options, std::stop_token stop) : options_(options), stop_(std::move(stop)) {}

  std::vector<CopyPiece> divide(std::vector<CopyTable> tables, CopyQueue& refused) {
    std::vector<CopyPiece> pieces;
    for (CopyTable& table : tables) {
      const std::uint64_t bytes = table.bytes;
      if (options_.split_larger_than == 0 || bytes <= options_.split_larger_than || table.is_part() ||
          !begin_split(table, pieces, refused)) {
        pieces.push_back({std::move(table), bytes});
      }
    }
    return pieces;
  }

 private:
  // Returns false when it is not to be divided after all.
  bool begin_split(const CopyTable& table, std::vector<CopyPiece>& pieces, CopyQueue& refused) {
    auto split = std::make_shared<SplitTable>();
    split->start = Clock::now();
    std::vector<std::string> ranges;
    try {
      if (!source_) {
        source_ = PgConnection::connect(options_.source);
        source_->set_stop_token(stop_);
        source_->set_wait_listener(log_long_waits(*source_, "copy"));
      }
      ranges = split_rows(*source_, table, options_.split_larger_than);
      if (ranges.empty()) return false;
      split->left = split->pieces = ranges.size();
      if (!target_) target_ = open_target_session({options_.target, options_.names.copy_origin(0), true}, stop_);
      target_->exec("begin the copy in pieces", "BEGIN");
      split->attempt = begin_attempt(*target_, options_.names, table);
      target_->exec("commit the beginning of the copy", "COMMIT");
    } catch (const PgError& error) {
      if (!error.needs_somebody()) throw;
      close();
      refused.failed(table, nullptr, error.what(), StopCode::kData);
      return true;
    } catch (const Stopped& stopped) {
      close();
      refused.failed(table, nullptr, stopped.what(), stopped.code());
      return true;
    }
    TEAL_FAILPOINT("copy_started");
    for (const std::string& range : ranges) pieces.push_back({table, table.bytes / ranges.size(), split, range});
    return true;
  }

  void close() {
    source_.reset();
    target_.reset();
  }

  const InitialCopyOptions& options_;
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
  CopyQueue queue;
  queue.fill(PieceMaker(options, stop).divide(std::move(tables), queue));
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
