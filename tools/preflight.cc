#include "tools/preflight.h"

#include <algorithm>

#include "tools/exit_code.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

std::optional<PgConnection> try_connect(Preflight& preflight, bool blue) {
  try {
    PgConnection connection = PgConnection::connect(connect_options(preflight.config, blue, "check"));
    // Looking must not wait behind somebody's ALTER TABLE.
    connection.exec("limit waiting for locks", "SET lock_timeout = '5s'");
    if (is_pooled(preflight, connection)) return std::nullopt;
    return connection;
  } catch (const PgError& error) {
    if (stop_code(error) != StopCode::kUnreachable) throw;
    std::string mend = connection_mend(error);
    if (mend.empty()) mend = "check the connection string, the server and the network between";
    preflight.add(blue ? "blue" : "green", error.text(), std::move(mend), StopCode::kUnreachable);
    return std::nullopt;
  }
}

// Copies of a cluster's files share the system identifier, so the start time has to agree too.
bool are_one_database(Preflight& preflight, const ServerFacts& blue, const ServerFacts& green) {
  if (blue.system_id != green.system_id || blue.started_at != green.started_at || blue.database != green.database)
    return false;
  preflight.add("green", "blue and green are the same database (" + blue.database + " on one server)",
                "point --green, TEAL_GREEN or \"green:\" to the other database", StopCode::kUsage);
  return true;
}

// What the selected tables hold, and whether green can take it.
void check_tables_on_both(Preflight& preflight, PgConnection& blue, PgConnection& green, const ServerFacts& facts) {
  const SelectedTypes types(preflight.tables, blue);
  check_encodings(preflight, types, blue, green, facts);
  check_versions(preflight, types, blue.server_major(), green.server_major());
  const std::vector<TargetRelation> targets = find_target_relations(green, preflight.tables);
  check_types(preflight, types, green, targets, schema_ahead(preflight, targets));
  check_money(preflight, types, blue, green, facts);
  check_object_names(preflight, types);
  check_large_objects(preflight, types, blue);
  check_target_tables(preflight, types, green, facts);
  check_target_parts(preflight, green, facts);
  check_defaults(preflight, green, targets);
  note_owners(preflight, green, targets);
}

void select_tables(Preflight& preflight, PgConnection& blue) {
  preflight.slot = read_slot(blue, preflight.link.slot());
  SourceCatalog catalog = read_source_catalog(blue, preflight.config.tables);
  preflight.tables = std::move(catalog.tables);
  preflight.parts = std::move(catalog.parts);
  // As if it had left already: what it has brought stays.
  std::erase_if(preflight.parts, [&](const SourceTable& part) {
    const auto state = preflight.states.find(part.name);
    return part.leaving && state != preflight.states.end() &&
           (state->second.state == "copied" || state->second.state == "detached");
  });
  for (const SkippedRelation& skipped : catalog.skipped) {
    preflight.report.notes.push_back(to_string(skipped.name) + " " + skipped.why + ": not replicated");
  }
}

void check_blue(Preflight& preflight, PgConnection& blue, const ServerFacts& facts) {
  check_source_server(preflight, blue, facts);
  check_control_schema(preflight, blue, facts, true);
  check_source_tables(preflight, facts);
  note_lock_table(preflight, blue);
  check_publication(preflight, blue, facts);
  check_begun_link(preflight, blue);
}

void check_both(Preflight& preflight, PgConnection& blue, PgConnection& green, const ServerFacts& green_facts) {
  check_tables_on_both(preflight, blue, green, green_facts);
  check_target_sessions(preflight, green);
  note_lock_table(preflight, green);
  const bool ahead = schema_ahead(preflight, find_target_relations(green, preflight.tables));
  if (ahead) check_extensions(preflight, blue, green);
  if (ahead) check_foreign_keys(preflight, blue);
  check_programs(preflight, std::max(blue.server_major(), green.server_major()), green.server_major(), ahead);
}

