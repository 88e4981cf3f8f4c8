#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace teal::test {

/// Draws from a seed, the same ones with each standard library: its distributions and std::shuffle differ.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::uint64_t next() { return random_(); }
  /// Both included.
  std::uint64_t between(std::uint64_t least, std::uint64_t most) { return least + random_() % (most - least + 1); }
  bool one_in(std::uint64_t count) { return between(1, count) == 1; }

  template <class Item>
  void shuffle(std::vector<Item>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[between(0, i - 1)]);
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace teal::test
