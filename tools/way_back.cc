#include "tools/way_back.h"

#include <map>
#include <set>
#include <utility>

#include "engine/control_schema.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "tools/interleaving.h"
#include "tools/link_facts.h"
#include "tools/link_setup.h"

namespace teal {
namespace {

LinkNames way_back(const Config& config) { return forward_link(config).reverse(); }

Lsn forward_applied(PgConnection& green, const LinkNames& forward) {
  const std::optional<LinkRow> row = read_link_row(green, forward);
  if (!row) throw Stopped(StopCode::kRefused, "the progress row of the link to green is gone; start again");
  return row->applied;
}

// The tables of green that hold what was copied to them and all that was changed on blue before: who changes a row
// there has seen that, and the progress row says so.
std::set<TableName> level_tables(PgConnection& green, const LinkNames& forward) {
  const Lsn applied = forward_applied(green, forward);
  std::set<TableName> level;
  std::set<TableName> behind;
  for (const auto& [table, state] : read_table_states(green, forward)) {
    if (state.state == "copied") (state.watermark <= applied ? level : behind).insert(state.target);
  }
  for (const TableName& table : behind) level.erase(table);
  return level;
}

void keep_level(LinkSetup& setup) {
  const std::set<TableName> copied = level_tables(setup.source, setup.link.reverse());
  std::erase_if(setup.tables, [&](const SourceTable& table) { return !copied.contains(table.target); });
  // Their owner may have published more of what is selected already: that stays.
  std::set<TableName> listed;
  if (const auto publication = read_publication(setup.source, setup.link.publication())) {
    for (const PublishedTable& table : publication->tables) listed.insert(table.name);
  }
  std::erase_if(setup.published.tables,
                [&](const TableName& table) { return !copied.contains(table) && !listed.contains(table); });
}

// All that are selected, also those that are not level yet.
std::set<TableName> selected_tables(const LinkSetup& setup) {
  std::set<TableName> tables(setup.published.tables.begin(), setup.published.tables.end());
  for (const SourceTable& table : setup.tables) tables.insert(table.name);
  return tables;
}

// Before they are published on green, and so before applications may write them there.
void interleave(LinkSetup& setup, const std::set<TableName>& tables) {
  interleave_sequences(setup.config, setup.target, setup.source, tables, setup.stop);
}

// What may not be published by teal is its owner's to publish.
void publish(LinkSetup& setup) {
  const std::string name = setup.link.publication();
  try {
    complete_publication(setup, name, setup.published);
  } catch (const PgError& error) {
    if (error.error_class() != ErrorClass::kRights) throw;
    const PublicationGap gap = compare_publication(read_publication(setup.source, name), name, setup.published);
    std::string sql;
    for (const std::string& statement : gap.sql) sql += "\n  " + statement;
    throw Stopped(StopCode::kRefused, "on green, teal may not publish the tables for the way back (" + error.text() +
                                          "): have their owner run there" + sql);
  }
}

// As if copied at the beginning of the log: everything that the stream brings is applied. Before they are published, or
// what came first would find a table that nobody knows, and wait for its copy; they get their entries afterwards.
void note_copied(LinkSetup& setup) {
  std::map<TableName, PublishedTable> entries;
  if (const auto publication = read_publication(setup.source, setup.link.publication())) {
    for (const PublishedTable& table : publication->tables) entries[table.name] = table;
    for (const PublishedTable& part : publication->parts) entries[part.name] = part;
  }
  const std::map<TableName, TableCopyState> known = read_table_states(setup.target, setup.link);
  for (const SourceTable& table : setup.tables) {
    const auto state = known.find(table.name);
    if (state != known.end() && state->second.state == "copied" && !state->second.publication_entry.empty()) continue;
    setup.target.exec_often(
        "note a table of the way back",
        "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, target_table, state, "
        "publication_entry, bounds, takes, toast) VALUES ($1, $2, $3, $4, $5, $6, 'copied', $7, $8, $9, $10) "
        "ON CONFLICT (migration, link, schema_name, table_name) DO UPDATE SET state = 'copied', publication_entry = "
        "excluded.publication_entry, bounds = excluded.bounds, takes = excluded.takes, toast = excluded.toast, "
        "updated_at = clock_timestamp()",
        {setup.link.migration, setup.link.link, table.name.schema, table.name.name, table.target.schema,
         table.target.name, entries[table.name].entry, table.bounds, table.takes, entries[table.name].toast});
  }
}

void note_left(LinkSetup& setup) {
  std::set<TableName> wanted;
  for (const SourceTable& table : setup.tables) wanted.insert(table.name);
  for (const auto& [table, state] : read_table_states(setup.target, setup.link)) {
    if (state.state == "copied" && !wanted.contains(table)) set_table_state(setup, table, "left");
  }
}

}  // namespace

bool has_way_back(const Config& config) {
  PgConnection blue = PgConnection::connect(connect_options(config, true, "init"));
  return read_link_row(blue, way_back(config)).has_value();
}

bool is_level_with_copy(const Config& config) {
  PgConnection green = PgConnection::connect(connect_options(config, false, "init"));
  const LinkNames names = forward_link(config);
  return green
      .exec("compare the link's position with what was copied",
            "SELECT count(*) = 0 FROM teal.table_state t JOIN teal.progress p USING (migration, link) WHERE migration "
            "= $1 AND link = $2 AND t.state = 'copied' AND t.watermark > p.applied",
            {names.migration, names.link})
      .boolean(0, 0);
}

void open_way_back(const Config& config, const std::stop_token& stop) {
  LinkSetup setup = open_link_setup(config, way_back(config), stop);
  take_setup_lock(setup);
  install_control_schema(setup.source);
  claim_source(setup);
  install_control_schema(setup.target);
  const std::set<TableName> selected = selected_tables(setup);
  keep_level(setup);
  if (const auto known = read_link_row(setup.target, setup.link)) {
    check_source(setup, *known);
    check_published_all_along(setup);
  }
  interleave(setup, selected);
  complete_publication(setup, setup.link.control_publication(), control_tables());
  publish(setup);
  create_origins(setup, 0);
  const std::optional<SlotFacts> slot = read_slot(setup.source, setup.link.slot());
  const std::optional<LinkRow> row = read_link_row(setup.target, setup.link);
  if (!row) {
    create_link(setup, forward_applied(setup.source, setup.link.reverse()), [&setup] { note_copied(setup); });
    return;
  }
  check_link(setup, slot, *row);
  note_left(setup);
  note_copied(setup);
}

WayBackTables::WayBackTables(const Config& config, std::stop_token stop) : config_(config), stop_(std::move(stop)) {}

void WayBackTables::look() {
  try {
    take_in();
    told_.clear();
  } catch (const std::exception& error) {
    if (stop_.stop_requested() || told_ == error.what()) return;
    told_ = error.what();
    log_event(LogLevel::kWarn, "tables are not taken into the way back, trying again",
              {{"link", way_back(config_).link}, {"reason", told_}});
  }
}

void WayBackTables::take_in() {
  std::set<TableName> known;
  {
    PgConnection blue = PgConnection::connect(connect_options(config_, true, "run"));
    for (const auto& [table, state] : read_table_states(blue, way_back(config_))) {
      if (state.state == "copied" && !state.publication_entry.empty()) known.insert(state.target);
    }
  }
  PgConnection green = PgConnection::connect(connect_options(config_, false, "run"));
  std::set<TableName> copied = level_tables(green, forward_link(config_));
  std::erase_if(copied, [&](const TableName& table) { return known.contains(table); });
  if (copied.empty()) return;
  LinkSetup setup = open_link_setup(config_, way_back(config_), stop_);
  interleave(setup, selected_tables(setup));
  keep_level(setup);
  note_copied(setup);
  publish(setup);
  note_copied(setup);
  for (const TableName& table : copied) {
    log_event(LogLevel::kInfo, "table is replicated in both directions", {{"table", to_string(table)}});
  }
}

}  // namespace teal
