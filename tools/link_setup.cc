#include "tools/link_setup.h"

#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "engine/catalog.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "engine/wait_log.h"
#include "tools/departed_partitions.h"
#include "tools/publication_check.h"
#include "tools/signals.h"
#include "tools/slot_creation.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kOtherSetupTimeout{10};
constexpr std::chrono::milliseconds kRetryInterval{200};

// The log knows origins by number, and a number without a name says nothing: the link that reads the target would take
// what this one wrote there, and it has not read yet, for what applications wrote.
void check_origin_kept(LinkSetup& setup) {
  if (!read_link_row(setup.target, setup.link) || !read_slot(setup.target, setup.link.reverse().slot())) return;
  throw Stopped(StopCode::kRefused,
                "on " + setup.target.label() + ", the replication origin " + setup.link.origin() +
                    " is gone, by which teal knows its own changes there: link " + setup.link.reverse().link +
                    " could send some of them back; end this migration with teal finish, and begin another");
}

}  // namespace

LinkSetup open_link_setup(const Config& config, const LinkNames& link, const std::stop_token& stop) {
  const bool from_blue = link.link == kBlueToGreen;
  PgConnection source = PgConnection::connect(connect_options(config, from_blue, "init"));
  PgConnection target = PgConnection::connect(connect_options(config, !from_blue, "init"));
  for (PgConnection* connection : {&source, &target}) {
    connection->set_stop_token(stop);
    connection->set_wait_listener(log_long_waits(*connection, "init"));
  }
  ServerFacts facts = read_server_facts(source);
  const SourceCatalog catalog =
      from_blue ? read_source_catalog(source, config.tables) : read_selected(source, config.tables);
  TablesToPublish published;
  for (const SourceTable& table : catalog.tables) {
    published.tables.push_back(table.name);
    if (table.has_children) published.parents.insert(table.name);
  }
  return {.config = config,
          .stop = stop,
          .link = link,
          .source = std::move(source),
          .target = std::move(target),
          .source_facts = std::move(facts),
          .published = std::move(published),
          .tables = tables_with_rows(catalog)};
}

TablesToPublish control_tables() { return {{{"teal", "marker"}, {"teal", "progress"}}, {}}; }

