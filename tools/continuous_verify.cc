#include "tools/continuous_verify.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/kept_verdicts.h"
#include "tools/lag_gate.h"
#include "tools/link_facts.h"
#include "tools/verify_report.h"
#include "tools/verify_sides.h"
#include "verifier/range_plan.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kConnectWithin{3};
constexpr seconds kLookAround{2};
constexpr seconds kBetweenPasses{3};
constexpr seconds kKeepProgress{2};
constexpr seconds kKeepResting{5};
constexpr milliseconds kPause{500};
constexpr seconds kPauseMost{30};
constexpr int kFailuresMost = 3;  // of statements of one range: then its table is given up for this pass
constexpr int kRestsFor = 3;      // times as long as it worked
constexpr std::size_t kRangeRowsLeast = 1'000;
constexpr std::size_t kNamedMost = 20;  // in the log, of a table at a time

// Short enough that nobody minds waiting for a lock of ours, or for what our snapshot keeps. No parallel workers: they
// would be taken from applications.
constexpr const char* kGentle =
    "SET statement_timeout = '30s'; SET lock_timeout = '2s'; SET max_parallel_workers_per_gather = 0";

bool connections_live(const PgConnection& blue, const PgConnection& green) { return blue.alive() && green.alive(); }

std::vector<TableName> names_of(const std::vector<ComparedTable>& tables) {
  std::vector<TableName> names;
  names.reserve(tables.size());
  for (const ComparedTable& table : tables) names.push_back(table.blue.name);
  return names;
}

// A pass makes markers; those of commands that wait at this moment are young.
void delete_old_markers(PgConnection& side, const std::string& migration) {
  for (const auto& [table, time] : {std::pair("marker", "made_at"), std::pair("marker_applied", "applied_at")}) {
    if (!has_control_table(side, table)) continue;
    side.exec(
        "delete old markers on " + side.label(),
        std::string("DELETE FROM teal.") + table + " WHERE migration = $1 AND " + time + " < now() - interval '1 day'",
        {migration});
  }
}

}  // namespace

