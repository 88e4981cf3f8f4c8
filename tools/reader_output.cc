#include "tools/reader_output.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>

#include "engine/pg_error.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kStopCheckMs = 100;  // how late a stop may be noticed
// What a pipe that polls as writable takes without blocking. Source: pipe(7).
constexpr std::size_t kWriteBytesMax = PIPE_BUF;

}  // namespace

ReaderOutput::Result ReaderOutput::write(std::string_view text, const std::stop_token& stop) {
  auto taken = Clock::now();
  while (!text.empty()) {
    pollfd waited{descriptor_, POLLOUT, 0};
    if (::poll(&waited, 1, kStopCheckMs) <= 0) {
      if (stop.stop_requested()) return Result::kStopped;
      if (Clock::now() - taken > stall_max_) return Result::kStalled;
      continue;
    }
    const ssize_t written = ::write(descriptor_, text.data(), std::min(text.size(), kWriteBytesMax));
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
      taken = Clock::now();
    } else if (errno == EPIPE) {
      return Result::kReaderGone;
    } else if (errno != EINTR && errno != EAGAIN) {
      throw Stopped(StopCode::kRefused, "cannot write the output: " + std::generic_category().message(errno));
    }
  }
  return Result::kWritten;
}

bool ReaderOutput::reader_gone() const {
  pollfd waited{descriptor_, 0, 0};
  return ::poll(&waited, 1, 0) > 0 && (waited.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

}  // namespace teal
