#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stop_token>

namespace teal {

/// Bounds the bytes a second that several threads move together. Nothing is saved up while nobody moves anything.
/// Threads: any.
class RateLimit {
 public:
  /// 0: no limit.
  explicit RateLimit(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  /// Waits until `bytes` more may have passed. Returns false when a stop ended the wait.
  bool take(std::uint64_t bytes, const std::stop_token& stop);

 private:
  using Clock = std::chrono::steady_clock;

  const std::uint64_t bytes_per_second_;
  std::mutex mutex_;
  Clock::time_point free_at_;  // guarded by mutex_: all that was taken has passed by then
};

}  // namespace teal
