#pragma once
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "applier/coalescer.h"
#include "engine/table_pattern.h"

namespace teal {

/// A row that a link has changed, known by its key.
struct ChangedRowKey {
  TableName target;                  ///< the table that the link has written to
  std::vector<std::string> columns;  ///< of the key, quoted
  std::vector<std::string> values;   ///< as the server writes them

  bool operator==(const ChangedRowKey&) const = default;
};

/// Rows that links have changed and nobody has looked at since: for whoever compares both sides, and wants to begin
/// with them. It is a sample and not a ledger: of a large batch some are taken, the oldest are dropped when there are
/// too many, and keys that came in a binary form whose text is the server's alone are left out, as are rows without a
/// key. Threads: any.
class ChangedKeys {
 public:
  explicit ChangedKeys(std::size_t keys_max = 10'000, std::size_t of_batch_max = 200)
      : keys_max_(keys_max), of_batch_max_(of_batch_max) {}

  /// Of a batch that was committed.
  void note(std::span<const Epoch> epochs);

  /// Takes at most `most` of them away, the oldest first.
  [[nodiscard]] std::vector<ChangedRowKey> take(std::size_t most);

 private:
  void add(ChangedRowKey key);

  const std::size_t keys_max_;
  const std::size_t of_batch_max_;
  std::mutex mutex_;
  std::deque<ChangedRowKey> keys_;         // guarded by mutex_
  std::unordered_set<std::size_t> known_;  // guarded by mutex_: hashes of those
};

/// The text of a key's value in the form that the server writes; nullopt: only the server knows it.
/// `type`: that the value travels as.
[[nodiscard]] std::optional<std::string> key_value_text(std::uint32_t type, const ColumnValue& value);

}  // namespace teal
