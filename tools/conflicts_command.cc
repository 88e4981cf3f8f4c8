#include <algorithm>
#include <iostream>
#include <tuple>

#include "engine/pg_error.h"
#include "tools/commands.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

void print(const OutputOptions& output, const nlohmann::ordered_json& json, const std::string& text) {
  if (output.json) {
    std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    std::cout << text;
  }
}

PgConnection connect(const Config& config, bool blue) {
  return PgConnection::connect(connect_options(config, blue, "conflicts"));
}

void list(const Config& config, const OutputOptions& output, ConflictFilterOptions options) {
  const auto limit = static_cast<std::size_t>(options.limit++);  // one more tells whether there are more
  PgConnection blue = connect(config, true);
  PgConnection green = connect(config, false);
  std::vector<ConflictRow> rows = read_conflicts(blue, config.name, true, options);
  const std::vector<ConflictRow> others = read_conflicts(green, config.name, false, options);
  rows.insert(rows.end(), others.begin(), others.end());
  // Times are text of one form, in UTC.
  std::sort(rows.begin(), rows.end(), [](const ConflictRow& a, const ConflictRow& b) {
    return std::tie(a.at, a.id.blue, a.id.number) > std::tie(b.at, b.id.blue, b.id.number);
  });
  const bool more = rows.size() > limit;
  if (more) rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(limit), rows.end());
  print(output, conflicts_json(config.name, rows, more), conflicts_text(rows, more));
}

void show(const Config& config, const OutputOptions& output, const ConflictId& id) {
  PgConnection side = connect(config, id.blue);
  const std::optional<ConflictRow> row = read_conflict(side, config.name, id);
  if (!row) {
    throw Stopped(StopCode::kRefused,
                  "there is no conflict " + to_string(id) + " (any more); teal conflicts list shows which there are");
  }
  print(output, conflict_json(*row), conflict_text(*row));
}

void stats(const Config& config, const OutputOptions& output) {
  const LinkNames forward = forward_link(config);
  PgConnection blue = connect(config, true);
  PgConnection green = connect(config, false);
  const std::vector<ConflictStats> links{read_conflict_stats(green, forward),
                                         read_conflict_stats(blue, forward.reverse())};
  print(output, conflict_stats_json(config.name, links), conflict_stats_text(links));
}

}  // namespace

int conflicts_command(const Config& config, const OutputOptions& output, const ConflictsOptions& options) {
  switch (options.action) {
    case ConflictsAction::kList:
      list(config, output, options.filter);
      break;
    case ConflictsAction::kShow:
      show(config, output, options.id);
      break;
    case ConflictsAction::kStats:
      stats(config, output);
      break;
  }
  return 0;
}

}  // namespace teal
