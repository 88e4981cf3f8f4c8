#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <stop_token>

#include "engine/config.h"
#include "engine/link.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "tools/link_facts.h"

namespace teal {

/// How long a slot lives at the rate at which its room shrinks, from what was seen of the last minute.
/// It reads no clock: times go in. Threads: one.
class SlotForecast {
 public:
  using Clock = std::chrono::steady_clock;

  /// `safe_wal_bytes`: what may still be written before the slot can be lost.
  void note(Clock::time_point now, std::int64_t safe_wal_bytes);
  /// nullopt while it does not shrink, or too little is known; 0 when it can be lost at any moment.
  [[nodiscard]] std::optional<std::chrono::seconds> lost_in() const;

 private:
  struct Seen {
    Clock::time_point at;
    std::int64_t bytes;
  };
  std::deque<Seen> seen_;
};

/// Looks at the source while a link streams, with a session of its own.
///
/// A source that is shutting down waits until its walsenders have been told that everything arrived, which never comes
/// while the target stands still (`pg_ctl stop -m fast` hangs): so the link lets it go.
/// It is recognised by what it does: it ends a session that does nothing and refuses a new one.
/// The same holds for one that is about to give up the slot.
/// And a slot that is about to be lost is told, again and again (events `slot may be lost`, `slot is safe again`).
/// Threads: one. Errors: none; what cannot be asked now is told once (events `slot is not watched`, `slot is watched
/// again`) and asked again.
class SourceWatch {
 public:
  SourceWatch(const Config& config, const LinkNames& names, Link& link, std::stop_token stop);

  /// Costs nothing while the session lives; asks for the slot every five seconds.
  void look();

 private:
  using Clock = std::chrono::steady_clock;

  bool session_lives();
  void look_at_slot(Clock::time_point now);
  void tell(const SlotFacts& slot, Clock::time_point now);

  LinkNames names_;
  Link& link_;
  std::stop_token stop_;
  ConnectOptions connect_;
  std::chrono::milliseconds alarm_below_;
  std::optional<PgConnection> session_;
  Clock::time_point tried_;
  Clock::time_point asked_;
  std::optional<Clock::time_point> told_;  // the alarm, while it lasts
  int failures_ = 0;                       // since it could look
  SlotForecast forecast_;
};

}  // namespace teal
