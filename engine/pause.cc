#include "engine/pause.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace teal {

bool pause_for(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

std::chrono::milliseconds rest_after(std::chrono::steady_clock::duration took, std::chrono::milliseconds least) {
  constexpr int kRestPerWork = 100;
  constexpr std::chrono::milliseconds kMost{30'000};
  const auto wanted = std::chrono::duration_cast<std::chrono::milliseconds>(kRestPerWork * took);
  return std::max(least, std::min(wanted, kMost));
}

}  // namespace teal
