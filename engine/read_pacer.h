#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>

namespace teal {

/// Decides when the receiver lets the socket fill up before it reads on.
///
/// The walsender sends every row on its own. A reader that wakes for each one keeps the window open, and the sender
/// pays a segment per row; once the window has closed, its rows travel together, and decoding takes half the time
/// (measured: bench/README.md). So: nap while the stream is dense, never when it is not, because then there is somebody
/// waiting. It needs a window that can be filled meanwhile, see limit_receive_window. Threads: one. Time is passed in.
class ReadPacer {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds kWindow{10};
  static constexpr std::chrono::milliseconds kNap{10};
  static constexpr std::chrono::milliseconds kNapLeast{2};
  /// What may gather during a nap. The sender has a buffer too, and waits once that is full: wide rows fill it sooner.
  static constexpr std::size_t kNapBytes = 768U << 10U;
  /// Units: bytes per kWindow; below it an open window costs the source nothing that matters.
  static constexpr std::size_t kDenseBytes = 64U << 10U;

  /// `bytes` were read at `now`.
  void read(std::size_t bytes, Clock::time_point now) {
    if (const auto lasted = now - window_start_; lasted >= kWindow) {
      const std::chrono::duration<double, std::milli> ms = lasted;
      bytes_per_ms_ = static_cast<double>(bytes_) / ms.count();
      window_start_ = now;
      bytes_ = 0;
    }
    bytes_ += bytes;
  }

  /// The stream is as fast as it is read: more is waiting on the way.
  [[nodiscard]] bool dense() const { return bytes_ >= kDenseBytes; }

  /// For how long, while it is dense.
  [[nodiscard]] std::chrono::milliseconds nap() const {
    const double ms = static_cast<double>(kNapBytes) / std::max(bytes_per_ms_, 1.0);
    return std::clamp(std::chrono::milliseconds(static_cast<long>(ms)), kNapLeast, kNap);
  }

 private:
  Clock::time_point window_start_;
  std::size_t bytes_ = 0;
  double bytes_per_ms_ = 0;  // in the window before
};

}  // namespace teal
