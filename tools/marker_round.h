#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// What a marker has shown: all that the link's source had committed before it is on the target, and durable.
struct MarkerPassed {
  std::chrono::steady_clock::duration took{};
  std::string source_lsn;     ///< where the source wrote when the marker had been made
  std::int64_t from_outside;  ///< changes that the link has received so far, without those that teal itself had made
};

/// Sends markers through a link that runs, over sessions that are there: for moments that have to be short, where
/// SyncPoint would have to connect. Lifetime: the connections outlive it. Threads: one. Errors: PgError.
class MarkerRound {
 public:
  MarkerRound(PgConnection& source, PgConnection& target, LinkNames names)
      : source_(source), target_(target), names_(std::move(names)) {}

  /// nullopt: it has not come within `time`, or a stop was requested.
  [[nodiscard]] std::optional<MarkerPassed> pass(std::chrono::milliseconds time, const std::stop_token& stop);

  /// Deletes those that were made, where that is possible: they are in nobody's way.
  void forget() noexcept;

 private:
  void flush_target();

  PgConnection& source_;
  PgConnection& target_;
  LinkNames names_;
  std::vector<std::string> made_;
};

}  // namespace teal
