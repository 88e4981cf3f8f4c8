#pragma once
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>

namespace teal {

/// How much a two-way link writes at once, and how long it rests, when applications want the same rows. It does no I/O
/// and reads no clock. Threads: one.
class BatchPace {
 public:
  /// Units: target transactions in a row that went through, until twice as much is tried.
  static constexpr int kGrowAfter = 8;

  /// `transactions_most`: when this many go through in one target transaction, there is no limit any more.
  BatchPace(std::size_t transactions_most, std::uint64_t seed) : most_(transactions_most), random_(seed) {}

  /// How many source transactions one target transaction may hold; SIZE_MAX: no limit.
  [[nodiscard]] std::size_t transactions_max() const { return max_; }
  /// How long one statement may take. The waits of a statement are each shorter than a lock's time limit, but an
  /// application may wait for their sum, and find a deadlock when that exceeds the server's deadlock_timeout. Doubled
  /// each time that it was not enough for one source transaction alone: that may need so long by itself.
  [[nodiscard]] std::chrono::milliseconds statement_time() const;
  /// Whether the next attempt takes the tables for itself before it writes rows. Sessions that take rows in another
  /// order than teal, one after the other without a gap, would be in its way at every attempt; for their tables they
  /// queue behind it. But so do all others that write there, as long as one session holds a row: hence only for one
  /// source transaction alone, after the second attempt, the fourth, the eighth, ...
  [[nodiscard]] bool locks_tables() const { return given_alone_ > 1 && std::has_single_bit(given_alone_); }
  /// How long to rest, with nothing locked, before the next attempt: longer with each that gives way, and never the
  /// same twice, or two that are in each other's way would stay so.
  [[nodiscard]] std::chrono::milliseconds pause();

  /// A target transaction of this many source transactions was given up: half of them next time. `out_of_time`:
  /// because a statement took longer than `statement_time`.
  void gave_way(std::size_t transactions, bool out_of_time = false);
  void went_through();

 private:
  std::size_t most_;
  std::mt19937_64 random_;
  std::size_t max_ = SIZE_MAX;
  int through_ = 0;           // in a row, since the limit was set
  unsigned given_ = 0;        // in a row
  unsigned given_alone_ = 0;  // of these, those of one source transaction
  unsigned late_alone_ = 0;   // of these, those that were out of time
};

}  // namespace teal
