#pragma once
#include <string>

#include "engine/pg_connection.h"

namespace teal {

/// For PgConnection::set_wait_listener: logs every ten seconds that `connection`'s server has not answered a statement.
/// Mostly that is a lock; with the pid that is logged, `SELECT pg_blocking_pids(pid)` tells whose.
/// `session`: what the connection is for, as in its application_name.
[[nodiscard]] PgConnection::WaitListener log_long_waits(const PgConnection& connection, std::string session);

}  // namespace teal
