#pragma once
#include "engine/pg_connection.h"

namespace teal {

/// For a session that creates a slot: logs every two seconds which transactions it waits for, by pid or by the name of
/// a prepared one (the server waits for all that are open, TRAPS I3). `server` is asked in a session of its own; one
/// that cannot be asked is passed over, because the creation itself notices a lost server.
[[nodiscard]] PgConnection::WaitListener tell_blockers(ConnectOptions server, int waiting_pid);

}  // namespace teal
