// The link from green to blue, when there are two: the same checks with the roles changed.
#include <algorithm>
#include <set>

#include "tools/preflight_checks.h"
#include "tools/publication_check.h"

namespace teal {
namespace {

// What teal makes on green has blue's keys, after the rows.
bool keys_are_ahead(const Preflight& forward, bool begun, PgConnection& green) {
  if (begun || !forward.resumed || !forward.config.copy.schema) return false;
  return forward.copy_ahead() || !have_post_data(green, forward.tables);
}

// Of green's tables those that blue has and that are selected there.
void select_tables_back(const Preflight& forward, Preflight& back, PgConnection& green) {
  std::set<TableName> wanted;
  for (const SourceTable& table : forward.tables) wanted.insert(table.name);
  SourceCatalog catalog = read_selected(green, forward.config.tables);
  std::erase_if(catalog.tables, [&](const SourceTable& table) { return !wanted.contains(table.name); });
  std::erase_if(catalog.parts, [&](const SourceTable& part) { return !wanted.contains(part.target); });
  back.tables = std::move(catalog.tables);
  back.parts = std::move(catalog.parts);
}

// One mend can serve both links, and a finding of the other one can say the same.
void take_report(Preflight& forward, PreflightReport&& report) {
  const std::size_t own = forward.report.findings.size();
  for (Finding& finding : report.findings) {
    const auto end = forward.report.findings.begin() + static_cast<std::ptrdiff_t>(own);
    const bool said = std::any_of(forward.report.findings.begin(), end, [&](const Finding& other) {
      return other.side == finding.side && other.mend == finding.mend;
    });
    if (!said) forward.report.findings.push_back(std::move(finding));
  }
  std::vector<std::string>& notes = forward.report.notes;
  for (std::string& note : report.notes) {
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(std::move(note));
  }
}

void check_green_as_source(Preflight& back, PgConnection& green) {
  const ServerFacts facts = read_server_facts(green);
  check_source_server(back, green, facts);
  check_control_schema(back, green, facts, true);
  if (!back.tables.empty()) {
    check_source_tables(back, facts);
    check_publication(back, green, facts);
  }
  check_begun_link(back, green);
}

}  // namespace

bool is_other_source(Preflight& preflight, const std::optional<LinkRow>& row, const ServerFacts& source) {
  if (!row || row->source_system_id == source.system_id) return false;
  preflight.add(preflight.source(),
                "this is another cluster (system identifier " + source.system_id +
                    ") than the one that the migration began with (" + row->source_system_id + ")",
                "correct the address; if that cluster is gone for good, teal finish --force and start over");
  return true;
}

void check_begun_link(Preflight& preflight, PgConnection& source) {
  if (!preflight.resumed) return;
  if (!preflight.slot) {
    preflight.add(
        preflight.source(),
        "the slot " + preflight.link.slot() + " is gone, and with it the changes since teal last read it",
        preflight.config.direction == Direction::kBoth
            ? "stop the writers of both sides and bring by hand to the other side what it lacks, green has rows "
              "of its own; then teal finish, empty green's tables, and start over"
            : "teal finish, empty green's tables, then start over");
  }
  std::map<TableName, TableCopyState> copied = preflight.states;
  // One that was noted and not published yet has missed nothing.
  std::erase_if(copied, [](const auto& entry) {
    return entry.second.state == "copied" && entry.second.publication_entry.empty();
  });
  std::set<TableName> selected;
  for (const SourceTable& table : preflight.tables) selected.insert(table.name);
  for (const SourceTable& part : preflight.parts) selected.insert(part.name);
  keep_selected(copied, selected);
  try {
    static_cast<void>(check_publication(source, preflight.link, copied));
  } catch (const Stopped& stopped) {
    preflight.add(preflight.source(), stopped.what(),
                  "see the end of the line above: adding a table again is not enough");
  }
}

Preflight begin_way_back(const Preflight& forward, PgConnection* blue, PgConnection* green) {
  Preflight back{.config = forward.config,
                 .mode = forward.mode == PreflightMode::kJoin ? PreflightMode::kJoin : PreflightMode::kNoCopy,
                 .link = forward.link.reverse()};
  if (blue != nullptr) {
    back.resumed = read_link_row(*blue, back.link).has_value();
    back.read_states(*blue);
  }
  if (green != nullptr) back.slot = read_slot(*green, back.link.slot());
  if (blue != nullptr && green != nullptr && !keys_are_ahead(forward, back.resumed, *green)) {
    select_tables_back(forward, back, *green);
  }
  return back;
}

namespace {

// Which are there, or will be made by teal from blue's.
void check_tables_back(Preflight& forward, Preflight& back, PgConnection& blue, PgConnection& green) {
  const bool there = !back.tables.empty();
  if (!there) {  // teal makes them, as blue's are
    back.tables = forward.tables;
    back.parts = forward.parts;
  }
  const ServerFacts facts = read_server_facts(blue);
  const SelectedTypes blue_types(forward.tables, blue);
  const SelectedTypes types(back.tables, there ? green : blue);
  check_row_identities(forward, back, blue_types, types);
  note_two_way_tables(forward, back);
  check_sequences(forward, blue, green);
  if (there) {
    check_encodings(back, types, green, blue, facts);
    check_versions(back, types, green.server_major(), blue.server_major());
    check_types(back, types, blue, find_target_relations(blue, back.tables), false);
    check_object_names(back, types);
    check_large_objects(back, types, green);
  }
  check_target_tables(back, types, blue, facts);
  check_target_parts(back, blue, facts);
  note_owners(back, blue, find_target_relations(blue, back.tables));
}

}  // namespace

void check_joining_back(Preflight& forward, Preflight& back, PgConnection& blue, PgConnection& green) {
  back.found = forward.found;
  if (!back.tables.empty()) check_source_tables(back, read_server_facts(green));
  check_tables_back(forward, back, blue, green);
  take_report(forward, std::move(back.report));
}

void check_way_back(Preflight& forward, Preflight& back, PgConnection* blue, PgConnection* green) {
  back.found = forward.found;
  if (blue != nullptr && green != nullptr &&
      is_other_source(back, read_link_row(*blue, back.link), read_server_facts(*green))) {
    take_report(forward, std::move(back.report));
    return;
  }
  if (green != nullptr) check_green_as_source(back, *green);
  if (blue != nullptr) {
    const ServerFacts facts = read_server_facts(*blue);
    check_target_server(back, *blue, facts);
    check_control_schema(back, *blue, facts, false);
  }
  if (blue != nullptr && green != nullptr) {
    check_tables_back(forward, back, *blue, *green);
    check_target_sessions(back, *blue);
  }
  for (PgConnection* side : {blue, green}) {
    if (side != nullptr) note_commit_timestamps(forward, *side);
  }
  take_report(forward, std::move(back.report));
}

}  // namespace teal