ContinuousVerify::ContinuousVerify(const Config& config, std::vector<LinkNames> links, ChangedKeys& changed, Hold hold)
    : config_(config),
      links_(std::move(links)),
      changed_(changed),
      hold_(std::move(hold)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void ContinuousVerify::run(const std::stop_token& stop) {
  options_.differences_max = config_.verify.max_diff_rows;
  options_.stop = stop;
  options_.pass_markers = [this, stop](Clock::time_point deadline) {
    return pass_markers(config_, links_, deadline, stop);
  };
  while (!stop.stop_requested()) {
    bool statement = false;
    try {
      work(stop);
    } catch (const std::exception& error) {  // the links go on without it
      if (stop.stop_requested()) return;
      statement = sides_ && connections_live(sides_->blue, sides_->green);
      interrupted(error.what(), statement);
    }
    sides_.reset();
    const milliseconds pause = kPause * (1 << std::min(outages_, 6));
    if (!pause_for(std::min<milliseconds>(pause, kPauseMost), stop)) return;
  }
}

// A statement that fails again and again is the table's fault; a server that is away is nobody's.
void ContinuousVerify::interrupted(const std::string& reason, bool statement) {
  if (progress_) ++progress_->interruptions;
  if (outages_++ == 0) {
    log_event(LogLevel::kWarn, "comparison of both sides interrupted, trying again", {{"reason", reason}});
  }
  if (const auto table = std::exchange(keys_of_, std::nullopt)) {
    if (statement) keys_left_out_.insert(*table);
    return;
  }
  if (!statement || !pass_ || ++pass_->failures < kFailuresMost) return;
  pass_->table_failed = true;
  pass_->result.obstacles.push_back(reason);
}

void ContinuousVerify::connect(const std::stop_token& stop) {
  const auto open = [&](bool blue) {
    ConnectOptions options = connect_options(config_, blue, "continuous");
    options.connect_timeout = kConnectWithin;
    PgConnection connection = PgConnection::connect(options);
    connection.set_stop_token(stop);
    connection.exec("limit the time of statements", kGentle);
    return connection;
  };
  PgConnection blue = open(true);
  sides_.emplace(Sides{std::move(blue), open(false)});
}

void ContinuousVerify::work(const std::stop_token& stop) {
  connect(stop);
  if (!progress_) {
    const std::optional<VerifyRunning> last = read_verify_progress(sides_->green, config_.name);
    progress_ = last ? last->progress : VerifyProgress{};
    progress_->table.clear();
    progress_->range_states.clear();
    progress_->last = {};
  }
  while (!stop.stop_requested()) {
    if (may_go_on()) {
      compare_changed();
      step();
      if (std::exchange(outages_, 0) > 0) log_event(LogLevel::kInfo, "both sides are compared again");
    } else {
      free_at_ = std::max(free_at_, Clock::now() + kPause);
    }
    rest(stop);
  }
}

std::string ContinuousVerify::held_up() {
  Sides& sides = *sides_;
  for (const LinkNames& link : links_) {
    const bool forward = link.link == kBlueToGreen;
    PgConnection& target = forward ? sides.green : sides.blue;
    const Rows pending = target.exec_often("look for tables that are copied",
                                           "SELECT 1 FROM teal.table_state WHERE migration = $1 AND link = $2 AND "
                                           "state = 'pending' AND problem = '' LIMIT 1",
                                           {link.migration, link.link});
    if (!pending.empty()) return "a table is being copied";
  }
  return lagging(config_, sides.blue, sides.green, links_);
}

bool ContinuousVerify::may_go_on() {
  std::string reason = hold_();
  if (reason.empty() && Clock::now() >= look_at_) {
    held_up_ = held_up();
    look_at_ = Clock::now() + kLookAround;
  }
  if (reason.empty()) reason = held_up_;
  const bool news = std::exchange(progress_->resting, reason) != reason;
  if (news && !reason.empty()) keep_progress(milliseconds(0));
  return reason.empty();
}

void ContinuousVerify::begin_pass() {
  tables_ = read_compared_tables(sides_->blue, sides_->green, config_.tables);
  leave_out_uncopied(config_, sides_->green, tables_);
  choose_hashes(sides_->blue, sides_->green, options_.hashed, tables_);
  keys_left_out_.clear();
  pass_ = Pass{};
  progress_->tables = tables_.size();
  progress_->tables_done = 0;
}

void ContinuousVerify::end_pass() {
  const std::vector<TableName> names = names_of(tables_);
  const auto gone = [&](const auto& entry) {
    return std::find(names.begin(), names.end(), entry.first) == names.end();
  };
  std::erase_if(told_, gone);
  std::erase_if(last_, gone);
  std::erase_if(found_by_key_, gone);
  std::erase_if(range_counts_, gone);
  forget_other_verdicts(sides_->green, config_, names);
  for (PgConnection* side : {&sides_->blue, &sides_->green}) delete_old_markers(*side, config_.name);
  pass_.reset();
  progress_->table.clear();
  ++progress_->passes;
  keep_progress(milliseconds(0));
  free_at_ = std::max(free_at_, Clock::now() + kBetweenPasses);
}

void ContinuousVerify::step() {
  if (!pass_) begin_pass();
  if (pass_->number == tables_.size()) return end_pass();
  const ComparedTable& table = tables_[pass_->number];
  if (!pass_->begun) begin_table(table);
  if (pass_->table_done || pass_->table_failed || !table.readable) return end_table();
  compare_range(table);
}

void ContinuousVerify::begin_table(const ComparedTable& table) {
  const std::size_t number = pass_->number;
  *pass_ = {};
  pass_->number = number;
  pass_->begun = true;
  pace_ = RangePace(config_.verify.statement_time);
  pass_->result.table = table;
  pass_->result.obstacles = table.obstacles;
  pass_->table_began = Clock::now();
  progress_->table = to_string(table.blue.name);
  progress_->ranges_done = 0;
  progress_->range_states.clear();
  progress_->ranges_each = 1;
  progress_->ranges = table.ranged ? table.rows / config_.verify.range_rows + 1 : 1;
}

void ContinuousVerify::compare_range(const ComparedTable& table) {
  const auto began = Clock::now();
  std::size_t rows = config_.verify.range_rows;
  if (config_.verify.max_rate > 0) rows = std::min(rows, std::max(config_.verify.max_rate, kRangeRowsLeast));
  progress_->ranges = std::max<std::uint64_t>(progress_->ranges_done + 1, table.ranged ? table.rows / rows + 1 : 1);
  rows = std::min(rows, pace_.rows());
  const KeyRange range{pass_->from, next_bound(sides_->blue, table, {pass_->from, std::nullopt}, rows)};
  RangeResult found = RangeCompare(sides_->blue, sides_->green, options_).compare(table, range);
  pace_.took(found.rows, found.reading);
  free_at_ = std::max(free_at_, began) + cost(found.rows, began);
  if (!found.differences.empty() || found.in_flux > 0) {
    // What somebody has copied again meanwhile, or what a link that has ended owes, is no difference.
    look_at_ = {};
    if (!may_go_on()) return;
  }
  TableResult& result = pass_->result;
  result.rows += found.rows;
  result.unnamed += found.unnamed;
  result.in_flux += found.in_flux;
  ++result.ranges;
  tell(table, found.differences);
  note_range(found);
  const bool differs = !found.differences.empty();
  for (Difference& difference : found.differences) {
    if (result.differences.size() >= options_.differences_max) {
      ++result.unnamed;
    } else {
      result.differences.push_back(std::move(difference));
    }
  }
  pass_->failures = 0;
  pass_->from = range.to;
  pass_->table_done = !range.to;
  progress_->rows += found.rows;
  ++progress_->ranges_done;
  ++progress_->compared_ranges;
  // Last: what fails from here on does not have the range compared twice.
  if (pass_->table_done) return end_table();
  if (differs) keep(result, false, pass_->table_began);
}

void ContinuousVerify::note_range(const RangeResult& found) {
  RangeState state = RangeState::kEqual;
  if (found.in_flux > 0) state = RangeState::kUnchecked;
  if (!found.differences.empty()) state = RangeState::kDiffers;
  pass_->states.add(state);
  progress_->range_states = pass_->states.text();
  progress_->ranges_each = pass_->states.ranges_each();
  count_ranges();
}

// Of each table as of its last pass; of what differs as much as is known meanwhile.
void ContinuousVerify::count_ranges() {
  std::map<TableName, RangeCounts> known = range_counts_;
  if (pass_ && pass_->begun) {
    const RangeCounts& now = pass_->states.counts();
    RangeCounts& counts = known.try_emplace(pass_->result.table.blue.name, now).first->second;
    counts.differs = std::max(counts.differs, now.differs);
  }
  // Rows that were found by their keys lie in a range that nobody has looked at since.
  for (const auto& [name, rows] : told_) {
    if (!rows.empty()) known[name].differs = std::max<std::uint64_t>(known[name].differs, 1);
  }
  progress_->last = {};
  for (const auto& [name, counts] : known) progress_->last += counts;
}

// What was found by its key while the table was compared, in a range that was done, differs as well; unless somebody
// has mended it meanwhile. Where statements of the table fail, what is known stays.
void ContinuousVerify::end_table() {
  TableResult& result = pass_->result;
  const TableName& name = result.table.blue.name;
  std::erase_if(found_by_key_[name], [&](const auto& found) { return found.first < pass_->table_began; });
  add_found_by_key(result);
  if (!pass_->table_failed) look_again(result);
  found_by_key_.erase(name);
  keep(result, true, pass_->table_began);
  last_[name] = result;
  std::set<std::string>& told = told_[name];
  if (!told.empty() && result.verdict() == TableVerdict::kEqual) {
    log_event(LogLevel::kInfo, "rows that differed are the same again", {{"table", to_string(name)}});
  }
  told.clear();
  for (const Difference& difference : result.differences) told.insert(difference.identity);
  if (pass_->table_failed) pass_->states.add(RangeState::kUnchecked);
  RangeCounts counts = pass_->states.counts();
  // What is known to differ stays so until it was seen to be equal.
  if (result.verdict() != TableVerdict::kEqual) counts.differs = std::max(counts.differs, range_counts_[name].differs);
  range_counts_[name] = counts;
  const std::size_t next = pass_->number + 1;
  pass_ = Pass{};
  pass_->number = next;
  count_ranges();
  ++progress_->tables_done;
}

void ContinuousVerify::keep(const TableResult& result, bool whole, Clock::time_point began) {
  const VerdictNote note{result, Clock::now() - began, whole};
  keep_verdicts(sides_->green, config_, "run", {&note, 1});
}

void ContinuousVerify::tell(const ComparedTable& table, const std::vector<Difference>& differences) {
  std::set<std::string>& told = told_[table.blue.name];
  bool more = false;
  for (const Difference& difference : differences) {
    if (told.size() >= options_.differences_max || !told.insert(difference.identity).second) continue;
    ++progress_->differences;
    if (told.size() > kNamedMost) {
      more = true;
      continue;
    }
    log_event(LogLevel::kError, "a row differs between the sides",
              {{"table", to_string(table.blue.name)}, {"row", difference_text(table, difference)}});
  }
  if (more) {
    log_event(LogLevel::kError, "further rows differ between the sides",
              {{"table", to_string(table.blue.name)}, {"rows", told.size() - kNamedMost}});
  }
}

// For how long nothing else is begun, the work itself included.
ContinuousVerify::Clock::duration ContinuousVerify::cost(std::uint64_t rows, Clock::time_point began) const {
  if (config_.verify.max_rate == 0) return (Clock::now() - began) * (1 + kRestsFor);
  const double took = static_cast<double>(rows) / static_cast<double>(config_.verify.max_rate);
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(took));
}

void ContinuousVerify::rest(const std::stop_token& stop) {
  keep_progress(progress_->resting.empty() ? kKeepProgress : kKeepResting);
  for (auto now = Clock::now(); now < free_at_; now = Clock::now()) {
    const auto left = std::chrono::ceil<milliseconds>(free_at_ - now);
    if (!pause_for(std::min(left, kPause), stop)) return;
    if (progress_->resting.empty() && hold_().empty()) compare_changed();
    keep_progress(kKeepProgress);
  }
}

void ContinuousVerify::keep_progress(milliseconds at_most_every) {
  const auto now = Clock::now();
  if (now - kept_at_ < at_most_every) return;
  keep_verify_progress(sides_->green, config_.name, *progress_);
  kept_at_ = now;
}

}  // namespace teal
