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

#include "engine/control_schema.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"
#include "tools/link_setup.h"
#include "tools/signals.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::string_view kLockTimeout = "55P03";

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
void update_table_states(LinkSetup& setup) {
  std::set<TableName> selected;
  for (const SourceTable& table : setup.tables) selected.insert(table.name);
  const std::set<TableName> published(setup.published.tables.begin(), setup.published.tables.end());
  const std::map<TableName, TableCopyState> states = read_table_states(setup.target, setup.link);
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

}  // namespace

void provision(const Config& config, const std::stop_token& stop, PreflightMode mode) {
  const PreflightReport report = preflight_between_locks(config, stop, mode);
  if (!report.ready()) {
    throw Stopped(static_cast<StopCode>(report.exit_code()), "not ready:\n" + report.text());
  }
  LinkSetup setup = open_link_setup(config, forward_link(config), stop);
  take_setup_lock(setup);
  // Before anything is noted on a blue that may be the wrong one.
  if (const auto known = read_link_row(setup.target, setup.link)) check_source(setup, *known);
  install_control_schema(setup.source);
  claim_source(setup);
  install_control_schema(setup.target);
  if (read_link_row(setup.target, setup.link)) check_published_all_along(setup);
  complete_publication(setup, setup.link.control_publication(), control_tables());
  complete_publication(setup, setup.link.publication(), setup.published);
  create_origins(setup, config.copy.jobs);
  // The slot before the row: what a running teal confirms meanwhile is never above the row that is read later.
  const std::optional<SlotFacts> slot = read_slot(setup.source, setup.link.slot());
  const std::optional<LinkRow> row = read_link_row(setup.target, setup.link);
  if (!row) {
    create_link(setup, Lsn{}, [&setup] {
      for (const SourceTable& table : setup.tables) insert_pending(setup, table);
    });
  } else {
    check_link(setup, slot, *row);
    update_table_states(setup);
  }
}

}  // namespace teal
