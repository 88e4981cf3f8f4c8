// Set-up of a link, in the order in which the parts depend on each other:
// schema teal, publications, origins, slot, then the progress row with the slot's consistent point.
//
// The progress row is what makes a link exist: a slot without a row was never used and is made anew (its publications
// may be younger than it, for which decoding fails for good), a row without its slot has lost changes and stops
// everything. Rejected: noting the step reached. What is there says it, also after a crash between two steps.
#include "tools/provision.h"

#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "engine/catalog.h"
#include "engine/control_schema.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "engine/wait_log.h"
#include "tools/departed_partitions.h"
#include "tools/link_facts.h"
#include "tools/publication_check.h"
#include "tools/signals.h"
#include "tools/slot_creation.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kOtherSetupTimeout{10};
constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::string_view kLockTimeout = "55P03";

struct Setup {
  const Config& config;
  const std::stop_token& stop;
  LinkNames link;
  PgConnection blue;
  PgConnection green;
  ServerFacts blue_facts;
  TablesToPublish published;
  std::vector<SourceTable> tables;  ///< those with rows
};

// Held by the session on green: it goes with the process, however that ends.
void take_setup_lock(Setup& setup) {
  const auto deadline = steady_clock::now() + kOtherSetupTimeout;
  for (;;) {
    const Rows rows = setup.green.exec("lock out other set-ups", "SELECT pg_try_advisory_lock(hashtextextended($1, 0))",
                                       {"teal.setup." + setup.config.name});
    if (rows.boolean(0, 0)) return;
    if (setup.stop.stop_requested()) throw Interrupted("stopped while another teal sets up this migration");
    if (steady_clock::now() > deadline) {
      throw Stopped(StopCode::kRefused,
                    "another teal is setting up \"" + setup.config.name + "\" at this moment; try again");
    }
    pause_for(kRetryInterval, setup.stop);
  }
}

void complete_publication(Setup& setup, const std::string& name, const TablesToPublish& tables) {
  const PublicationGap gap = compare_publication(read_publication(setup.blue, name), name, tables);
  for (const std::string& sql : gap.sql) setup.blue.exec("set up the publication " + name, sql);
  if (!gap.sql.empty()) log_event(LogLevel::kInfo, "publication set up", {{"publication", name}});
}

