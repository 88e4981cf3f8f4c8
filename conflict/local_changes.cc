#include "conflict/local_changes.h"

#include <algorithm>

namespace teal {
namespace {

constexpr std::size_t kBucketsKept = 1024;
constexpr std::size_t kSparse = 8;  // buckets for each key that is left: time to give memory back

}  // namespace

void LocalChanges::add(const LocalCommit& commit, std::span<const LocalChange> changes) {
  if (changes.empty()) return;
  if (commits_.empty() || commits_.back().lsn != commit.lsn) commits_.push_back(commit);
  const std::uint64_t number = first_commit_ + commits_.size() - 1;
  for (const LocalChange& change : changes) {
    std::uint64_t& newest = newest_[change.key];
    entries_.push_back(next(change, newest, number));
    newest = first_entry_ + entries_.size() - 1;
  }
}

std::uint32_t LocalChanges::index_of(const TableHash& table) {
  if (!tables_.empty() && tables_.back() == table) return static_cast<std::uint32_t>(tables_.size() - 1);
  const auto [found, added] = table_index_.try_emplace(table.part, static_cast<std::uint32_t>(tables_.size()));
  if (added) tables_.push_back(table);
  tables_[found->second] = table;  // a partition may have come to another table
  return found->second;
}

// Two jumps of one length that follow each other become one: the lengths grow like the digits of a skew binary number.
// What is forgotten is the list's end, and the next entry begins anew there.
LocalChanges::Entry LocalChanges::next(const LocalChange& change, std::uint64_t before, std::uint64_t commit) {
  Entry made{.key = change.key,
             .table = index_of(change.table),
             .removed = change.removed,
             .before = before,
             .jump = before,
             .length = 1,
             .commit = commit,
             .version = change.version,
             .jumped_max = change.version};
  if (!known(before)) return made;
  const Entry& one = entry(before);
  if (!known(one.jump) || entry(one.jump).length != one.length) return made;
  const Entry& two = entry(one.jump);
  made.jump = two.jump;
  made.length += one.length + two.length;
  made.jumped_max = std::max({change.version, one.jumped_max, two.jumped_max});
  return made;
}

std::uint64_t LocalChanges::newest(const KeyHash& key) const {
  const auto found = newest_.find(key);
  return found == newest_.end() ? 0 : found->second;
}

// The key's own versions and the TRUNCATEs of its table, and of its partition alone, are lists of their own.
std::optional<UnseenVersions> LocalChanges::unseen(const KeyHash& key, const TableHash& table, Lsn after,
                                                   Lsn upto) const {
  std::optional<UnseenVersions> found = in_list(key, after, upto);
  const auto add = [&](const KeyHash& all_of) {
    const auto all = in_list(all_of, after, upto);
    if (!all) return;
    if (!found) {
      found = all;
      return;
    }
    const UnseenVersions one = *found;
    if (one.number < all->number) found = all;
    found->first_time = std::min(one.first_time, all->first_time);
    found->version_max = std::max(one.version_max, all->version_max);
  };
  // By its name here.
  const KeyHash part = found ? tables_[entry(found->number).table].part : table_of(key).value_or(table).part;
  if (key != table.whole) add(table.whole);
  if (part != table.whole && key != part) add(part);
  return found;
}

std::optional<UnseenVersions> LocalChanges::in_list(const KeyHash& key, Lsn after, Lsn upto) const {
  std::uint64_t number = newest(key);
  while (known(number) && lsn_of(number) > upto) {
    const Entry& later = entry(number);
    number = known(later.jump) && lsn_of(later.jump) > upto ? later.jump : later.before;
  }
  if (!known(number) || lsn_of(number) < after) return std::nullopt;
  const Entry* version = &entry(number);
  UnseenVersions found{.last = commit_of(*version), .removed = version->removed, .number = number, .first_time = {}};
  const auto is_unseen = [&](std::uint64_t earlier) { return known(earlier) && lsn_of(earlier) >= after; };
  while (is_unseen(version->before)) {
    const bool far = is_unseen(version->jump);
    found.version_max = std::max(found.version_max, far ? version->jumped_max : version->version);
    version = &entry(far ? version->jump : version->before);
  }
  found.first_time = commit_of(*version).time;
  found.version_max = std::max(found.version_max, version->version);
  return found;
}

std::optional<TableHash> LocalChanges::table_of(const KeyHash& key) const {
  const std::uint64_t number = newest(key);
  if (!known(number)) return std::nullopt;
  return tables_[entry(number).table];
}

std::vector<ChangedKey> LocalChanges::changed_keys(const TableHash& table, Lsn after) const {
  std::vector<ChangedKey> keys;
  const bool in_part = table.part != table.whole;
  for (std::uint64_t number = first_entry_ + entries_.size() - 1; number >= first_entry_; --number) {
    const Entry& version = entry(number);
    if (commit_of(version).lsn < after) break;
    const TableHash& of = tables_[version.table];
    if (in_part ? of.part != table.part : of.whole != table.whole) continue;
    if (version.key == of.whole || version.key == of.part) continue;  // a TRUNCATE
    // The newest of a key stands for all of them.
    if (newest(version.key) == number) keys.push_back({version.key, of});
  }
  return keys;
}

void LocalChanges::forget(Lsn position) {
  while (!commits_.empty() && commits_.front().lsn < position) {
    while (!entries_.empty() && entries_.front().commit == first_commit_) {
      const auto newest = newest_.find(entries_.front().key);
      if (newest->second == first_entry_) newest_.erase(newest);
      entries_.pop_front();
      ++first_entry_;
    }
    commits_.pop_front();
    ++first_commit_;
  }
  if (newest_.bucket_count() > kBucketsKept && newest_.size() < newest_.bucket_count() / kSparse) newest_.rehash(0);
}

std::optional<LocalCommit> LocalChanges::oldest() const {
  if (commits_.empty()) return std::nullopt;
  return commits_.front();
}

std::optional<Lsn> LocalChanges::seen_by_first_after(Lsn position) const {
  const auto first = std::partition_point(commits_.begin(), commits_.end(),
                                          [&](const LocalCommit& commit) { return commit.lsn < position; });
  if (first == commits_.end()) return std::nullopt;
  return first->seen;
}

std::size_t LocalChanges::bytes() const {
  return entries_.size() * sizeof(Entry) + commits_.size() * sizeof(LocalCommit) +
         newest_.bucket_count() * (sizeof(KeyHash) + sizeof(std::uint64_t));
}

}  // namespace teal
