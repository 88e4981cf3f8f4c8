#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

namespace teal {

/// Decides when the receiver lets the socket fill up before it reads on.
///
/// The walsender sends every row on its own. While the receive window is open, each row is a segment of its own, and a
/// wake-up of whoever reads; once the window has closed, its rows travel together (measured: bench/README.md). So,
/// while the stream is dense: rest, and begin the rest before the sender has nothing left, because then the window is
/// closed for all of it. How much may be read until then follows from how much the sender was seen to make, between two
/// moments at which it had nothing left; it grows by and by, so that a sender that has become faster is noticed. Never
/// rest when the stream is not dense, because then there is somebody waiting. It needs a window that can be filled
/// meanwhile, see limit_receive_window. Threads: one. Time is passed in.
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
  /// A read below this finds rows as they are written: the sender has nothing left. One may be as small also between
  /// two windows; the next is not.
  static constexpr std::size_t kSmallBytes = 8U << 10U;
  /// What the sender shall have left when a rest begins, besides what the window holds. Units: bytes.
  static constexpr std::size_t kLeave = 384U << 10U;

  /// `bytes` were read at `now`: all messages that one look at the socket completed.
  void read(std::size_t bytes, Clock::time_point now) {
    if (const auto lasted = now - window_start_; lasted >= kWindow) {
      if (!dense()) level_at_.reset();
      bytes_per_ms_ = static_cast<double>(bytes_) / in_ms(lasted);
      window_start_ = now;
      bytes_ = 0;
    }
    bytes_ += bytes;
    since_level_ += bytes;
    if (bytes > 0) small_in_a_row_ = bytes < kSmallBytes ? small_in_a_row_ + 1 : 0;  // else it is inside a large row
  }

  /// The stream is as fast as it is read: more is waiting on the way.
  [[nodiscard]] bool dense() const { return bytes_ >= kDenseBytes; }

  /// For how long to rest before the next read; none: not now.
  [[nodiscard]] std::optional<std::chrono::milliseconds> rest(Clock::time_point now) {
    if (!dense()) return std::nullopt;
    if (small_in_a_row_ > 1) {
      level(now);
    } else if (!has_read_its_share(now)) {
      return std::nullopt;
    } else {
      rests_ += 1;
    }
    const double ms = static_cast<double>(kNapBytes) / std::max(bytes_per_ms_, 1.0);
    return std::clamp(std::chrono::milliseconds(static_cast<long>(ms)), kNapLeast, kNap);
  }

 private:
  static double in_ms(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

  // Everything that the sender has made since the last time was read.
  void level(Clock::time_point now) {
    const bool measured = level_at_ && now - *level_at_ > kWindow;
    made_per_ms_ = measured ? static_cast<double>(since_level_) / in_ms(now - *level_at_) : 0;
    level_at_ = now;
    since_level_ = 0;
    rests_ = 0;
  }

  // Reads half a per cent faster with each rest at first, twice as fast after forty: then it is level again, and what
  // the sender makes is measured anew.
  [[nodiscard]] bool has_read_its_share(Clock::time_point now) const {
    if (!level_at_ || made_per_ms_ == 0) return false;
    const double faster = 1 + 0.005 * rests_ + 0.0005 * rests_ * rests_;
    return static_cast<double>(since_level_ + kLeave) >= made_per_ms_ * in_ms(now - *level_at_) * faster;
  }

  Clock::time_point window_start_;
  std::size_t bytes_ = 0;
  double bytes_per_ms_ = 0;  // in the window before
  int small_in_a_row_ = 0;
  std::optional<Clock::time_point> level_at_;  // when the sender had nothing left; none: it is not known
  std::size_t since_level_ = 0;                // bytes
  double made_per_ms_ = 0;                     // bytes, by the sender; 0: not known
  double rests_ = 0;                           // since it was level
};

}  // namespace teal
