#include "tools/open_transactions.h"

#include <chrono>
#include <string>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReportInterval{2'000};

// One line per transaction that the backend `pid` waits for; prepared ones have no session but a name.
void report_blockers(PgConnection& connection, int pid) {
  const Rows rows =
      connection.exec("ask what the slot waits for",
                      "SELECT h.pid, a.usename, a.application_name, a.state, "
                      "extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::bigint, p.gid "
                      "FROM pg_locks w LEFT JOIN pg_locks h ON h.locktype = 'transactionid' AND h.granted "
                      "AND h.transactionid = w.transactionid LEFT JOIN pg_stat_activity a ON a.pid = h.pid "
                      "LEFT JOIN pg_prepared_xacts p ON p.transaction = w.transactionid "
                      "WHERE w.pid = $1 AND w.locktype = 'transactionid' AND NOT w.granted",
                      {std::to_string(pid)});
  for (int i = 0; i < rows.size(); ++i) {
    const std::string seconds_open = rows.is_null(i, 4) ? "unknown" : rows.str(i, 4);
    if (!rows.is_null(i, 5)) {
      log_event(LogLevel::kWarn, "slot creation waits for a prepared transaction",
                {{"gid", rows.at(i, 5)}, {"open_s", seconds_open}});
    } else {
      log_event(LogLevel::kWarn, "slot creation waits for an open transaction",
                {{"pid", rows.at(i, 0)},
                 {"user", rows.at(i, 1)},
                 {"application", rows.at(i, 2)},
                 {"state", rows.at(i, 3)},
                 {"open_s", seconds_open}});
    }
  }
}

}  // namespace

PgConnection::WaitListener tell_blockers(ConnectOptions server, int waiting_pid) {
  return [server = std::move(server), waiting_pid, told = milliseconds(0)](milliseconds waited) mutable {
    if (waited - told < kReportInterval) return;
    told = waited;
    try {
      PgConnection connection = PgConnection::connect(server);
      report_blockers(connection, waiting_pid);
    } catch (const PgError& error) {
      log_event(LogLevel::kDebug, "cannot tell what the slot waits for", {{"reason", error.text()}});
    }
  };
}

}  // namespace teal
