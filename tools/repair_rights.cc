#include "tools/repair_rights.h"

#include "engine/pg_error.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

std::string functions_without_right(PgConnection& side) {
  const Rows rows = side.exec(
      "read the rights on the origin functions of " + side.label(),
      "SELECT string_agg('pg_catalog.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', ', ' "
      "ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN "
      "('pg_replication_origin_create', 'pg_replication_origin_oid', 'pg_replication_origin_session_setup', "
      "'pg_replication_origin_xact_reset') AND NOT has_function_privilege(p.oid, 'EXECUTE')");
  return rows.is_null(0, 0) ? "" : rows.str(0, 0);
}

// Tried for real, as `teal check` does.
std::string replica_role_refused(PgConnection& side) {
  std::string refused;
  side.exec("begin", "BEGIN");
  try {
    side.exec("try session_replication_role", "SET LOCAL session_replication_role = 'replica'");
  } catch (const PgError& error) {
    if (!side.usable()) throw;
    refused = error.text();
  }
  side.exec("roll back", "ROLLBACK");
  return refused;
}

bool has_room_for(PgConnection& side, const std::string& origin) {
  const std::string setting = side.server_major() >= 18 ? "max_active_replication_origins" : "max_replication_slots";
  return side
      .exec("count the replication origins of " + side.label(),
            "SELECT current_setting($1)::int > count(*) OR bool_or(roname = $2) FROM pg_replication_origin",
            {setting, origin})
      .boolean(0, 0);
}

}  // namespace

std::vector<std::string> repair_obstacles(PgConnection& side, const std::string& origin) {
  const ServerFacts facts = read_server_facts(side);
  if (facts.in_recovery) return {side.label() + " is a standby, which takes no rows; connect to the primary"};
  std::vector<std::string> obstacles;
  const std::string role = quote_identifier(facts.role);
  if (const std::string functions = functions_without_right(side); !facts.superuser && !functions.empty()) {
    obstacles.push_back("the role " + facts.role + " may not mark what it writes on " + side.label() +
                        " (replication origins); in database " + facts.database + ": GRANT EXECUTE ON FUNCTION " +
                        functions + " TO " + role + ";");
  }
  if (const std::string refused = replica_role_refused(side); !refused.empty()) {
    obstacles.push_back("the role " + facts.role + " may not set session_replication_role on " + side.label() + " (" +
                        refused + "); GRANT SET ON PARAMETER session_replication_role TO " + role + ";");
  }
  if (!has_room_for(side, origin)) {
    obstacles.push_back(side.label() + " has no room for another replication origin; raise " +
                        (side.server_major() >= 18 ? "max_active_replication_origins" : "max_replication_slots") +
                        " and restart it");
  }
  return obstacles;
}

}  // namespace teal
