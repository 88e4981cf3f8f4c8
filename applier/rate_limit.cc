#include "applier/rate_limit.h"

#include <algorithm>

#include "engine/pause.h"

namespace teal {

bool RateLimit::take(std::uint64_t bytes, const std::stop_token& stop) {
  if (bytes_per_second_ == 0) return true;
  const std::chrono::duration<double> time(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_));
  const Clock::time_point now = Clock::now();
  Clock::time_point until;
  {
    const std::scoped_lock lock(mutex_);
    free_at_ = std::max(free_at_, now) + std::chrono::duration_cast<Clock::duration>(time);
    until = free_at_;
  }
  // What is less than a millisecond is waited for with the next piece.
  const auto wait = std::chrono::floor<std::chrono::milliseconds>(until - now);
  return wait.count() == 0 || pause_for(wait, stop);
}

}  // namespace teal
