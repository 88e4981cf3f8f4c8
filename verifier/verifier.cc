#include "verifier/verifier.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "engine/pg_error.h"
#include "verifier/range_plan.h"

namespace teal {
namespace {

struct Work {
  std::size_t table = 0;
  KeyRange range;
};

// What the jobs share: the ranges that are left, and the results.
class Board {
 public:
  Board(const VerifierOptions& options, const std::vector<ComparedTable>& tables, VerifierProgress& progress)
      : options_(options), progress_(progress) {
    for (const ComparedTable& table : tables) {
      TableResult& result = results_.emplace_back();
      result.table = table;
      result.obstacles = table.obstacles;
      open_.push_back(0);
    }
  }

  // The next range; a table is cut into ranges when its turn comes, by the job that finds none left.
  std::optional<Work> take(PgConnection& blue) {
    const std::scoped_lock lock(mutex_);
    while (!broken_ && !options_.compare.stop.stop_requested()) {
      if (!ranges_.empty()) {
        Work work = std::move(ranges_.back());
        ranges_.pop_back();
        return work;
      }
      if (next_ == results_.size()) return std::nullopt;
      cut(blue, next_++);
    }
    return std::nullopt;
  }

  // It does not change while ranges of it are out.
  const ComparedTable& table(const Work& work) const { return results_[work.table].table; }

  void done(const Work& work, RangeResult result) {
    const std::scoped_lock lock(mutex_);
    TableResult& table = results_[work.table];
    table.rows += result.rows;
    table.unnamed += result.unnamed;
    table.in_flux += result.in_flux;
    for (Difference& difference : result.differences) {
      if (table.differences.size() < options_.compare.differences_max) {
        table.differences.push_back(std::move(difference));
      } else {
        ++table.unnamed;
      }
    }
    progress_.rows += result.rows;
    range_ended(work.table);
  }

  void failed(const Work& work, const PgError& error) {
    const std::scoped_lock lock(mutex_);
    add_obstacle(work.table, error.what());
    range_ended(work.table);
  }

  void broken(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!broken_) broken_ = std::move(error);
  }

  std::vector<TableResult> results() {
    if (broken_) std::rethrow_exception(broken_);
    for (std::size_t i = 0; i < results_.size(); ++i) {
      if (i >= next_ || open_[i] > 0) add_obstacle(i, "it was stopped before all of it was compared");
    }
    return std::move(results_);
  }

 private:
  void cut(PgConnection& blue, std::size_t number) {
    TableResult& table = results_[number];
    if (!table.table.readable) {
      ++progress_.tables_done;
      return;
    }
    try {
      for (KeyRange& range : plan_ranges(blue, table.table, options_.range_rows)) {
        ranges_.push_back({number, std::move(range)});
      }
    } catch (const PgError& error) {
      if (!error.needs_somebody()) throw;
      add_obstacle(number, error.what());
      ++progress_.tables_done;
      return;
    }
    std::reverse(ranges_.begin(), ranges_.end());  // they are taken from the end
    table.ranges = ranges_.size();
    open_[number] = ranges_.size();
  }

  void range_ended(std::size_t number) {
    if (--open_[number] == 0) ++progress_.tables_done;
  }

  // Once each: hundreds of ranges may fail for one reason.
  void add_obstacle(std::size_t number, const std::string& text) {
    std::vector<std::string>& obstacles = results_[number].obstacles;
    if (std::find(obstacles.begin(), obstacles.end(), text) == obstacles.end()) obstacles.push_back(text);
  }

  const VerifierOptions& options_;
  VerifierProgress& progress_;
  std::mutex mutex_;
  std::vector<TableResult> results_;  // guarded by mutex_
  std::vector<std::size_t> open_;     // guarded by mutex_: ranges of each table that are not done
  std::vector<Work> ranges_;          // guarded by mutex_: of one table
  std::size_t next_ = 0;              // guarded by mutex_
  std::exception_ptr broken_;         // guarded by mutex_
};

PgConnection connect(const ConnectOptions& options, const std::stop_token& stop) {
  PgConnection connection = PgConnection::connect(options);
  connection.set_stop_token(stop);
  return connection;
}

void work(const VerifierOptions& options, Board& board) {
  try {
    PgConnection blue = connect(options.blue, options.compare.stop);
    PgConnection green = connect(options.green, options.compare.stop);
    RangeCompare compare(blue, green, options.compare);
    while (const std::optional<Work> work = board.take(blue)) {
      try {
        board.done(*work, compare.compare(board.table(*work), work->range));
      } catch (const PgError& error) {
        if (options.compare.stop.stop_requested()) return;
        if (!error.needs_somebody()) throw;
        board.failed(*work, error);
      }
    }
  } catch (...) {
    board.broken(std::current_exception());
  }
}

}  // namespace

TableVerdict TableResult::verdict() const {
  if (!differences.empty()) return TableVerdict::kDiffers;
  return obstacles.empty() && in_flux == 0 && unnamed == 0 ? TableVerdict::kEqual : TableVerdict::kUnchecked;
}

HashTrial try_hashes(PgConnection& blue, PgConnection& green) {
  const std::string sql =
      "SELECT current_setting('server_encoding'), hashtextextended('teal', 1) || ' ' || "
      "hashtextextended(repeat('\u00e4, ', "
      "100), 2), ROW(1.50::numeric, 'NaN'::float8, 1e-7::float4, -0.0::float8, '1 year 2 days'::interval, "
      "'2026-01-02 03:04:05.6+00'::timestamptz, NULL::text, '', true, '\\xdeadbeef'::bytea, '{\"b\": 1, \"a\": "
      "2.0}'::jsonb, '{1,NULL}'::int[], 'a'::char(3))::text";
  const Rows here = blue.exec("try how blue hashes", sql);
  const Rows there = green.exec("try how green hashes", sql);
  HashTrial trial;
  if (here.at(0, 0) != there.at(0, 0)) {
    trial.hashes = "blue keeps text as " + here.str(0, 0) + " and green as " + there.str(0, 0);
  } else if (here.at(0, 1) != there.at(0, 1)) {
    trial.hashes = "the two servers compute different hashes of the same text";
  }
  if (here.at(0, 2) != there.at(0, 2)) trial.text = "the two servers write the same values as different text";
  return trial;
}

std::vector<TableResult> verify_tables(const VerifierOptions& options, const std::vector<ComparedTable>& tables,
                                       VerifierProgress& progress) {
  Board board(options, tables, progress);
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(options.jobs));
    for (int i = 0; i < options.jobs; ++i) threads.emplace_back([&] { work(options, board); });
  }
  return board.results();
}

}  // namespace teal