void check_sides(Preflight& preflight, PgConnection* blue, PgConnection* green) {
  std::optional<ServerFacts> blue_facts;
  std::optional<ServerFacts> green_facts;
  if (blue != nullptr) blue_facts = read_server_facts(*blue);
  if (green != nullptr) green_facts = read_server_facts(*green);
  for (const PgConnection* side : {blue, green}) {
    if (side != nullptr) preflight.report.notes.push_back(side->label() + " is " + side->address());
  }
  // What follows would advise to empty blue's own tables.
  if (blue_facts && green_facts && are_one_database(preflight, *blue_facts, *green_facts)) return;
  if (green != nullptr) {
    const std::optional<LinkRow> row = read_link_row(*green, preflight.link);
    preflight.resumed = row.has_value();
    preflight.read_states(*green);
    if (blue_facts && is_other_source(preflight, row, *blue_facts)) return;
  }
  if (blue != nullptr) select_tables(preflight, *blue);
  std::optional<Preflight> back;
  if (preflight.config.direction == Direction::kBoth) {
    if (blue != nullptr) check_conflict_patterns(preflight);
    back.emplace(begin_way_back(preflight, blue, green));
    if (blue != nullptr && green != nullptr) check_keys(preflight, *back, *green);
  }
  if (blue != nullptr) check_blue(preflight, *blue, *blue_facts);
  if (green != nullptr) {
    check_target_server(preflight, *green, *green_facts);
    check_control_schema(preflight, *green, *green_facts, false);
  }
  if (blue != nullptr && green != nullptr) check_both(preflight, *blue, *green, *green_facts);
  if (back) check_way_back(preflight, *back, blue, green);
}

}  // namespace

int PreflightReport::exit_code() const {
  if (ready()) return 0;
  const auto has = [this](StopCode code) {
    return std::any_of(findings.begin(), findings.end(), [code](const Finding& f) { return f.code == code; });
  };
  for (const StopCode code : {StopCode::kUnreachable, StopCode::kUsage}) {
    if (has(code)) return static_cast<int>(code);
  }
  return static_cast<int>(StopCode::kRefused);
}

std::string PreflightReport::text() const {
  std::string out;
  for (const Finding& finding : findings) {
    out += (out.empty() ? "" : "\n") + finding.side + ": " + finding.what + "\n  mend: " + finding.mend;
  }
  return out;
}

bool Preflight::copy_ahead() const {
  if (mode == PreflightMode::kNoCopy) return false;
  const auto ahead = [this](const SourceTable& table) {
    const auto state = states.find(table.name);
    return !table.partitioned && (state == states.end() || state->second.state != "copied");
  };
  return std::any_of(tables.begin(), tables.end(), ahead) || std::any_of(parts.begin(), parts.end(), ahead);
}

void Preflight::read_states(PgConnection& target) {
  states = read_table_states(target, link);
  copied_targets.clear();
  for (const auto& [table, state] : states) {
    if (state.state == "copied" || state.state == "detached" || state.begun) copied_targets.insert(state.target);
  }
}

PreflightReport run_preflight(const Config& config, PreflightMode mode) {
  Preflight preflight{.config = config, .mode = mode, .link = forward_link(config)};
  std::optional<PgConnection> blue = try_connect(preflight, true);
  std::optional<PgConnection> green = try_connect(preflight, false);
  check_sides(preflight, blue ? &*blue : nullptr, green ? &*green : nullptr);
  return std::move(preflight.report);
}

PreflightReport check_joining(const Config& config, PgConnection& blue, PgConnection& green, const SourceTable& table) {
  Preflight preflight{.config = config, .mode = PreflightMode::kJoin, .link = forward_link(config)};
  preflight.read_states(green);
  (table.name == table.target ? preflight.tables : preflight.parts) = {table};
  if (!preflight.parts.empty()) {  // columns and key are judged as its table's, whose other rows may be there
    preflight.tables = {table};
    preflight.tables[0].name = table.target;
  }
  std::optional<Preflight> back;
  if (config.direction == Direction::kBoth) {
    back.emplace(begin_way_back(preflight, &blue, &green));
    check_keys(preflight, *back, green);
  }
  check_source_tables(preflight, read_server_facts(blue));
  check_tables_on_both(preflight, blue, green, read_server_facts(green));
  if (back) check_joining_back(preflight, *back, blue, green);
  return std::move(preflight.report);
}

}  // namespace teal
