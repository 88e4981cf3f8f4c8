#include "verifier/range_compare.h"

#include <algorithm>
#include <future>
#include <utility>

#include "engine/pause.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeysAtOnce = 500;
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
  const std::uint64_t rows = std::max(blue.rows, green.rows);
  const auto slices = static_cast<std::size_t>((rows + options_.slice_rows - 1) / options_.slice_rows);
  if (slices <= 1) {
    compare_slice(table, range, 0, 1, result);
    return result;
  }
  const auto [blues, greens] = on_both([&](SideReader& side) { return side.read_slices(table, range, slices); });
  for (std::size_t slice = 0; slice < slices; ++slice) {
    if (blues[slice] == greens[slice]) continue;
    if (result.differences.size() >= options_.differences_max) {
      ++result.unnamed;
    } else {
      compare_slice(table, range, slice, slices, result);
    }
  }
  return result;
}

void RangeCompare::compare_slice(const ComparedTable& table, const KeyRange& range, std::size_t slice,
                                 std::size_t slices, RangeResult& result) {
  auto [blue, green] = on_both([&](SideReader& side) { return side.read_rows(table, range, slice, slices); });
  settle(
      unequal(std::move(blue), std::move(green)),
      [&](const Pairs& suspects) { return read_again(table, suspects, range, slice, slices); }, result);
}

// What is equal now is not in it.
RangeCompare::Pairs RangeCompare::read_again(const ComparedTable& table, const Pairs& suspects, const KeyRange& range,
                                             std::size_t slice, std::size_t slices) {
  if (table.key.empty()) {
    auto [blue, green] = on_both([&](SideReader& side) { return side.read_rows(table, range, slice, slices); });
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
