#include "tools/deprovision.h"

#include <array>
#include <chrono>
#include <functional>

#include "engine/names.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/fence.h"
#include "tools/link_facts.h"
#include "tools/sequence_return.h"
#include "tools/signals.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kReleaseTimeout{10};
constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::chrono::milliseconds kFenceLock{500};  // whoever uses a table waits so long at most
constexpr const char* kInUse = "55006";
constexpr const char* kNoRight = "42501";
constexpr const char* kNotThere = "42704";
constexpr std::array kTablesWithRows{"progress",       "table_state", "link_target",    "conflict_log",
                                     "conflict_stats", "quarantine",  "verify_state",   "verify_progress",
                                     "fetched_key",    "marker",      "marker_applied", "cutover_journal"};

class Side {
 public:
  Side(std::string name, PgConnection& connection, DeprovisionReport& report)
      : name_(std::move(name)),
        prefix_(LinkNames{name_, ""}.migration_prefix()),
        connection_(connection),
        report_(report) {}

  void drop_slots();
  void drop_publications();
  void drop_origins();
  void drop_fence();
  void drop_rows_and_schema();

 private:
  void removed(const std::string& what) { report_.removed.push_back(connection_.label() + ": " + what); }
  void left(const std::string& what, const std::string& mend) {
    report_.left.push_back({connection_.label(), what, mend});
  }
  // A session that is ending releases what it holds in a moment.
  void retry_while_used(const std::string& what, const std::function<void()>& drop);
  [[nodiscard]] bool schema_in_use();
  void delete_rows();

  std::string name_;
  std::string prefix_;
  PgConnection& connection_;
  DeprovisionReport& report_;
};

void Side::retry_while_used(const std::string& what, const std::function<void()>& drop) {
  const auto deadline = steady_clock::now() + kReleaseTimeout;
  for (;;) {
    try {
      return drop();
    } catch (const PgError& error) {
      if (error.sqlstate() == kNotThere) return;
      if (error.sqlstate() != kInUse) throw;
      if (steady_clock::now() > deadline) {
        throw Stopped(StopCode::kRefused, connection_.label() + ": " + what + " is in use: " + error.text() +
                                              "; end the teal run of this name first, then repeat teal finish");
      }
    }
    pause_for(kRetryInterval, {});
  }
}

void Side::drop_slots() {
  const Rows slots = connection_.exec("list teal's slots",
                                      "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() "
                                      "AND NOT temporary AND starts_with(slot_name, $1) ORDER BY 1",
                                      {prefix_});
  for (int i = 0; i < slots.size(); ++i) {
    const std::string slot = slots.str(i, 0);
    retry_while_used("slot " + slot, [&] {
      connection_.exec("drop the slot " + slot, "SELECT pg_drop_replication_slot($1)", {slot});
      removed("slot " + slot);
    });
  }
}

void Side::drop_publications() {
  const Rows publications =
      connection_.exec("list teal's publications",
                       "SELECT pubname, pg_has_role(pubowner, 'USAGE'), pg_get_userbyid(pubowner) "
                       "FROM pg_publication WHERE starts_with(pubname, $1) ORDER BY 1",
                       {prefix_});
  for (int i = 0; i < publications.size(); ++i) {
    const std::string name = publications.str(i, 0);
    const std::string sql = "DROP PUBLICATION " + quote_identifier(name) + ";";
    if (publications.boolean(i, 1)) {
      connection_.exec("drop the publication " + name, sql);
      removed("publication " + name);
    } else {
      left("publication " + name + " belongs to " + publications.str(i, 2), sql);
    }
  }
}

void Side::drop_origins() {
  const Rows origins = connection_.exec("list teal's origins",
                                        "SELECT roname FROM pg_replication_origin WHERE starts_with(roname, $1) "
                                        "ORDER BY 1",
                                        {prefix_});
  for (int i = 0; i < origins.size(); ++i) {
    const std::string origin = origins.str(i, 0);
    const std::string call = "SELECT pg_replication_origin_drop(" + quote_literal(origin) + ")";
    try {
      retry_while_used("origin " + origin, [&] {
        connection_.exec("drop the origin " + origin, call);
        removed("origin " + origin);
      });
    } catch (const PgError& error) {
      if (error.sqlstate() != kNoRight) throw;
      left("origin " + origin, call + ";");
    }
  }
}

