#include "verifier/verifier.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "engine/pg_error.h"
#include "verifier/range_pace.h"
#include "verifier/range_plan.h"
#include "verifier/value_hash.h"

namespace teal {
namespace {

struct Work {
  std::size_t table = 0;
  std::size_t number = 0;  // of the range, in its table
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
    note_equal(work, result);
    note_verdict(work, result);
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

  // A job cannot go on: what nobody compares has that for a reason.
  void gave_up(const PgError& error) {
    const std::scoped_lock lock(mutex_);
    reason_ = error.what();
  }

  void broken(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!broken_) broken_ = std::move(error);
  }

  std::vector<TableResult> results() {
    if (broken_) std::rethrow_exception(broken_);
    for (std::size_t i = 0; i < results_.size(); ++i) {
      if (i >= next_ || open_[i] > 0) add_obstacle(i, reason_);
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
      add_ranges(number, planned(blue, table.table));
    } catch (const PgError& error) {
      add_obstacle(number, error.what());
      ++progress_.tables_done;
      throw;
    }
    std::reverse(ranges_.begin(), ranges_.end());  // they are taken from the end
    open_[number] = ranges_.size();
    if (ranges_.empty()) ++progress_.tables_done;
  }

  // As an earlier run cut it, so that its results fit.
  std::vector<JournalRange> planned(PgConnection& blue, const ComparedTable& table) {
    if (options_.journal != nullptr) {
      const std::vector<JournalRange>* known = options_.journal->ranges(table.signature);
      if (known != nullptr) return *known;
    }
    const std::vector<KeyRange> cuts = plan_ranges(blue, table, options_.range_rows);
    if (options_.journal != nullptr) options_.journal->cut(table.signature, cuts);
    std::vector<JournalRange> ranges;
    ranges.reserve(cuts.size());
    for (const KeyRange& range : cuts) ranges.push_back({range});
    return ranges;
  }

  void add_ranges(std::size_t number, std::vector<JournalRange> planned) {
    TableResult& table = results_[number];
    table.ranges = planned.size();
    for (std::size_t i = 0; i < planned.size(); ++i) {
      const auto& before = planned[i].equal_rows;
      if (options_.name_ranges) {
        // Until it has been compared.
        const TableVerdict verdict = before ? TableVerdict::kEqual : TableVerdict::kUnchecked;
        table.verdicts.push_back({planned[i].range, before.value_or(0), verdict, before.has_value()});
      }
      if (before) {
        ++table.ranges_before;
        table.rows += *before;
        progress_.rows += *before;
      } else {
        ranges_.push_back({number, i, std::move(planned[i].range)});
      }
    }
  }

  void note_equal(const Work& work, const RangeResult& result) {
    if (options_.journal == nullptr || !result.differences.empty() || result.unnamed > 0 || result.in_flux > 0) return;
    options_.journal->found_equal(results_[work.table].table.signature, work.number, result.rows);
  }

  void note_verdict(const Work& work, const RangeResult& result) {
    if (!options_.name_ranges) return;
    RangeVerdict& verdict = results_[work.table].verdicts[work.number];
    verdict.rows = result.rows;
    const bool doubtful = result.in_flux > 0 || result.unnamed > 0;
    verdict.verdict = doubtful ? TableVerdict::kUnchecked : TableVerdict::kEqual;
    if (!result.differences.empty()) verdict.verdict = TableVerdict::kDiffers;
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
  std::string reason_ = "it was stopped before all of it was compared";  // guarded by mutex_
  std::exception_ptr broken_;                                            // guarded by mutex_
};

// A table that somebody has locked is not waited for without end.
PgConnection connect(const ConnectOptions& options, const RangeCompareOptions& compare) {
  PgConnection connection = PgConnection::connect(options);
  connection.set_stop_token(compare.stop);
  const std::string limit_ms = std::to_string(std::max<std::int64_t>(compare.patience.count(), 1));
  connection.exec("limit the time for locks", "SELECT set_config('lock_timeout', $1, false)", {limit_ms});
  const Rows reads =
      connection.exec("read lock_timeout", "SELECT setting FROM pg_settings WHERE name = 'lock_timeout'");
  if (reads.at(0, 0) != limit_ms) {
    throw Stopped(StopCode::kRefused, "lock_timeout on " + connection.label() + " was set to " + limit_ms +
                                          " ms but reads " + reads.str(0, 0) +
                                          " ms: connect teal directly, not by a pooler");
  }
  return connection;
}

// A session whose statement failed may be of no use any more.
struct Sides {
  explicit Sides(const VerifierOptions& options)
      : blue(connect(options.blue, options.compare)),
        green(connect(options.green, options.compare)),
        compare(blue, green, options.compare) {}

