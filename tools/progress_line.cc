#include "tools/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <utility>

namespace teal {

ProgressLine::ProgressLine(std::function<std::string(double seconds)> text, bool quiet)
    : text_(std::move(text)), terminal_(::isatty(STDERR_FILENO) != 0) {
  if (!quiet) thread_ = std::jthread([this](const std::stop_token& stop) { show(stop); });
}

void ProgressLine::show(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto interval = terminal_ ? std::chrono::milliseconds(500) : std::chrono::milliseconds(10'000);
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); })) {
    const std::string text = text_(std::chrono::duration<double>(Clock::now() - start).count());
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  }
  if (terminal_) std::fprintf(stderr, "\r\033[K");
}

std::string time_left_text(double done, double all, double seconds) {
  if (done <= 0 || seconds <= 0) return "waiting";
  return "about " + std::to_string(std::lround(std::max(all - done, 0.0) * seconds / done)) + " s left";
}

}  // namespace teal
