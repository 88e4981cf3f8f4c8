#include "engine/run_lock.h"

#include "engine/pause.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kRetryPause{100};
constexpr std::chrono::milliseconds kAnswerWithin{10'000};

ConnectOptions quick(ConnectOptions options) {
  options.answer_within = kAnswerWithin;
  return options;
}

[[noreturn]] void refuse(PgConnection& connection, const std::string& migration, const std::string& key) {
  const Rows rows = connection.exec(
      "look who runs this migration",
      "SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'a local socket'), a.backend_start FROM "
      "pg_locks l "
      "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND "
      "((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended($1, 0) AND l.database = (SELECT oid FROM "
      "pg_database WHERE datname = current_database())",
      {key});
  const std::string holder = rows.empty() ? "another session"
                                          : "session " + rows.str(0, 0) + " (" + rows.str(0, 1) + ") from " +
                                                rows.str(0, 2) + ", since " + rows.str(0, 3);
  throw LockHeld("another teal runs the migration \"" + migration + "\": " + holder + " on " + connection.label() +
                     "; stop that one first",
                 rows.empty() ? 0 : static_cast<int>(rows.integer(0, 0)));
}

}  // namespace

RunLock::RunLock(const ConnectOptions& target, const std::string& migration, std::chrono::milliseconds patience,
                 const std::stop_token& stop)
    : connection_(PgConnection::connect(quick(target))) {
  const std::string key = "teal.run." + migration;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const Rows taken =
        connection_.exec("take the migration's lock", "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", {key});
    if (taken.boolean(0, 0)) return;
    if (stop.stop_requested()) throw Interrupted("stopped while waiting for the lock of \"" + migration + "\"");
    if (std::chrono::steady_clock::now() >= deadline) refuse(connection_, migration, key);
    pause_for(kRetryPause, stop);
  }
}

void RunLock::check() { connection_.exec("keep the migration's lock", "SELECT 1"); }

}  // namespace teal
