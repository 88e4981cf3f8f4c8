#include "applier/changed_keys.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "decoder/value_text.h"

namespace teal {
namespace {

// bool, bytea, int8, int2, int4, uuid, and types whose binary form is their text.
constexpr std::array<std::uint32_t, 11> kSpelled{16, 17, 18, 19, 20, 21, 23, 25, 1042, 1043, 2950};

std::size_t hash_of(const ChangedRowKey& key) {
  std::size_t hash = std::hash<std::string>()(key.target.name);
  for (const std::string& value : key.values) hash = hash * 31 + std::hash<std::string>()(value);
  return hash;
}

std::optional<ChangedRowKey> changed_key(const TargetTable& table, const RowKey& key) {
  ChangedRowKey changed{table.target, {}, {}};
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    const MappedColumn& column = table.columns[table.key[i]];
    std::optional<std::string> text = key_value_text(column.element, key.columns[i]);
    if (!text) return std::nullopt;
    changed.columns.push_back(column.name);
    changed.values.push_back(std::move(*text));
  }
  return changed;
}

std::size_t count_rows(std::span<const Epoch> epochs) {
  std::size_t rows = 0;
  for (const Epoch& epoch : epochs) {
    for (const auto& segments : epoch.tables) {
      for (const Segment& segment : segments) rows += segment.rows.size();
    }
  }
  return rows;
}

}  // namespace

std::optional<std::string> key_value_text(std::uint32_t type, const ColumnValue& value) {
  if (value.kind == ColumnKind::kText) return std::string(value.text());
  if (value.kind != ColumnKind::kBinary) return std::nullopt;
  if (std::find(kSpelled.begin(), kSpelled.end(), type) == kSpelled.end()) return std::nullopt;
  return value_text(TypeId{type}, value);
}

// Spread over the whole batch. The keys' text is made before the lock is taken.
void ChangedKeys::note(std::span<const Epoch> epochs) {
  const std::size_t step = count_rows(epochs) / of_batch_max_ + 1;
  std::vector<ChangedRowKey> found;
  std::size_t next = 0;  // rows to pass over
  for (const Epoch& epoch : epochs) {
    for (const auto& segments : epoch.tables) {
      for (const Segment& segment : segments) {
        const std::size_t rows = segment.rows.size();
        std::size_t row = next;
        for (; row < rows; row += step) {
          if (segment.table->control || segment.table->whole_rows) continue;
          if (auto key = changed_key(*segment.table, segment.rows[row].key)) found.push_back(std::move(*key));
        }
        next = row - rows;
      }
    }
  }
  if (found.empty()) return;
  const std::scoped_lock lock(mutex_);
  for (ChangedRowKey& key : found) add(std::move(key));
}

void ChangedKeys::add(ChangedRowKey key) {
  if (!known_.insert(hash_of(key)).second) return;
  keys_.push_back(std::move(key));
  if (keys_.size() <= keys_max_) return;
  known_.erase(hash_of(keys_.front()));
  keys_.pop_front();
}

std::vector<ChangedRowKey> ChangedKeys::take(std::size_t most) {
  const std::scoped_lock lock(mutex_);
  const auto count = static_cast<std::ptrdiff_t>(std::min(most, keys_.size()));
  std::vector<ChangedRowKey> taken(std::make_move_iterator(keys_.begin()),
                                   std::make_move_iterator(keys_.begin() + count));
  keys_.erase(keys_.begin(), keys_.begin() + count);
  for (const ChangedRowKey& key : taken) known_.erase(hash_of(key));
  return taken;
}

}  // namespace teal
