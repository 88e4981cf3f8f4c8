#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "decoder/ids.h"
#include "decoder/lsn.h"

namespace teal {

/// A table and the key of a row in it, the same on both sides. 128 bits: two keys of one table never share one.
struct KeyHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  constexpr bool operator==(const KeyHash&) const = default;
};

struct KeyHashHash {
  using is_avalanching = void;
  std::size_t operator()(const KeyHash& key) const { return key.low; }
};

/// A table, and one of its partitions as its side announces it: the same hash twice where there are none. A key belongs
/// to one partition for good, because its columns decide. TRUNCATE concerns either all keys of the table, or those of
/// one partition.
struct TableHash {
  constexpr TableHash() = default;
  constexpr TableHash(KeyHash all) : whole(all), part(all) {}  // NOLINT(*-explicit-*): most tables have no parts
  constexpr TableHash(KeyHash all, KeyHash one) : whole(all), part(one) {}

  KeyHash whole;
  KeyHash part;
  constexpr bool operator==(const TableHash&) const = default;
};

/// A commit of an application on one side, as this side's stream tells it. A position covers it when it is above `lsn`:
/// no other record lies between that and the END of the commit record, which is what progress is counted in.
struct LocalCommit {
  Lsn lsn;         ///< of the commit record: a stream that starts here sends this commit and all later ones
  Timestamp time;  ///< effective: this side's commit times never go back
  Lsn seen;        ///< END of the other side's last commit that had been applied here before it
};

/// A table that has no version column, or a NULL in it: lower than all versions.
inline constexpr std::int64_t kNoVersion = std::numeric_limits<std::int64_t>::min();

/// What a local commit did to one key of a table, or to all of them: a TRUNCATE has the table's hash as its key, or
/// that of the one partition which it emptied.
struct LocalChange {
  KeyHash key;
  TableHash table;
  bool removed = false;
  std::int64_t version = kNoVersion;
};

/// A key that was changed, and where it belongs.
struct ChangedKey {
  KeyHash key;
  TableHash table;
};

/// The versions of one key that the other side had not seen when it made the change that they are compared with.
struct UnseenVersions {
  LocalCommit last;                       ///< the commit of the newest
  bool removed = false;                   ///< the newest is that there is no row
  std::uint64_t number = 0;               ///< of the newest, in the order of all versions of its side
  Timestamp first_time;                   ///< of the oldest
  std::int64_t version_max = kNoVersion;  ///< of all of them
};

/// The local changes of one side, in commit order, as far as they may still meet a change that had not seen them.
///
/// It is complete from its first commit to where the stream was read, and this is what decisions rest on: a key that is
/// not in it holds what the other side knows. A delete leaves an entry like any other change; a TRUNCATE is one version
/// of every key of its table. Memory: about 120 bytes per change (`bytes`). Time: what is asked for one key takes the
/// logarithm of its number of versions, which may be all that there are: applications like a few rows best.
/// Threads: one at a time.
class LocalChanges {
 public:
  /// Commits come in commit order, `changes` in the order in which they were made; a large commit may come in pieces.
  void add(const LocalCommit& commit, std::span<const LocalChange> changes);

  /// The versions of `key` of `table` that `after` does not cover, of commits up to `upto`; nullopt: there is none.
  [[nodiscard]] std::optional<UnseenVersions> unseen(const KeyHash& key, const TableHash& table, Lsn after,
                                                     Lsn upto = {std::numeric_limits<std::uint64_t>::max()}) const;

  /// Where the key belongs, as far as it was changed here.
  [[nodiscard]] std::optional<TableHash> table_of(const KeyHash& key) const;

  /// The keys of a table, or of one partition if `table` names one, whose changes `after` does not cover, each once:
  /// what a TRUNCATE may have to spare. Looks at all changes since then.
  [[nodiscard]] std::vector<ChangedKey> changed_keys(const TableHash& table, Lsn after) const;

  /// Forgets the commits that `position` covers: no later change can have missed them.
  void forget(Lsn position);

  /// The oldest commit that is still known: a stream has to start at its `lsn` to fill this again, with its `time` and
  /// `seen` as what went before. Nullopt: none is.
  [[nodiscard]] std::optional<LocalCommit> oldest() const;
  /// What the first commit that `position` does not cover had seen of the other side; nullopt: there is none.
  [[nodiscard]] std::optional<Lsn> seen_by_first_after(Lsn position) const;

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const;

 private:
  // The versions of a key are a list from the newest on. Each knows another one further back, so that any is found in
  // few steps: Myers, "An applicative random-access stack", 1983.
  struct Entry {
    KeyHash key;
    std::uint32_t table;  // its index in `tables_`
    bool removed;
    std::uint64_t before;  // number of the previous entry of the same key; 0: none, as below
    std::uint64_t jump;    // number of one further back
    std::uint64_t length;  // steps to `jump`
    std::uint64_t commit;  // number of its commit
    std::int64_t version;
    std::int64_t jumped_max;  // of the versions from this one to before `jump`
  };

  [[nodiscard]] Entry next(const LocalChange& change, std::uint64_t before, std::uint64_t commit);
  [[nodiscard]] std::optional<UnseenVersions> in_list(const KeyHash& key, Lsn after, Lsn upto) const;
  [[nodiscard]] std::uint64_t newest(const KeyHash& key) const;
  [[nodiscard]] std::uint32_t index_of(const TableHash& table);
  [[nodiscard]] bool known(std::uint64_t number) const { return number >= first_entry_; }
  [[nodiscard]] const Entry& entry(std::uint64_t number) const { return entries_[number - first_entry_]; }
  [[nodiscard]] const LocalCommit& commit_of(const Entry& entry) const {
    return commits_[entry.commit - first_commit_];
  }
  [[nodiscard]] Lsn lsn_of(std::uint64_t number) const { return commit_of(entry(number)).lsn; }

  std::deque<LocalCommit> commits_;
  std::deque<Entry> entries_;
  std::uint64_t first_commit_ = 0;                                              // number of commits_.front()
  std::uint64_t first_entry_ = 1;                                               // number of entries_.front()
  boost::unordered_flat_map<KeyHash, std::uint64_t, KeyHashHash> newest_;       // of each key: number of its entry
  std::vector<TableHash> tables_;                                               // all that were ever changed
  boost::unordered_flat_map<KeyHash, std::uint32_t, KeyHashHash> table_index_;  // by the partition
};

}  // namespace teal
