#include "engine/wait_log.h"

#include <chrono>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirst{2'000};
constexpr milliseconds kInterval{10'000};
constexpr std::chrono::seconds kPatience{2};

// "4711 (psql, idle in transaction)"; a prepared transaction has no session.
std::string blockers_of(ConnectOptions server, int pid) {
  server.application_name += "-watch";
  server.connect_timeout = kPatience;
  server.answer_within = kPatience;
  try {
    PgConnection connection = PgConnection::connect(server);
    const Rows rows = connection.exec(
        "ask who holds up a session",
        "SELECT coalesce(string_agg(CASE WHEN b.pid = 0 THEN 'a prepared transaction' ELSE format('%s (%s, %s)', "
        "b.pid, "
        "coalesce(nullif(a.application_name, ''), 'no name'), coalesce(a.state, 'gone')) END, ', '), (SELECT 'a "
        "synchronous standby' FROM pg_stat_activity WHERE pid = $1::int AND wait_event = 'SyncRep')) FROM (SELECT "
        "DISTINCT unnest(pg_blocking_pids($1::int)) AS pid) AS b LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid",
        {std::to_string(pid)});
    return rows.is_null(0, 0) ? "nobody" : rows.str(0, 0);
  } catch (const PgError& error) {
    return "not known: " + error.text();
  }
}

}  // namespace

PgConnection::WaitListener log_long_waits(const PgConnection& connection, std::string session,
                                          std::optional<ConnectOptions> ask) {
  return [session = std::move(session), ask = std::move(ask), server = connection.label(),
          pid = connection.backend_pid(), told = milliseconds(0)](milliseconds waited) mutable {
    if (waited < told) told = milliseconds(0);  // another statement
    if (waited - told < (told.count() == 0 ? kFirst : kInterval)) return;
    told = waited;
    const std::string blocked_by = ask ? blockers_of(*ask, pid) : "not asked";
    log_event(LogLevel::kWarn, "no answer yet, held up by a lock?",
              {{"server", server},
               {"session", session},
               {"pid", pid},
               {"waited_s", waited.count() / 1000},
               {"blocked_by", blocked_by}});
  };
}

}  // namespace teal
