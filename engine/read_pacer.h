#pragma once
#include <chrono>
#include <cstddef>

namespace teal {

/// Decides when the receiver lets the socket fill up before it reads on.
///
/// The walsender sends every row on its own. A reader that wakes for each one keeps the window open, and the sender
/// pays a segment per row; once the window has closed, its rows travel together, and decoding takes half the time
/// (measured: bench/README.md). So: nap while the stream is dense, never when it is not, because then there is somebody
/// waiting. Threads: one. Time is passed in.
class ReadPacer {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds kWindow{10};
  static constexpr std::chrono::milliseconds kNap{10};
  /// Units: bytes per kWindow; below it an open window costs the source nothing that matters.
  static constexpr std::size_t kDenseBytes = 64U << 10U;

  /// `bytes` were read at `now`.
  void read(std::size_t bytes, Clock::time_point now) {
    if (now - window_start_ >= kWindow) {
      window_start_ = now;
      bytes_ = 0;
    }
    bytes_ += bytes;
  }

  /// The stream is as fast as it is read: more is waiting on the way.
  [[nodiscard]] bool dense() const { return bytes_ >= kDenseBytes; }

 private:
  Clock::time_point window_start_;
  std::size_t bytes_ = 0;
};

}  // namespace teal
