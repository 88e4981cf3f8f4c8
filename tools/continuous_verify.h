#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "applier/changed_keys.h"
#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "tools/verify_progress.h"
#include "verifier/range_pace.h"
#include "verifier/verifier.h"

namespace teal {

/// Compares both sides again and again while links stream: all tables in turn, one range at a time, by one session on
/// each side that rests for longer than it works, or as `verify.max_rate` says. A row that differs is logged, named by
/// its key, and shown by status; nothing else follows from it.
///
/// What links have changed since it was last compared comes first, as far as `ChangedKeys` knows it.
/// It rests while a link does not stream or lags, and while a table is copied. Its statements have a time limit, so
/// that a snapshot or a lock of theirs is nothing that anybody waits for. What is planned, is planned anew with each
/// pass. Threads: its own, from construction to destruction, which cancels what runs. Errors: none; what fails is tried
/// again, with a pause, and told (`comparison of both sides interrupted ...`).
class ContinuousVerify {
 public:
  /// Why it has to rest at the moment, in words; "": it need not. Threads: that of the comparison.
  using Hold = std::function<std::string()>;

  /// `links`: all that run; `changed`: what they have changed. Lifetime: `config`, `changed` and what `hold` uses
  /// outlive it.
  ContinuousVerify(const Config& config, std::vector<LinkNames> links, ChangedKeys& changed, Hold hold);

 private:
  using Clock = std::chrono::steady_clock;

  struct Sides {
    PgConnection blue;
    PgConnection green;
  };

  /// Of all tables, once. Goes on over lost sessions.
  struct Pass {
    std::size_t number = 0;  ///< of the table under way
    bool begun = false;      ///< that table
    std::optional<KeyValues> from;
    TableResult result;
    Clock::time_point table_began;
    int failures = 0;           ///< of statements of the range under way
    bool table_done = false;    ///< all of its ranges were compared
    bool table_failed = false;  ///< for this pass
    RangeStates states;         ///< of the table's ranges
  };

  /// Changed rows of a table that differed when they were compared, and when that was.
  using FoundByKey = std::vector<std::pair<Clock::time_point, Difference>>;

  void run(const std::stop_token& stop);
  void work(const std::stop_token& stop);
  void connect(const std::stop_token& stop);
  void interrupted(const std::string& reason, bool statement);
  [[nodiscard]] bool may_go_on();
  [[nodiscard]] std::string held_up();
  void begin_pass();
  void end_pass();
  void step();
  void begin_table(const ComparedTable& table);
  void compare_range(const ComparedTable& table);
  void end_table();
  void compare_changed();
  void add_found_by_key(TableResult& result) const;
  void look_again(TableResult& result);
  void compare_changed_of(const ComparedTable& table, const std::vector<KeyValues>& keys);
  void tell(const ComparedTable& table, const std::vector<Difference>& differences);
  void keep(const TableResult& result, bool whole, Clock::time_point began);
  void note_range(const RangeResult& found);
  void count_ranges();
  [[nodiscard]] Clock::duration cost(std::uint64_t rows, Clock::time_point began) const;
  void rest(const std::stop_token& stop);
  void keep_progress(std::chrono::milliseconds at_most_every);

  const Config& config_;
  const std::vector<LinkNames> links_;
  ChangedKeys& changed_;
  const Hold hold_;
  RangeCompareOptions options_;
  RangePace pace_{std::chrono::milliseconds(0)};  // of the table under way
  std::optional<Sides> sides_;
  std::vector<ComparedTable> tables_;  // of the pass under way, or of the last one
  std::optional<Pass> pass_;
  std::map<TableName, std::set<std::string>> told_;  // rows that differ, by identity
  std::map<TableName, FoundByKey> found_by_key_;
  std::map<TableName, TableResult> last_;          // of each table, to be kept again with what was found since
  std::map<TableName, RangeCounts> range_counts_;  // of each table's last pass
  std::optional<VerifyProgress> progress_;         // once it was read
  std::string held_up_;
  Clock::time_point look_at_;          // at what holds it up
  std::set<TableName> keys_left_out_;  // of this pass: their changed rows cannot be read
  std::optional<TableName> keys_of_;   // whose changed rows are compared at this moment
  Clock::time_point keys_at_;          // when changed rows are compared again: ranges have their share
  Clock::time_point free_at_;          // what was done so far is rested for
  Clock::time_point kept_at_;          // the progress
  int outages_ = 0;                    // in a row
  std::jthread thread_;                // last: it uses all of the above
};

}  // namespace teal