// A slot serves one target. A second configuration with the same name and another green would otherwise find "a slot
// without a progress row" and make it anew, under the feet of the first.
void claim_source(Setup& setup) {
  const ServerFacts green = read_server_facts(setup.green);
  setup.blue.exec("note which target the link serves",
                  "INSERT INTO teal.link_target (migration, link, target_system_id, target_database) "
                  "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                  {setup.link.migration, setup.link.link, green.system_id, green.database});
  const std::optional<LinkTarget> claimed = read_link_target(setup.blue, setup.link);
  if (claimed == LinkTarget{green.system_id, green.database}) return;
  throw Stopped(StopCode::kRefused,
                "on blue, the migration \"" + setup.config.name + "\" belongs to another green (" +
                    (claimed ? to_string(*claimed) : std::string("unknown")) +
                    "): give this one another name, or end that one first, with teal finish and its "
                    "configuration");
}

void create_origins(Setup& setup) {
  std::vector<std::string> names{setup.link.origin()};
  for (int worker = 0; worker < setup.config.copy.jobs; ++worker) names.push_back(setup.link.copy_origin(worker));
  for (const std::string& name : names) {
    const Rows known = setup.green.exec("look for the origin " + name,
                                        "SELECT 1 FROM pg_replication_origin WHERE roname = $1", {name});
    if (!known.empty()) continue;
    setup.green.exec("create the origin " + name, "SELECT pg_replication_origin_create($1)", {name});
    log_event(LogLevel::kInfo, "origin created", {{"origin", name}});
  }
}

void insert_pending(Setup& setup, const SourceTable& table) {
  setup.green.exec_often("note a table to copy",
                         "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, "
                         "target_table, state) VALUES ($1, $2, $3, $4, $5, $6, 'pending') ON CONFLICT DO NOTHING",
                         {setup.link.migration, setup.link.link, table.name.schema, table.name.name,
                          table.target.schema, table.target.name});
}

void set_table_state(Setup& setup, const TableName& table, const std::string& state) {
  const Rows changed = setup.green.exec("note that a table is " + state,
                                        "UPDATE teal.table_state SET state = $5, updated_at = clock_timestamp() WHERE "
                                        "migration = $1 AND link = $2 AND schema_name = $3 AND table_name = $4",
                                        {setup.link.migration, setup.link.link, table.schema, table.name, state});
  if (changed.affected() != 1) throw Stopped(StopCode::kRefused, "teal.table_state was changed by somebody else");
}

// Leaves the transaction open.
void insert_link_row(Setup& setup, Lsn start) {
  setup.green.exec("begin", "BEGIN");
  // Without a progress row, older states tell about a link that is no more.
  setup.green.exec("forget older table states", "DELETE FROM teal.table_state WHERE migration = $1 AND link = $2",
                   {setup.link.migration, setup.link.link});
  const Rows inserted =
      setup.green.exec("start the link's progress",
                       "INSERT INTO teal.progress (migration, link, lane, applied, held, "
                       "source_system_id) VALUES ($1, $2, 0, $3, $3, $4)",
                       {setup.link.migration, setup.link.link, to_string(start), setup.blue_facts.system_id});
  if (inserted.affected() != 1) throw Stopped(StopCode::kBug, "the progress row was not inserted");
  for (const SourceTable& table : setup.tables) insert_pending(setup, table);
}

void create_link(Setup& setup, bool unused_slot_present) {
  const std::string name = setup.link.slot();
  if (unused_slot_present) drop_unused_slot(setup.blue, name);
  const Lsn start = create_slot(setup.config, setup.blue, name, setup.stop);
  log_event(LogLevel::kInfo, "slot created", {{"link", setup.link.link}, {"slot", name}, {"lsn", to_string(start)}});
  try {
    insert_link_row(setup, start);
  } catch (...) {
    // A slot that nobody reads would keep blue's WAL for ever.
    setup.blue.set_stop_token({});
    drop_unused_slot(setup.blue, name);
    throw;
  }
  // When this fails, the row may be there and need the slot; if it is not, the next start makes the slot anew.
  setup.green.exec("commit the link's progress", "COMMIT");
}

[[noreturn]] void refuse(const std::string& why) {
  throw Stopped(StopCode::kRefused,
                why + ": the link cannot go on without losing changes; run teal finish and start again");
}

void check_source(const Setup& setup, const LinkRow& row) {
  if (row.source_system_id == setup.blue_facts.system_id) return;
  refuse("blue is another cluster (system identifier " + setup.blue_facts.system_id +
         ") than the one that this link began with (" + row.source_system_id +
         "): if that address is wrong, correct it; " + "else");
}

void check_link(Setup& setup, const std::optional<SlotFacts>& slot, const LinkRow& row) {
  const std::string name = setup.link.slot();
  check_source(setup, row);
  if (!slot) refuse("the slot " + name + " is gone, and with it the changes since " + to_string(row.held));
  if (slot->wal_status == "lost" || !slot->confirmed_flush) {
    refuse("the slot " + name + " is lost: blue removed WAL since " + to_string(row.held) +
           " (max_slot_wal_keep_size)");
  }
  if (slot->plugin != "pgoutput" || slot->database != setup.blue_facts.database || slot->temporary) {
    refuse("the slot " + name + " is another one: plugin " + slot->plugin + ", database " + slot->database);
  }
  if (*slot->confirmed_flush > row.held) {
    refuse("gap " + to_string(row.held) + ".." + to_string(*slot->confirmed_flush) +
           ": green lost what it had acknowledged (a failover to an asynchronous standby, or a restore)");
  }
}

// Before the publication is completed: afterwards it would look as if nothing had been missing.
void check_published_all_along(Setup& setup) {
  std::map<TableName, TableCopyState> copied = read_table_states(setup.green, setup.link);
  std::set<TableName> selected(setup.published.tables.begin(), setup.published.tables.end());
  for (const SourceTable& table : setup.tables) selected.insert(table.name);
  keep_selected(copied, selected);
  const PublicationChanges changes = check_publication(setup.blue, setup.link, copied);
  for (const TableName& table : changes.gone) copied[table].state = "detached";
  settle_departed(setup.blue, setup.green, setup.link, copied);
}

[[noreturn]] void refuse_returned(const TableName& part, const TableName& table) {
  throw Stopped(StopCode::kRefused,
                to_string(part) + " left " + to_string(table) +
                    " on blue and is its partition again: what was changed in between was not sent; delete its rows on "
                    "green and its row from teal.table_state there, then start again, and it is copied");
}

// New tables become pending. What the log still holds of a table that is not selected any more is dropped, and if it is
// selected again it has missed changes: pending, and green's has to be empty.
//
// A partition that was detached or dropped has not left: what the log still holds of it is applied, and green's rows
// stay until the same is done there.
void update_table_states(Setup& setup) {
  std::set<TableName> selected;
  for (const SourceTable& table : setup.tables) selected.insert(table.name);
  const std::set<TableName> published(setup.published.tables.begin(), setup.published.tables.end());
  const std::map<TableName, TableCopyState> states = read_table_states(setup.green, setup.link);
  for (const auto& [table, state] : states) {
    const bool wanted = selected.contains(table);
    if (wanted && state.state == "detached") {
      refuse_returned(table, state.target);
    }
    const bool left = state.state == "left" || state.state == "detached";
    if (wanted != left) continue;
    const bool detached = table != state.target && published.contains(state.target);
    set_table_state(setup, table, wanted ? "pending" : detached ? "detached" : "left");
    if (!wanted) log_event(LogLevel::kInfo, "table no longer replicated", {{"table", to_string(table)}});
  }
  for (const SourceTable& table : setup.tables) {
    if (!states.contains(table.name)) insert_pending(setup, table);
  }
}

// Whoever alters a table holds up what has to look at it; the checks do not queue behind that, they come again.
PreflightReport preflight_between_locks(const Config& config, const std::stop_token& stop, PreflightMode mode) {
  for (;;) {
    try {
      return run_preflight(config, mode);
    } catch (const PgError& error) {
      if (error.sqlstate() != kLockTimeout) throw;
      log_event(LogLevel::kWarn, "start held up by a lock, trying again", {{"reason", error.what()}});
      if (!pause_for(kRetryInterval, stop)) throw Interrupted("stopped while the start was held up by a lock");
    }
  }
}

Setup connect(const Config& config, const std::stop_token& stop) {
  PgConnection blue = PgConnection::connect(connect_options(config, true, "init"));
  PgConnection green = PgConnection::connect(connect_options(config, false, "init"));
  for (PgConnection* connection : {&blue, &green}) {
    connection->set_stop_token(stop);
    connection->set_wait_listener(log_long_waits(*connection, "init"));
  }
  ServerFacts facts = read_server_facts(blue);
  const SourceCatalog catalog = read_source_catalog(blue, config.tables);
  TablesToPublish published;
  for (const SourceTable& table : catalog.tables) {
    published.tables.push_back(table.name);
    if (table.has_children) published.parents.insert(table.name);
  }
  return {.config = config,
          .stop = stop,
          .link = forward_link(config),
          .blue = std::move(blue),
          .green = std::move(green),
          .blue_facts = std::move(facts),
          .published = std::move(published),
          .tables = tables_with_rows(catalog)};
}

}  // namespace

