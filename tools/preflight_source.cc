#include <algorithm>

#include "engine/publication.h"
#include "tools/exit_code.h"
#include "tools/preflight_checks.h"
#include "tools/version_rules.h"

namespace teal {
namespace {

constexpr int kOldestSource = 13;

// The session that streams and, while tables are to be copied, the one whose temporary slot gives the snapshot.
int sessions_needed(const Preflight& preflight) { return preflight.copy_ahead() ? 2 : 1; }

void check_wal_level(Preflight& preflight, PgConnection& source) {
  const Rows rows = source.exec("read wal_level", "SELECT current_setting('wal_level')");
  if (rows.at(0, 0) == "logical") return;
  preflight.add(preflight.source(),
                "wal_level is " + rows.str(0, 0) + ", but the changes can only be read with logical",
                "ALTER SYSTEM SET wal_level = 'logical'; then restart " + preflight.source());
}

void check_slots(Preflight& preflight, PgConnection& source) {
  const Rows rows = source.exec("count the replication slots",
                                "SELECT current_setting('max_replication_slots')::int, count(*) "
                                "FROM pg_replication_slots");
  const long long limit = rows.integer(0, 0);
  const long long used = rows.integer(0, 1);
  const long long needed = (preflight.slot ? 0 : 1) + (preflight.copy_ahead() ? 1 : 0);
  if (limit - used >= needed) return;
  preflight.add(preflight.source(),
                "no free replication slot: " + std::to_string(used) + " of " + std::to_string(limit) +
                    " are used, teal needs " + std::to_string(needed) + " more",
                "drop slots that nobody uses, or ALTER SYSTEM SET max_replication_slots = " +
                    std::to_string(used + needed) + "; then restart " + preflight.source());
}

void check_walsenders(Preflight& preflight, PgConnection& source) {
  const Rows rows = source.exec("count the walsenders",
                                "SELECT current_setting('max_wal_senders')::int, count(*) "
                                "FROM pg_stat_get_wal_senders()");
  const long long limit = rows.integer(0, 0);
  const long long used = rows.integer(0, 1);
  const bool streaming = preflight.slot && preflight.slot->active_pid;
  const long long needed = sessions_needed(preflight) - (streaming ? 1 : 0);
  if (limit - used >= needed) return;
  preflight.add(preflight.source(),
                "no free walsender: " + std::to_string(used) + " of " + std::to_string(limit) +
                    " are used, teal needs " + std::to_string(needed) + " more",
                "end replication sessions that nobody needs, or ALTER SYSTEM SET max_wal_senders = " +
                    std::to_string(used + needed) + "; then restart " + preflight.source());
}

// The attribute is not all: some providers grant it by a role, and pg_hba.conf has its say. So it is tried.
void check_replication_login(Preflight& preflight, const ServerFacts& facts) {
  ConnectOptions options = connect_options(preflight.config, preflight.from_blue(), "check");
  options.replication = true;
  try {
    PgConnection walsender = PgConnection::connect(options);
    walsender.exec("identify the system", "IDENTIFY_SYSTEM");
  } catch (const PgError& error) {
    if (facts.replication || facts.superuser) {
      if (error.text().find("max_wal_senders") != std::string::npos) return;  // found by the count
      const std::string mend = connection_mend(error);
      preflight.add(preflight.source(), "a replication connection is refused: " + error.text(),
                    mend.empty() ? "allow " + facts.role + " in pg_hba.conf of " + preflight.source() : mend);
      return;
    }
    preflight.add(preflight.source(), "the role " + facts.role + " may not read the changes: it lacks REPLICATION",
                  "ALTER ROLE " + quote_identifier(facts.role) + " REPLICATION;");
  }
}

void check_slot_health(Preflight& preflight, const ServerFacts& facts) {
  const std::string name = preflight.link.slot();
  if (!preflight.slot) return;
  const SlotFacts& slot = *preflight.slot;
  if (slot.database != facts.database || slot.plugin != "pgoutput") {
    preflight.add(
        preflight.source(),
        "a slot " + name + " exists, but for database \"" + slot.database + "\" with plugin \"" + slot.plugin + "\"",
        "choose another \"name:\" for this migration, or drop that slot if nobody uses it");
  } else if (slot.wal_status == "lost") {
    preflight.add(preflight.source(), "the slot " + name + " is lost: the server removed WAL that teal had not read",
                  "raise max_slot_wal_keep_size, then teal finish and start again");
  }
}

}  // namespace

void check_source_server(Preflight& preflight, PgConnection& source, const ServerFacts& facts) {
  if (source.server_major() < kOldestSource) {
    preflight.add(preflight.source(),
                  "PostgreSQL " + std::to_string(source.server_major()) + " is too old to be a source",
                  preflight.source() + " has to be PostgreSQL 13 or newer");
    return;
  }
  if (facts.in_recovery) {
    preflight.add(preflight.source(), "this server is a standby", "connect to the primary");
    return;
  }
  const int version = PQserverVersion(source.raw());
  if (const std::string flaw = decoding_flaw(version); !flaw.empty()) {
    preflight.report.notes.push_back(preflight.source() + " is PostgreSQL " + std::to_string(version / 10000) + "." +
                                     std::to_string(version % 10000) + ", whose logical decoding " + flaw);
  }
  check_wal_level(preflight, source);
  check_slots(preflight, source);
  check_walsenders(preflight, source);
  check_replication_login(preflight, facts);
  check_slot_health(preflight, facts);
}

void check_control_schema(Preflight& preflight, PgConnection& connection, const ServerFacts& facts, bool also_publish) {
  const std::string& side = connection.label();
  const std::string grant =
      "GRANT CREATE ON DATABASE " + quote_identifier(facts.database) + " TO " + quote_identifier(facts.role) + ";";
  if (facts.in_recovery) return;
  if (facts.teal_schema_owner && !facts.create_in_teal_schema) {
    preflight.add(side,
                  "the schema teal belongs to " + *facts.teal_schema_owner + " and " + facts.role +
                      " may not create tables in it",
                  "ALTER SCHEMA teal OWNER TO " + quote_identifier(facts.role) + ";");
  }
  const bool publication_ahead =
      also_publish && !read_publication(connection, preflight.link.control_publication()).has_value();
  if (facts.create_in_database || (facts.teal_schema_owner && !publication_ahead)) return;
  preflight.add(side,
                "the role " + facts.role + " may not create " +
                    (facts.teal_schema_owner ? "a publication for its own tables" : "the schema teal") +
                    " in database " + facts.database,
                grant);
}

}  // namespace teal
