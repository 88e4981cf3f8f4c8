#include "verifier/range_plan.h"

#include <algorithm>
#include <utility>

#include "verifier/digest_sql.h"

namespace teal {
namespace {

constexpr std::size_t kSampledPerRange = 20;  // a range is then off by a fifth or so
constexpr std::size_t kSampledMost = 400'000;
// The rows of a page lie side by side in many tables, so it is pages that have to be many: so many rows' worth of them
// for each range.
constexpr double kReadPerRange = 3'000;

KeyValues values_at(const Rows& rows, int row, std::size_t columns) {
  KeyValues values;
  for (std::size_t i = 0; i < columns; ++i) values.push_back(rows.str(row, static_cast<int>(i)));
  return values;
}

}  // namespace

std::vector<KeyRange> plan_ranges(PgConnection& blue, const ComparedTable& table, std::size_t rows) {
  const std::size_t count = table.rows / rows;
  if (!table.ranged || count < 2) return {KeyRange{}};
  const auto all = static_cast<double>(table.rows);
  const auto wanted = static_cast<double>(std::min(count * kSampledPerRange, kSampledMost));
  const double pages = std::min(1.0, kReadPerRange / static_cast<double>(rows));
  const Rows sample =
      blue.exec("sample the keys of " + to_string(table.blue.name), sample_sql(table, pages, wanted / (all * pages)));
  const auto found = static_cast<std::size_t>(sample.size());
  std::vector<KeyRange> ranges;
  std::optional<KeyValues> from;
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t at = i * found / count;
    if (at >= found) break;
    KeyValues bound = values_at(sample, static_cast<int>(at), table.key.size());
    if (from == bound) continue;  // a small sample may give the same key twice
    ranges.push_back({from, bound});
    from = std::move(bound);
  }
  ranges.push_back({from, std::nullopt});
  return ranges;
}

// Whatever the planner thinks of many rows: sorting all that is left, once for each range, takes for ever.
std::optional<KeyValues> next_bound(PgConnection& blue, const ComparedTable& table, const KeyRange& rest,
                                    std::size_t rows) {
  if (!table.ranged) return std::nullopt;
  blue.exec("prefer the index", "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off");
  const Rows found =
      blue.exec("look for the end of a range of " + to_string(table.blue.name), bound_sql(table, rest, rows));
  blue.exec("leave it to the planner again", "RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_sort");
  if (found.empty()) return std::nullopt;
  KeyValues bound = values_at(found, 0, table.key.size());
  if (rest.from == bound) return std::nullopt;
  return bound;
}

}  // namespace teal
