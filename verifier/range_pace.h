#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace teal {

/// How many rows a statement may read so that it takes about as long as it should, by what the last ones took.
/// Threads: one at a time.
class RangePace {
 public:
  /// `target`: for one statement, on the slower side; zero: however long it takes.
  explicit RangePace(std::chrono::milliseconds target) : target_(target) {}

  /// SIZE_MAX: no limit, or none is known yet.
  [[nodiscard]] std::size_t rows() const;
  /// What was read, and how long that took.
  void took(std::uint64_t rows, std::chrono::nanoseconds time);

 private:
  std::chrono::milliseconds target_;
  double seconds_per_row_ = 0;
};

}  // namespace teal
