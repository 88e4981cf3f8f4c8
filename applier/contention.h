#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "applier/batch_pace.h"
#include "decoder/transaction.h"

namespace teal {

/// Whether an error of this SQLSTATE says that another session was in the way at that moment: a lock that was not given
/// in time, a deadlock, a row that moved away under an UPDATE. Nothing is wrong with the data.
[[nodiscard]] bool is_contention(std::string_view sqlstate);

/// What a two-way link does about applications that want the same rows at the same moment: it gives way, writes less at
/// once, and says so once it takes long. It never fails for that. Threads: one.
class Contention {
 public:
  Contention(std::string link, BatchPace pace) : link_(std::move(link)), pace_(pace) {}

  [[nodiscard]] const BatchPace& pace() const { return pace_; }
  /// Target transactions that were given up since the last one that went through.
  [[nodiscard]] std::uint64_t retries() const { return retries_; }

  /// What was given up: `transactions` of them, the first one's facts, and why.
  struct GivenUp {
    std::size_t transactions = 0;
    const TransactionFacts* first = nullptr;  ///< null: a progress row alone
    std::string_view reason;
    bool out_of_time = false;  ///< BatchPace::statement_time was not enough
    bool late = false;         ///< ConflictGuard::was_late: less at once would not be decided any sooner
  };
  /// A target transaction was rolled back: rests before the next attempt.
  /// Errors: PgError 57014 when it is time to stop.
  void give_way(const GivenUp& given_up, const std::stop_token& stop);
  void went_through();

 private:
  using Clock = std::chrono::steady_clock;

  void tell(const GivenUp& given_up, Clock::time_point now);

  std::string link_;
  BatchPace pace_;
  std::uint64_t retries_ = 0;
  Clock::time_point since_;  // of the first one of `retries_`
  Clock::time_point told_;   // not before `since_`: nothing was told yet
};

}  // namespace teal
