#include "verifier/range_compare.h"

#include <algorithm>
#include <future>
#include <set>
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

constexpr std::size_t kWatchedMost = 100;
constexpr int kLooks = 200;

// What one side showed of a row, look by look.
struct Seen {
  std::string version;
  bool moved = false;
  std::set<std::pair<std::string, std::string>> digests;

  void look(const FoundRows& rows, const std::string& identity) {
    const auto found = rows.find(identity);
    moved = moved || (found == rows.end() ? "" : found->second.version) != version;
    if (found != rows.end()) digests.emplace(found->second.digest.low, found->second.digest.high);
  }
};

bool have_met(const Seen& blue, const Seen& green) {
  return blue.moved && green.moved && std::any_of(blue.digests.begin(), blue.digests.end(), [&](const auto& digest) {
           return green.digests.contains(digest);
         });
}

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
  const auto began = Clock::now();
  const auto [blue, green] = on_both([&](SideReader& side) { return side.read_digest(table, range); });
  result.reading = Clock::now() - began;
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

RangeResult RangeCompare::compare_keys(const ComparedTable& table, const std::vector<KeyValues>& keys) {
  RangeResult result;
  for (std::size_t at = 0; at < keys.size(); at += kKeysAtOnce) {
    const std::size_t end = std::min(keys.size(), at + kKeysAtOnce);
    const std::vector<KeyValues> some(keys.begin() + static_cast<std::ptrdiff_t>(at),
                                      keys.begin() + static_cast<std::ptrdiff_t>(end));
    auto [blue, green] = on_both([&](SideReader& side) { return side.read_keys(table, some); });
    settle(
        unequal(std::move(blue), std::move(green)),
        [&](const Pairs& suspects) { return read_again(table, suspects, {}, {}); },
        [&](Pairs& hot) { watch(table, hot); }, result);
    result.rows += some.size();
  }
  return result;
}

void RangeCompare::compare_slices(const ComparedTable& table, const KeyRange& range, const Slices& slices,
                                  RangeResult& result) {
  auto [blue, green] = on_both([&](SideReader& side) { return side.read_rows(table, range, slices); });
  settle(
      unequal(std::move(blue), std::move(green)),
      [&](const Pairs& suspects) { return read_again(table, suspects, range, slices); },
      [&](Pairs& hot) { watch(table, hot); }, result);
}

// What is equal now is not in it, nor is what was no suspect: equal keys may be written in two ways (1.0 and 1.00).
// A row that was seen among others, and is not found by its key, may have been deleted, or the index may not find it
// (a collation whose order has changed): the others are read once more.
RangeCompare::Pairs RangeCompare::read_again(const ComparedTable& table, const Pairs& suspects, const KeyRange& range,
                                             const Slices& slices) {
  Pairs pairs;
  std::set<std::string> lost;
  if (table.key.empty()) {
    for (const auto& [identity, pair] : suspects) lost.insert(identity);
  } else {
    pairs = read_by_key(table, suspects, slices.numbers.empty() ? nullptr : &lost);
  }
  if (lost.empty()) return pairs;
  auto [blue, green] = on_both([&](SideReader& side) { return side.read_rows(table, range, slices); });
  Pairs seen = unequal(std::move(blue), std::move(green));
  for (const std::string& identity : lost) {
    pairs.erase(identity);
    if (auto found = seen.extract(identity)) pairs.insert(std::move(found));
  }
  return pairs;
}

RangeCompare::Pairs RangeCompare::read_by_key(const ComparedTable& table, const Pairs& suspects,
                                              std::set<std::string>* lost) {
  Pairs pairs;
  std::vector<std::string> identities;
  std::vector<KeyValues> keys;
  const auto read = [&] {
    auto [blue, green] = on_both([&](SideReader& side) { return side.read_keys(table, keys); });
    for (const std::string& identity : identities) {
      const Pair& before = suspects.at(identity);
      const bool left = (before.blue.digest.rows > 0 && !blue.contains(identity)) ||
                        (before.green.digest.rows > 0 && !green.contains(identity));
      if (left && lost != nullptr) lost->insert(identity);
    }
    pairs.merge(unequal(std::move(blue), std::move(green)));
    identities.clear();
    keys.clear();
  };
  for (const auto& [identity, pair] : suspects) {
    const FoundRow& row = pair.blue.digest.rows > 0 ? pair.blue : pair.green;
    if (row.key_is_null) {
      if (lost != nullptr) lost->insert(identity);
      continue;
    }
    identities.push_back(identity);
    keys.push_back(row.key);
    if (keys.size() == kKeysAtOnce) read();
  }
  if (!keys.empty()) read();
  std::erase_if(pairs, [&](const auto& entry) { return !suspects.contains(entry.first); });
  return pairs;
}

// Only what was seen since the last marker counts, and only of rows that move on both sides: a side that stands still
// while the other one is written has lost what was written, even if that is now and then the same again.
void RangeCompare::watch(const ComparedTable& table, Pairs& suspects) {
  if (table.key.empty() || suspects.empty() || suspects.size() > kWatchedMost) return;
  std::map<std::string, std::pair<Seen, Seen>> seen;
  for (const auto& [identity, pair] : suspects) {
    seen[identity] = {{pair.blue.version, false, {}}, {pair.green.version, false, {}}};
  }
  for (int i = 0; i < kLooks && !suspects.empty() && !options_.stop.stop_requested(); ++i) {
    std::vector<KeyValues> keys;
    for (const auto& [identity, pair] : suspects) {
      const FoundRow& row = pair.blue.digest.rows > 0 ? pair.blue : pair.green;
      if (!row.key_is_null) keys.push_back(row.key);
    }
    const auto rows = on_both([&](SideReader& side) { return side.read_keys(table, keys); });
    std::erase_if(suspects, [&](const auto& entry) {
      auto& [blue, green] = seen[entry.first];
      blue.look(rows.first, entry.first);
      green.look(rows.second, entry.first);
      return have_met(blue, green);
    });
  }
}

void RangeCompare::settle(Pairs suspects, const std::function<Pairs(const Pairs&)>& again,
                          const std::function<void(Pairs&)>& watch, RangeResult& result) {
  const auto deadline = Clock::now() + options_.patience;
  std::set<std::string> missed;  // once more, unchanged, by one of the two sides
  while (!suspects.empty()) {
    if (options_.pass_markers && !options_.pass_markers(deadline)) break;
    Pairs now = again(suspects);
    bool soon = false;
    for (auto entry = now.begin(); entry != now.end();) {
      const Pair& before = suspects.at(entry->first);
      const Pair& pair = entry->second;
      if (before.blue.version != pair.blue.version || before.green.version != pair.green.version) {
        missed.erase(entry->first);
        ++entry;
        continue;
      }
      // A row that is not there has no version: it may have come and gone between the two readings, and its deletion
      // be on its way. After another marker that would have come too.
      const bool absent = pair.blue.version.empty() || pair.green.version.empty();
      if (absent && options_.pass_markers && missed.insert(entry->first).second) {
        soon = true;
        ++entry;
        continue;
      }
      result.differences.push_back({kind_of(pair.blue.digest, pair.green.digest),
                                    pair.blue.digest.rows > 0 ? pair.blue.key : pair.green.key, entry->first,
                                    pair.blue.version, pair.green.version});
      entry = now.erase(entry);
    }
    if (options_.pass_markers && !soon) watch(now);
    suspects = std::move(now);
    if (suspects.empty() || Clock::now() >= deadline) break;
    if (!soon && !pause_for(kPause, options_.stop)) break;
  }
  result.in_flux += suspects.size();
}

}  // namespace teal
