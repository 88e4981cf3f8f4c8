#pragma once
#include <optional>
#include <string>

#include "engine/pg_connection.h"

namespace teal {

/// For PgConnection::set_wait_listener: logs, first after two seconds and then every ten, that `connection`'s server
/// has not answered a statement. Mostly that is a lock; `pid` is the session that waits. `session`: what the connection
/// is for, as in its application_name. `ask`: asks the server, in a session of its own, whom it waits for, and logs
/// their pids (`blocked_by`). For at most four seconds at a time the caller looks at nothing else then.
[[nodiscard]] PgConnection::WaitListener log_long_waits(const PgConnection& connection, std::string session,
                                                        std::optional<ConnectOptions> ask = std::nullopt);

}  // namespace teal
