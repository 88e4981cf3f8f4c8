#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <thread>

#include "engine/clock_skew.h"
#include "engine/config.h"
#include "engine/pg_connection.h"

namespace teal {

/// Whether two clocks are so far apart that somebody should know. Threads: one.
class SkewAlarm {
 public:
  enum class News { kNone, kApart, kTogether };

  /// kApart once they surely differ by more than a second, kTogether once it is surely less than half of one again;
  /// each is told once.
  [[nodiscard]] News note(const ClockSkew& skew);

 private:
  bool apart_ = false;
};

/// Newest rows of teal.conflict_log that one side keeps, however young they are.
inline constexpr std::int64_t kConflictLogRowsMax = 1'000'000;

/// Deletes rows of a migration in teal.conflict_log: those older than `keep`, and the oldest beyond
/// kConflictLogRowsMax. In steps, each a short transaction, and not all at once.
/// Returns whether some may be left. Errors: PgError.
[[nodiscard]] bool prune_conflict_log(PgConnection& side, const std::string& migration, std::chrono::milliseconds keep);

/// Looks after what concerns both sides while links run: the difference of their clocks every five seconds (events
/// `clocks differ`, `clocks agree again`; no decision depends on it), and the size of their conflict logs every minute.
/// Threads: its own, from construction to destruction, with a session on each side. Errors: none; an outage is told
/// once (`sides are not watched, trying again`, `sides are watched again`).
class SidesWatch {
 public:
  /// Lifetime: `config` outlives it.
  explicit SidesWatch(const Config& config);

 private:
  using Clock = std::chrono::steady_clock;

  void run(const std::stop_token& stop);
  void look(const std::stop_token& stop);
  void connect(const std::stop_token& stop);
  void tell(const ClockSkew& skew);

  const Config& config_;
  std::optional<PgConnection> blue_;
  std::optional<PgConnection> green_;
  SkewAlarm alarm_;
  Clock::time_point prune_at_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace teal
