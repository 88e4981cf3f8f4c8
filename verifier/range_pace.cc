#include "verifier/range_pace.h"

#include <algorithm>

namespace teal {
namespace {

// Below this a statement's own cost is most of what it takes.
constexpr double kRowsLeast = 500;
constexpr std::uint64_t kTellsSomething = 100;
constexpr double kNewest = 0.5;  // share of the newest measurement

}  // namespace

std::size_t RangePace::rows() const {
  if (target_.count() == 0 || seconds_per_row_ <= 0) return SIZE_MAX;
  const double rows = std::chrono::duration<double>(target_).count() / seconds_per_row_;
  return rows >= 1e12 ? SIZE_MAX : static_cast<std::size_t>(std::max(rows, kRowsLeast));
}

void RangePace::took(std::uint64_t rows, std::chrono::nanoseconds time) {
  if (rows < kTellsSomething) return;
  const double now = std::chrono::duration<double>(time).count() / static_cast<double>(rows);
  seconds_per_row_ = seconds_per_row_ <= 0 ? now : seconds_per_row_ * (1 - kNewest) + now * kNewest;
}

}  // namespace teal
