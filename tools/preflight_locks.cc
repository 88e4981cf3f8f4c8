#include "tools/preflight_checks.h"

namespace teal {
namespace {

constexpr std::size_t kLocksPerTable = 2;  // the table's and its key's; further indexes need more

}  // namespace

// A note, because most transactions touch few tables: the limit is met by one over all of them, by making the
// publication and by pg_dump.
void note_lock_table(Preflight& preflight, PgConnection& connection) {
  const Rows rows = connection.exec(
      "read the size of the lock table of " + connection.label(),
      "SELECT current_setting('max_locks_per_transaction')::bigint, "
      "current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint");
  const auto per_session = static_cast<std::size_t>(rows.integer(0, 0));
  const auto sessions = static_cast<std::size_t>(rows.integer(0, 1));
  const std::size_t tables = preflight.tables.size() + preflight.parts.size();
  const std::size_t needed = kLocksPerTable * tables;
  if (sessions == 0 || per_session * sessions >= needed) return;
  std::size_t enough = per_session;
  while (enough * sessions < needed) enough *= 2;
  preflight.report.notes.push_back(
      connection.label() + " has room for about " + std::to_string(per_session * sessions) +
      " locks, and one transaction over all " + std::to_string(tables) + " tables takes " + std::to_string(needed) +
      ": if there are such, ALTER SYSTEM SET max_locks_per_transaction = " + std::to_string(enough) +
      "; then restart it");
}

}  // namespace teal