// Held by the session on the target: it goes with the process, however that ends.
void take_setup_lock(LinkSetup& setup) {
  const auto deadline = steady_clock::now() + kOtherSetupTimeout;
  for (;;) {
    const Rows rows =
        setup.target.exec("lock out other set-ups", "SELECT pg_try_advisory_lock(hashtextextended($1, 0))",
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

void complete_publication(LinkSetup& setup, const std::string& name, const TablesToPublish& tables) {
  const PublicationGap gap = compare_publication(read_publication(setup.source, name), name, tables);
  for (const std::string& sql : gap.sql) setup.source.exec("set up the publication " + name, sql);
  if (!gap.sql.empty()) log_event(LogLevel::kInfo, "publication set up", {{"publication", name}});
}

// A slot serves one target. A second configuration with the same name and another green would otherwise find "a slot
// without a progress row" and make it anew, under the feet of the first.
void claim_source(LinkSetup& setup) {
  const ServerFacts facts = read_server_facts(setup.target);
  setup.source.exec("note which target the link serves",
                    "INSERT INTO teal.link_target (migration, link, target_system_id, target_database) "
                    "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                    {setup.link.migration, setup.link.link, facts.system_id, facts.database});
  const std::optional<LinkTarget> claimed = read_link_target(setup.source, setup.link);
  if (claimed == LinkTarget{facts.system_id, facts.database}) return;
  throw Stopped(StopCode::kRefused,
                "on " + setup.source.label() + ", the migration \"" + setup.config.name + "\" belongs to another " +
                    setup.target.label() + " (" + (claimed ? to_string(*claimed) : std::string("unknown")) +
                    "): give this one another name, or end that one first, with teal finish and its "
                    "configuration");
}

void create_origins(LinkSetup& setup, int copy_workers) {
  std::vector<std::string> names{setup.link.origin()};
  for (int worker = 0; worker < copy_workers; ++worker) names.push_back(setup.link.copy_origin(worker));
  for (const std::string& name : names) {
    const Rows known = setup.target.exec("look for the origin " + name,
                                         "SELECT 1 FROM pg_replication_origin WHERE roname = $1", {name});
    if (!known.empty()) continue;
    if (name == setup.link.origin()) check_origin_kept(setup);
    setup.target.exec("create the origin " + name, "SELECT pg_replication_origin_create($1)", {name});
    log_event(LogLevel::kInfo, "origin created", {{"origin", name}});
  }
}

// Before the publication is completed: afterwards it would look as if nothing had been missing.
void check_published_all_along(LinkSetup& setup) {
  std::map<TableName, TableCopyState> copied = read_table_states(setup.target, setup.link);
  std::set<TableName> selected(setup.published.tables.begin(), setup.published.tables.end());
  for (const SourceTable& table : setup.tables) selected.insert(table.name);
  keep_selected(copied, selected);
  const PublicationChanges changes = check_publication(setup.source, setup.link, copied);
  for (const TableName& table : changes.gone) copied[table].state = "detached";
  settle_departed(setup.source, setup.target, setup.link, copied);
}

void insert_pending(LinkSetup& setup, const SourceTable& table) {
  setup.target.exec_often("note a table to copy",
                          "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, "
                          "target_table, state) VALUES ($1, $2, $3, $4, $5, $6, 'pending') ON CONFLICT DO NOTHING",
                          {setup.link.migration, setup.link.link, table.name.schema, table.name.name,
                           table.target.schema, table.target.name});
}

void set_table_state(LinkSetup& setup, const TableName& table, const std::string& state) {
  const Rows changed =
      setup.target.exec("note that a table is " + state,
                        "UPDATE teal.table_state SET state = $5, copy_attempt = CASE WHEN $5 = 'pending' THEN "
                        "copy_attempt ELSE 0 END, updated_at = clock_timestamp() WHERE "
                        "migration = $1 AND link = $2 AND schema_name = $3 AND table_name = $4",
                        {setup.link.migration, setup.link.link, table.schema, table.name, state});
  if (changed.affected() != 1) throw Stopped(StopCode::kRefused, "teal.table_state was changed by somebody else");
}

namespace {

// Leaves the transaction open.
void insert_link_row(LinkSetup& setup, Lsn start, Lsn seen) {
  setup.target.exec("begin", "BEGIN");
  // Without a progress row, older states tell about a link that is no more.
  setup.target.exec("forget older table states", "DELETE FROM teal.table_state WHERE migration = $1 AND link = $2",
                    {setup.link.migration, setup.link.link});
  const Rows inserted = setup.target.exec(
      "start the link's progress",
      "INSERT INTO teal.progress (migration, link, lane, applied, held, seen, held_seen, source_system_id) "
      "VALUES ($1, $2, 0, $3, $3, $4, $4, $5)",
      {setup.link.migration, setup.link.link, to_string(start), to_string(seen), setup.source_facts.system_id});
  if (inserted.affected() != 1) throw Stopped(StopCode::kBug, "the progress row was not inserted");
}

[[noreturn]] void refuse(const std::string& why) {
  throw Stopped(StopCode::kRefused,
                why + ": the link cannot go on without losing changes; run teal finish and start again");
}

}  // namespace

void create_link(LinkSetup& setup, Lsn seen, const std::function<void()>& note_tables) {
  const std::string name = setup.link.slot();
  if (read_slot(setup.source, name)) drop_unused_slot(setup.source, name);
  const Lsn start = create_slot(
      setup.source, connect_options(setup.config, setup.link.link == kBlueToGreen, "init-watch"), name, setup.stop);
  log_event(LogLevel::kInfo, "slot created", {{"link", setup.link.link}, {"slot", name}, {"lsn", to_string(start)}});
  try {
    insert_link_row(setup, start, seen);
    note_tables();
  } catch (...) {
    // A slot that nobody reads would keep the source's WAL for ever.
    setup.source.set_stop_token({});
    drop_unused_slot(setup.source, name);
    throw;
  }
  // When this fails, the row may be there and need the slot; if it is not, the next start makes the slot anew.
  setup.target.exec("commit the link's progress", "COMMIT");
}

void check_source(const LinkSetup& setup, const LinkRow& row) {
  if (row.source_system_id == setup.source_facts.system_id) return;
  refuse(setup.source.label() + " is another cluster (system identifier " + setup.source_facts.system_id +
         ") than the one that this link began with (" + row.source_system_id +
         "): if that address is wrong, correct it; " + "else");
}

void check_link(LinkSetup& setup, const std::optional<SlotFacts>& slot, const LinkRow& row) {
  const std::string name = setup.link.slot();
  check_source(setup, row);
  if (!slot) refuse("the slot " + name + " is gone, and with it the changes since " + to_string(row.held));
  if (slot->wal_status == "lost" || !slot->confirmed_flush) {
    refuse("the slot " + name + " is lost: " + setup.source.label() + " removed WAL since " + to_string(row.held) +
           " (max_slot_wal_keep_size)");
  }
  if (slot->plugin != "pgoutput" || slot->database != setup.source_facts.database || slot->temporary) {
    refuse("the slot " + name + " is another one: plugin " + slot->plugin + ", database " + slot->database);
  }
  if (*slot->confirmed_flush > row.held) {
    refuse("gap " + to_string(row.held) + ".." + to_string(*slot->confirmed_flush) + ": " + setup.target.label() +
           " lost what it had acknowledged (a failover to an asynchronous standby, or a restore)");
  }
}

}  // namespace teal
