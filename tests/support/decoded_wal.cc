#include "tests/support/decoded_wal.h"

#include <algorithm>

namespace teal::test {
namespace {

constexpr std::size_t kShownBytes = 200;

std::string shown(const DecodedColumn& column) {
  std::string out = column.name + "[" + column.type + "]=";
  switch (column.kind) {
    case ColumnKind::kNull:
      return out + "null";
    case ColumnKind::kUnchangedToast:
      return out + "unchanged";
    case ColumnKind::kText:
    case ColumnKind::kBinary:
      break;
  }
  if (column.value.size() <= kShownBytes) return out + "'" + column.value + "'";
  return out + "'" + column.value.substr(0, kShownBytes) + "...' (" + std::to_string(column.value.size()) + " bytes)";
}

std::string shown(const DecodedChange& change) {
  std::string out = to_string(change.lsn) + " " + change.op;
  for (std::string table : change.tables) {
    std::replace(table.begin(), table.end(), '\0', '.');
    out += " " + table;
  }
  for (const DecodedColumn& column : change.old_row) out += " old " + shown(column);
  for (const DecodedColumn& column : change.new_row) out += " new " + shown(column);
  if (change.cascade) out += " cascade";
  if (change.restart_identity) out += " restart_identity";
  return out;
}

std::string shown(const DecodedTransaction& transaction) {
  return "transaction " + std::to_string(transaction.xid.value) + " of " + transaction.commit_time + ", ends at " +
         to_string(transaction.end_lsn) + ", " + std::to_string(transaction.changes.size()) + " changes";
}

template <class T>
std::string shown_at(const std::vector<T>& items, std::size_t index) {
  return index < items.size() ? shown(items[index]) : "nothing more";
}

}  // namespace

std::string first_difference(const DecodedWal& a, const DecodedWal& b, const std::string& a_name,
                             const std::string& b_name) {
  const auto first = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (first.first == a.end() && first.second == b.end()) return "";
  const auto index = static_cast<std::size_t>(first.first - a.begin());
  std::string text = "transaction number " + std::to_string(index) + "\n  " + a_name + ": " + shown_at(a, index) +
                     "\n  " + b_name + ": " + shown_at(b, index);
  if (index >= a.size() || index >= b.size()) return text;
  const auto& changes_a = a[index].changes;
  const auto& changes_b = b[index].changes;
  const auto change = std::mismatch(changes_a.begin(), changes_a.end(), changes_b.begin(), changes_b.end());
  if (change.first == changes_a.end() && change.second == changes_b.end()) return text;
  const auto at = static_cast<std::size_t>(change.first - changes_a.begin());
  return text + "\nchange number " + std::to_string(at) + "\n  " + a_name + ": " + shown_at(changes_a, at) + "\n  " +
         b_name + ": " + shown_at(changes_b, at);
}

}  // namespace teal::test
