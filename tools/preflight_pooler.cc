#include "tools/preflight_checks.h"

namespace teal {

// A server tells each session the process that serves it, and a pooler tells numbers of its own. In transaction mode
// settings and origin land in somebody else's session; in session mode they stay in it when teal has gone (DISCARD ALL
// keeps an origin), and what an application writes there next would be taken for teal's own.
bool is_pooled(Preflight& preflight, PgConnection& connection) {
  const Rows rows = connection.exec("ask " + connection.label() + " for the process", "SELECT pg_backend_pid()");
  if (rows.integer(0, 0) == connection.backend_pid()) return false;
  preflight.add(
      connection.label(),
      "there is a pooler before the server (it is at " + connection.address() +
          "), which would hand teal's sessions, with their settings and replication origin, to others",
      "connect teal to the server itself: its own host and port in the connection string of " + connection.label());
  return true;
}

}  // namespace teal