void Side::delete_rows() {
  std::uint64_t count = 0;
  for (const char* table : kTablesWithRows) {
    if (!has_control_table(connection_, table)) continue;
    count += connection_
                 .exec(std::string("delete the migration's rows of teal.") + table,
                       std::string("DELETE FROM teal.") + table + " WHERE migration = $1", {name_})
                 .affected();
  }
  if (count > 0) removed(std::to_string(count) + " rows in schema teal");
}

// Rows of another migration, or a publication of its control tables: on a link's source those may still be empty.
bool Side::schema_in_use() {
  std::vector<const char*> tables(kTablesWithRows.begin(), kTablesWithRows.end());
  tables.push_back("sequence_state");  // also of this one: sequences that teal could not put back
  for (const char* table : tables) {
    if (!has_control_table(connection_, table)) continue;
    const Rows other =
        connection_.exec("look for other migrations", std::string("SELECT 1 FROM teal.") + table + " LIMIT 1");
    if (!other.empty()) return true;
  }
  const Rows published = connection_.exec("look for other migrations' publications",
                                          "SELECT 1 FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid "
                                          "JOIN pg_namespace n ON n.oid = c.relnamespace "
                                          "JOIN pg_publication p ON p.oid = r.prpubid "
                                          "WHERE n.nspname = 'teal' AND NOT starts_with(p.pubname, $1) LIMIT 1",
                                          {prefix_});
  return !published.empty();
}

// Its triggers go with the function, which takes each table's lock; the schema would take them too, and wait for ever.
void Side::drop_fence() {
  Fence fence(connection_, name_, {});
  const Fence::State state = fence.state();
  if (state == Fence::State::kAbsent) return;
  const auto deadline = steady_clock::now() + kReleaseTimeout;
  while (!fence.remove(kFenceLock)) {
    if (steady_clock::now() > deadline) {
      throw Stopped(StopCode::kRefused,
                    connection_.label() +
                        ": the fence's triggers cannot be removed, somebody has held a table all the "
                        "time; repeat teal finish");
    }
    pause_for(kRetryInterval, {});
  }
  removed(state == Fence::State::kSealed ? "the fence: applications can write there again" : "the fence");
}

void Side::drop_rows_and_schema() {
  const Rows schema = connection_.exec("look for schema teal",
                                       "SELECT pg_has_role(nspowner, 'USAGE'), pg_get_userbyid(nspowner) "
                                       "FROM pg_namespace WHERE nspname = 'teal'");
  if (schema.empty()) return;
  connection_.exec("begin", "BEGIN");
  // The same lock under which schema teal is installed: no other migration begins in between.
  connection_.exec("lock out installations", "SELECT pg_advisory_xact_lock(hashtextextended('teal.schema', 0))");
  delete_rows();
  if (!schema_in_use()) {
    if (schema.boolean(0, 0)) {
      connection_.exec("drop schema teal", "DROP SCHEMA teal CASCADE");
      removed("schema teal");
    } else {
      left("schema teal belongs to " + schema.str(0, 1), "DROP SCHEMA teal CASCADE;");
    }
  }
  connection_.exec("commit", "COMMIT");
}

}  // namespace

DeprovisionReport deprovision(const std::string& name, PgConnection* blue, PgConnection* green) {
  DeprovisionReport report;
  std::vector<Side> sides;
  for (PgConnection* connection : {blue, green}) {
    if (connection != nullptr) sides.emplace_back(name, *connection, report);
  }
  // Slots first: while one is in use, a teal is running, and nothing may be taken from under it.
  for (Side& side : sides) side.drop_slots();
  put_back_sequences(name, blue, green, report);
  for (Side& side : sides) side.drop_origins();
  for (Side& side : sides) side.drop_publications();
  for (Side& side : sides) side.drop_fence();
  for (Side& side : sides) side.drop_rows_and_schema();
  return report;
}

}  // namespace teal
