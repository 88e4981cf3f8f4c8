#include "conflict/local_changes.h"

#include <algorithm>

namespace teal {

void LocalChanges::add(const LocalCommit& commit, std::span<const LocalChange> changes) {
  if (changes.empty()) return;
  if (commits_.empty() || commits_.back().lsn != commit.lsn) commits_.push_back(commit);
  const std::uint64_t number = first_commit_ + commits_.size() - 1;
  for (const LocalChange& change : changes) {
    std::uint64_t& newest = newest_[change.key];
    entries_.push_back({change.key, change.table.low, newest, number, change.version, change.removed});
    newest = first_entry_ + entries_.size() - 1;
  }
}

std::uint64_t LocalChanges::newest(const KeyHash& key) const {
  const auto found = newest_.find(key);
  return found == newest_.end() ? 0 : found->second;
}

// The key's own entries and its table's TRUNCATEs are two lists, newest first: they are walked as one.
UnseenVersions LocalChanges::unseen(const KeyHash& key, const KeyHash& table, Lsn after, Lsn upto) const {
  UnseenVersions found;
  std::uint64_t of_key = newest(key);
  std::uint64_t of_table = key == table ? 0 : newest(table);
  while (true) {
    const std::uint64_t number = std::max(of_key, of_table);
    if (number < first_entry_) break;  // 0, or forgotten
    const Entry& version = entry(number);
    const LocalCommit& commit = commit_of(version);
    if (commit.lsn < after) break;
    (number == of_key ? of_key : of_table) = version.before;
    if (commit.lsn > upto) continue;
    if (found.count == 0) {
      found.last = commit;
      found.removed = version.removed;
    }
    ++found.count;
    found.first_time = commit.time;
    found.version_max = std::max(found.version_max, version.version);
  }
  return found;
}

std::vector<KeyHash> LocalChanges::changed_keys(const KeyHash& table, Lsn after) const {
  std::vector<KeyHash> keys;
  for (std::uint64_t number = first_entry_ + entries_.size() - 1; number >= first_entry_; --number) {
    const Entry& version = entry(number);
    if (commit_of(version).lsn < after) break;
    // The newest of a key stands for all of them.
    if (version.table == table.low && version.key != table && newest(version.key) == number)
      keys.push_back(version.key);
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
