#pragma once
#include <chrono>

#include "decoder/ids.h"
#include "engine/pg_connection.h"

namespace teal {

/// How far a server's clock is from this machine's steady one, from its answers to what time it is. The quickest answer
/// counts: the server may have looked at its clock at any moment of the way there and back. Threads: one.
class ClockOffset {
 public:
  using Clock = std::chrono::steady_clock;

  /// Asked at `sent`, answered `server`, known at `received`.
  void add(Clock::time_point sent, Timestamp server, Clock::time_point received);

  /// Server minus steady clock; meaningless before the first `add`.
  [[nodiscard]] std::chrono::microseconds offset() const { return offset_; }
  /// At most that far from the truth, either way.
  [[nodiscard]] std::chrono::microseconds error() const { return error_; }

 private:
  std::chrono::microseconds offset_{0};
  std::chrono::microseconds error_{std::chrono::microseconds::max()};
};

/// What two servers' clocks differ by.
struct ClockSkew {
  std::chrono::microseconds ahead{0};  ///< the second one's clock minus the first one's
  std::chrono::microseconds error{0};  ///< at most that far from the truth, either way

  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(ahead).count(); }
};

[[nodiscard]] ClockSkew clock_skew(const ClockOffset& first, const ClockOffset& second);

/// Asks both servers, three times each. Errors: PgError.
[[nodiscard]] ClockSkew measure_clock_skew(PgConnection& first, PgConnection& second);

}  // namespace teal
