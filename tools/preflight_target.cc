#include <array>
#include <string_view>

#include "engine/pg_error.h"
#include "tools/pg_program.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

constexpr int kOldestTarget = 15;
constexpr int kSetsTransactionTimeout = 17;  // measured: pg_restore from here on sets it on any server

constexpr std::array<std::string_view, 8> kOriginFunctions{
    "pg_replication_origin_create",        "pg_replication_origin_drop",
    "pg_replication_origin_oid",           "pg_replication_origin_session_setup",
    "pg_replication_origin_session_reset", "pg_replication_origin_session_is_setup",
    "pg_replication_origin_xact_setup",    "pg_replication_origin_xact_reset"};

void check_origins(Preflight& preflight, PgConnection& target) {
  const std::string setting = target.server_major() >= 18 ? "max_active_replication_origins" : "max_replication_slots";
  const Rows rows = target.exec("count the replication origins",
                                "SELECT current_setting($1)::int, count(*), "
                                "count(*) FILTER (WHERE starts_with(roname, $2)) FROM pg_replication_origin",
                                {setting, preflight.link.migration_prefix()});
  const long long limit = rows.integer(0, 0);
  const long long foreign = rows.integer(0, 1) - rows.integer(0, 2);
  // The rows of the way back are there already.
  const int copy_jobs = preflight.from_blue() ? preflight.config.copy.jobs : 0;
  const long long needed = 1 + copy_jobs;
  if (limit - foreign >= needed) return;
  preflight.add(preflight.target(),
                "too few replication origins: " + setting + " is " + std::to_string(limit) + ", others use " +
                    std::to_string(foreign) + ", teal needs " + std::to_string(needed) +
                    (copy_jobs > 0 ? " (one for the link and one per copy job)" : " for the link"),
                "ALTER SYSTEM SET " + setting + " = " + std::to_string(foreign + needed) + "; then restart " +
                    preflight.target() + (copy_jobs > 0 ? "; or lower copy.jobs" : ""));
}

void check_origin_functions(Preflight& preflight, PgConnection& target, const ServerFacts& facts) {
  if (facts.superuser) return;
  std::string names = "{";
  for (const std::string_view name : kOriginFunctions) names += (names.size() == 1 ? "" : ",") + std::string(name);
  const Rows rows =
      target.exec("read the rights on the origin functions",
                  "SELECT 'pg_catalog.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' "
                  "FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace "
                  "AND p.proname = ANY ($1::text[]) AND NOT has_function_privilege(p.oid, 'EXECUTE') "
                  "ORDER BY 1",
                  {names + "}"});
  if (rows.empty()) return;
  std::string functions;
  for (int i = 0; i < rows.size(); ++i) functions += (i == 0 ? "" : ", ") + rows.str(i, 0);
  preflight.add(preflight.target(), "the role " + facts.role + " may not mark what it writes (replication origins)",
                "in database " + facts.database + ": GRANT EXECUTE ON FUNCTION " + functions + " TO " +
                    quote_identifier(facts.role) + ";");
}

// Tried for real: catalogs and what the server then does have been known to differ at providers.
void check_replica_role(Preflight& preflight, PgConnection& target, const ServerFacts& facts) {
  std::string refused;
  target.exec("begin", "BEGIN");
  try {
    target.exec("try session_replication_role", "SET LOCAL session_replication_role = 'replica'");
    const Rows rows = target.exec("read it back", "SELECT current_setting('session_replication_role')");
    if (rows.at(0, 0) != "replica") refused = "it reads " + rows.str(0, 0) + " after it was set";
  } catch (const PgError& error) {
    if (!target.usable()) throw;
    refused = error.text();
  }
  target.exec("roll back", "ROLLBACK");
  if (refused.empty()) return;
  preflight.add(preflight.target(), "the role " + facts.role + " may not set session_replication_role: " + refused,
                "GRANT SET ON PARAMETER session_replication_role TO " + quote_identifier(facts.role) + ";");
}

}  // namespace

void check_target_server(Preflight& preflight, PgConnection& target, const ServerFacts& facts) {
  if (facts.in_recovery) {
    preflight.add(preflight.target(), "this server is a standby", "connect to the primary");
    return;
  }
  const int major = target.server_major();
  if (major < 13 || (major < kOldestTarget && !facts.superuser)) {
    preflight.add(preflight.target(),
                  "PostgreSQL " + std::to_string(major) +
                      (major < 13 ? " is too old to be a target"
                                  : " as a target needs a superuser, which " + facts.role + " is not"),
                  "use PostgreSQL 15 or newer for " + preflight.target());
    return;
  }
  check_origins(preflight, target);
  check_origin_functions(preflight, target, facts);
  check_replica_role(preflight, target, facts);
}

void check_programs(Preflight& preflight, int newest_major, int target_major, bool schema_ahead) {
  if (!schema_ahead) return;
  for (const char* name : {"pg_dump", "pg_restore"}) {
    const PgProgramSearch search = find_pg_program(name, preflight.config.pg_bindir);
    if (!search.program) {
      preflight.add("local", search.problem + ", and green's tables are to be made with it",
                    "install the PostgreSQL " + std::to_string(newest_major) +
                        " client programs and set pg_bindir, or create the tables yourself and set copy.schema: false");
    } else if (search.program->major < newest_major) {
      preflight.add("local",
                    search.program->path + " is version " + search.program->version +
                        ", older than the newer server (" + std::to_string(newest_major) + ")",
                    "set pg_bindir to the programs of PostgreSQL " + std::to_string(newest_major) + " or newer");
    } else if (std::string_view(name) == "pg_restore" && search.program->major >= kSetsTransactionTimeout &&
               target_major < kSetsTransactionTimeout) {
      preflight.add("local",
                    search.program->path + " is version " + search.program->version +
                        ", and what it restores begins with a setting that PostgreSQL " + std::to_string(target_major) +
                        " on green does not know (transaction_timeout)",
                    newest_major < kSetsTransactionTimeout
                        ? "set pg_bindir to the programs of PostgreSQL " + std::to_string(newest_major)
                        : "create the tables yourself and set copy.schema: false; or use a newer green");
    }
  }
}

}  // namespace teal