  PgConnection blue;
  PgConnection green;
  RangeCompare compare;
};

void add(RangeResult part, RangeResult& whole) {
  whole.rows += part.rows;
  std::move(part.differences.begin(), part.differences.end(), std::back_inserter(whole.differences));
  whole.unnamed += part.unnamed;
  whole.in_flux += part.in_flux;
}

// In parts, where the servers are slower than the range was meant for.
RangeResult compare_range(const VerifierOptions& options, Sides& sides, const ComparedTable& table,
                          const KeyRange& range, RangePace& pace) {
  RangeResult whole;
  KeyRange part{range.from, std::nullopt};
  for (;;) {
    if (options.before_range) options.before_range(sides.blue, sides.green);
    const std::size_t rows = pace.rows();
    part.to = range.to;
    if (table.ranged && rows < options.range_rows) {
      std::optional<KeyValues> bound = next_bound(sides.blue, table, {part.from, range.to}, rows);
      if (bound) part.to = std::move(bound);
    }
    RangeResult result = sides.compare.compare(table, part);
    pace.took(result.rows, result.reading);
    add(std::move(result), whole);
    if (part.to == range.to || options.compare.stop.stop_requested()) break;
    part.from = part.to;
  }
  return whole;
}

using Paces = std::map<std::size_t, RangePace>;  // by the number of the table: rows of one are alike

// Returns false when nothing is left. Errors: PgError when the table could not be cut; that is noted.
bool work_once(const VerifierOptions& options, Sides& sides, Board& board, Paces& paces) {
  const std::optional<Work> work = board.take(sides.blue);
  if (!work) return false;
  try {
    RangePace& pace = paces.try_emplace(work->table, options.statement_time).first->second;
    board.done(*work, compare_range(options, sides, board.table(*work), work->range, pace));
  } catch (const PgError& error) {
    if (!options.compare.stop.stop_requested()) board.failed(*work, error);
    throw;
  }
  return true;
}

void work(const VerifierOptions& options, Board& board) {
  Paces paces;
  try {
    for (bool left = true; left && !options.compare.stop.stop_requested();) {
      std::optional<Sides> sides;
      try {
        sides.emplace(options);
      } catch (const PgError& error) {
        return board.gave_up(error);
      }
      try {
        while (left) left = work_once(options, *sides, board, paces);
      } catch (const PgError&) {  // it is in the table's result
      }
    }
  } catch (...) {
    board.broken(std::current_exception());
  }
}

constexpr int kHashesRecords = 14;  // the major version

std::string try_value_hashes(PgConnection& blue, PgConnection& green) {
  for (PgConnection* server : {&blue, &green}) {
    if (server->server_major() < kHashesRecords) return server->label() + " is older than 14";
  }
  const Rows here = blue.exec("try how blue hashes values", value_hash_trial_sql());
  const Rows there = green.exec("try how green hashes values", value_hash_trial_sql());
  return here.at(0, 0) == there.at(0, 0) ? "" : "the two servers compute different hashes of the same values";
}

}  // namespace

TableVerdict TableResult::verdict() const {
  if (!differences.empty()) return TableVerdict::kDiffers;
  return obstacles.empty() && in_flux == 0 && unnamed == 0 ? TableVerdict::kEqual : TableVerdict::kUnchecked;
}

HashTrial try_hashes(PgConnection& blue, PgConnection& green) {
  const std::string sql =
      "SELECT current_setting('server_encoding'), hashtextextended('teal', 1) || ' ' || "
      "hashtextextended(repeat('a, ', "
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
  trial.values = trial.hashes.empty() ? try_value_hashes(blue, green) : trial.hashes;
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