void provision(const Config& config, const std::stop_token& stop, PreflightMode mode) {
  const PreflightReport report = preflight_between_locks(config, stop, mode);
  if (!report.ready()) {
    throw Stopped(static_cast<StopCode>(report.exit_code()), "not ready:\n" + report.text());
  }
  Setup setup = connect(config, stop);
  take_setup_lock(setup);
  // Before anything is noted on a blue that may be the wrong one.
  if (const auto known = read_link_row(setup.green, setup.link)) check_source(setup, *known);
  install_control_schema(setup.blue);
  claim_source(setup);
  install_control_schema(setup.green);
  if (read_link_row(setup.green, setup.link)) check_published_all_along(setup);
  complete_publication(setup, setup.link.control_publication(), {{{"teal", "marker"}, {"teal", "progress"}}, {}});
  complete_publication(setup, setup.link.publication(), setup.published);
  create_origins(setup);
  // The slot before the row: what a running teal confirms meanwhile is never above the row that is read later.
  const std::optional<SlotFacts> slot = read_slot(setup.blue, setup.link.slot());
  const std::optional<LinkRow> row = read_link_row(setup.green, setup.link);
  if (!row) {
    create_link(setup, slot.has_value());
  } else {
    check_link(setup, slot, *row);
    update_table_states(setup);
  }
}

}  // namespace teal
