#include "tools/copy_progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <mutex>

namespace teal {

CopyProgress::CopyProgress(const CopyCounters& counters, const std::vector<CopyTable>& tables, bool quiet)
    : counters_(counters), tables_(tables.size()), terminal_(::isatty(STDERR_FILENO) != 0) {
  for (const CopyTable& table : tables) bytes_expected_ += table.bytes;
  if (!quiet) thread_ = std::jthread([this](const std::stop_token& stop) { show(stop); });
}

CopyProgress::~CopyProgress() = default;

std::string CopyProgress::line(double seconds) const {
  const auto bytes = static_cast<double>(counters_.bytes.load());
  const double rate = seconds > 0 ? bytes / seconds : 0;
  const double left = static_cast<double>(bytes_expected_) - bytes;
  const std::string left_text =
      rate > 0 ? "about " + std::to_string(std::lround(std::max(left, 0.0) / rate)) + " s left" : "waiting";
  std::array<char, 160> text{};
  const int length = std::snprintf(text.data(), text.size(), "copy: %d of %zu tables, %.1f MB, %.1f MB/s, %s",
                                   counters_.tables_done.load(), tables_, bytes / 1e6, rate / 1e6, left_text.c_str());
  return {text.data(), static_cast<std::size_t>(length)};
}

void CopyProgress::show(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto interval = terminal_ ? std::chrono::milliseconds(500) : std::chrono::milliseconds(10'000);
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); })) {
    const std::string text = line(std::chrono::duration<double>(Clock::now() - start).count());
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  }
  if (terminal_) std::fprintf(stderr, "\r\033[K");
}

}  // namespace teal
