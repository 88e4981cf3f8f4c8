#include "verifier/range_compare.h"

#include <algorithm>
#include <future>
#include <utility>

#include "engine/pause.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeysAtOnce = 500;
// Of what is read at once: a few rows that differ then do not bring many others with them.
constexpr std::size_t kSlicesAtOnce = 8;
constexpr std::size_t kSlicesMost = 65'536;
constexpr std::chrono::milliseconds kPause{100};

DifferenceKind kind_of(const Digest& blue, const Digest& green) {
  if (green.rows == 0) return DifferenceKind::kMissingOnGreen;
  return blue.rows == 0 ? DifferenceKind::kMissingOnBlue : DifferenceKind::kDiffers;
}

}  // namespace

template <typename Read>
auto RangeCompare::on_both(Read read) {
  auto green = std::async(std::launch::async, [&] { return read(green_); });
  auto blue = read(blue_);
  return std::pair{std::move(blue), green.get()};
}

RangeCompare::Pairs RangeCompare::unequal(FoundRows blue, FoundRows green) {
  Pairs pairs;
  for (auto& [identity, row] : blue) {
    const auto other = green.find(identity);
    if (other == green.end()) {
      pairs[identity].blue = std::move(row);
    } else if (other->second.digest != row.digest) {
      pairs[identity] = {std::move(row), std::move(other->second)};
    }
  }
  for (auto& [identity, row] : green) {
    if (!blue.contains(identity)) pairs[identity].green = std::move(row);
  }
  return pairs;
}

RangeResult RangeCompare::compare(const ComparedTable& table, const KeyRange& range) {
  RangeResult result;
  const auto [blue, green] = on_both([&](SideReader& side) { return side.read_digest(table, range); });
  result.rows = blue.rows;
  if (blue == green) return result;
  const auto rows = static_cast<std::size_t>(std::max(blue.rows, green.rows));
  const std::size_t count = std::clamp(rows * kSlicesAtOnce / options_.rows_at_once, std::size_t{1}, kSlicesMost);
  const auto [blues, greens] = on_both([&](SideReader& side) { return side.read_slices(table, range, count); });
  Slices slices{{}, count};
  std::size_t held = 0;
  const auto compare_gathered = [&] {
    if (!slices.numbers.empty()) compare_slices(table, range, slices, result);
    slices.numbers.clear();
    held = 0;
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (blues[i] == greens[i]) continue;
    if (result.differences.size() >= options_.differences_max) {
      ++result.unnamed;
      continue;
    }
    slices.numbers.push_back(i);
    held += static_cast<std::size_t>(std::max(blues[i].rows, greens[i].rows));
    if (held >= options_.rows_at_once) compare_gathered();
  }
  compare_gathered();
  return result;
}

void RangeCompare::compare_slices(const ComparedTable& table, const KeyRange& range, const Slices& slices,
                                  RangeResult& result) {
  auto [blue, green] = on_both([&](SideReader& side) { return side.read_rows(table, range, slices); });
  settle(
      unequal(std::move(blue), std::move(green)),
      [&](const Pairs& suspects) { return read_again(table, suspects, range, slices); }, result);
}

// What is equal now is not in it.
RangeCompare::Pairs RangeCompare::read_again(const ComparedTable& table, const Pairs& suspects, const KeyRange& range,
                                             const Slices& slices) {
  if (table.key.empty()) {
    auto [blue, green] = on_both([&](SideReader& side) { return side.read_rows(table, range, slices); });
    Pairs pairs = unequal(std::move(blue), std::move(green));
    std::erase_if(pairs, [&](const auto& entry) { return !suspects.contains(entry.first); });
    return pairs;
  }
  Pairs pairs;
  std::vector<KeyValues> keys;
  const auto read = [&] {
    auto [blue, green] = on_both([&](SideReader& side) { return side.read_keys(table, keys); });
    pairs.merge(unequal(std::move(blue), std::move(green)));
    keys.clear();
  };
  for (const auto& [identity, pair] : suspects) {
    keys.push_back(pair.blue.digest.rows > 0 ? pair.blue.key : pair.green.key);
    if (keys.size() == kKeysAtOnce) read();
  }
  if (!keys.empty()) read();
  return pairs;
}

void RangeCompare::settle(Pairs suspects, const std::function<Pairs(const Pairs&)>& again, RangeResult& result) {
  const auto deadline = Clock::now() + options_.patience;
  while (!suspects.empty()) {
    if (options_.pass_markers && !options_.pass_markers(deadline)) break;
    Pairs now = again(suspects);
    for (auto entry = now.begin(); entry != now.end();) {
      const Pair& before = suspects.at(entry->first);
      const Pair& pair = entry->second;
      if (before.blue.version != pair.blue.version || before.green.version != pair.green.version) {
        ++entry;
        continue;
      }
      result.differences.push_back({kind_of(pair.blue.digest, pair.green.digest),
                                    pair.blue.digest.rows > 0 ? pair.blue.key : pair.green.key, entry->first});
      entry = now.erase(entry);
    }
    suspects = std::move(now);
    if (suspects.empty() || Clock::now() >= deadline) break;
    if (!pause_for(kPause, options_.stop)) break;
  }
  result.in_flux += suspects.size();
}

}  // namespace teal
