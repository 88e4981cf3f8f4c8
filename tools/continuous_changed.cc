#include <algorithm>
#include <map>
#include <utility>

#include "tools/continuous_verify.h"

// The part that compares what links have changed.
namespace teal {
namespace {

constexpr std::size_t kKeysAtOnce = 500;
constexpr std::size_t kKeysAtOnceLeast = 10;

// In the order of the table's key; nullopt: the link knows its rows by other columns.
std::optional<KeyValues> key_values(const ComparedTable& table, const ChangedRowKey& changed) {
  if (table.key.empty() || table.key.size() != changed.columns.size()) return std::nullopt;
  KeyValues values;
  for (const ComparedKey& key : table.key) {
    const auto at = std::find(changed.columns.begin(), changed.columns.end(), quote_identifier(key.name));
    if (at == changed.columns.end()) return std::nullopt;
    values.push_back(changed.values[static_cast<std::size_t>(at - changed.columns.begin())]);
  }
  return values;
}

}  // namespace

// Half of the time at most, so that ranges come to their end under any load.
void ContinuousVerify::compare_changed() {
  const auto began = Clock::now();
  if (tables_.empty() || began < keys_at_) return;
  std::size_t most = kKeysAtOnce;
  if (config_.verify.max_rate > 0) most = std::min(most, std::max(config_.verify.max_rate, kKeysAtOnceLeast));
  std::map<const ComparedTable*, std::vector<KeyValues>> by_table;
  std::size_t count = 0;
  for (const ChangedRowKey& changed : changed_.take(most)) {
    const auto table = std::find_if(tables_.begin(), tables_.end(), [&](const ComparedTable& one) {
      return one.readable && one.green.name == changed.target && !keys_left_out_.contains(one.blue.name);
    });
    if (table == tables_.end()) continue;
    std::optional<KeyValues> key = key_values(*table, changed);
    if (!key) continue;
    by_table[&*table].push_back(std::move(*key));
    ++count;
  }
  // Not even the look costs anything: it is made at the end of each short rest, which it would lengthen for ever.
  if (count == 0) return;
  for (const auto& [table, keys] : by_table) compare_changed_of(*table, keys);
  const Clock::duration rest = cost(count, began);
  free_at_ = std::max(free_at_, began) + rest;
  keys_at_ = began + 2 * rest;
}

void ContinuousVerify::compare_changed_of(const ComparedTable& table, const std::vector<KeyValues>& keys) {
  const auto began = Clock::now();
  const TableName& name = table.blue.name;
  keys_of_ = name;
  const RangeResult found = RangeCompare(sides_->blue, sides_->green, options_).compare_keys(table, keys);
  keys_of_.reset();
  progress_->keys += keys.size();
  if (found.differences.empty()) return;
  look_at_ = {};
  if (!may_go_on()) return;
  tell(table, found.differences);
  count_ranges();
  FoundByKey& by_key = found_by_key_[name];
  for (const Difference& difference : found.differences) {
    if (by_key.size() < options_.differences_max) by_key.emplace_back(began, difference);
  }
  const bool under_way = pass_ && pass_->begun && pass_->result.table.blue.name == name;
  TableResult result = under_way ? pass_->result : last_[name];
  result.table = table;
  add_found_by_key(result);
  keys_of_ = name;
  look_again(result);
  keys_of_.reset();
  keep(result, false, began);
  if (under_way) return;
  found_by_key_.erase(name);
  last_[name] = std::move(result);
}

// What was found a while ago may have been mended since. Without a key only the next pass can tell.
void ContinuousVerify::look_again(TableResult& result) {
  if (result.table.key.empty() || !result.table.readable || result.differences.empty()) return;
  const auto began = Clock::now();
  std::vector<KeyValues> keys;
  keys.reserve(result.differences.size());
  for (const Difference& difference : result.differences) keys.push_back(difference.key);
  RangeResult now = RangeCompare(sides_->blue, sides_->green, options_).compare_keys(result.table, keys);
  free_at_ = std::max(free_at_, began) + cost(keys.size(), began);
  result.in_flux += now.in_flux;
  result.differences = std::move(now.differences);
}

// Each row once.
void ContinuousVerify::add_found_by_key(TableResult& result) const {
  const auto by_key = found_by_key_.find(result.table.blue.name);
  if (by_key == found_by_key_.end()) return;
  std::set<std::string> known;
  for (const Difference& difference : result.differences) known.insert(difference.identity);
  for (const auto& [at, difference] : by_key->second) {
    if (known.insert(difference.identity).second) result.differences.push_back(difference);
  }
}

}  // namespace teal
