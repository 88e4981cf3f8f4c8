#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include "engine/pg_error.h"
#include "tools/commands.h"
#include "tools/confirm.h"
#include "tools/link_facts.h"
#include "tools/quarantine_rows.h"

namespace teal {
namespace {

void print_json(const nlohmann::ordered_json& json) {
  std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

// What passing over it means for the sides.
std::string consequence(const QuarantineRow& row) {
  if (row.position == 0) return "none of the rows of this transaction will be written: the sides differ in all of them";
  if (row.operation == "TRUNCATE") return "the tables that it names keep their rows: the sides differ in all of them";
  return "the sides differ in this row until somebody makes them equal; later changes of it may stop the link again";
}

// A link's rows are on its target.
struct Place {
  LinkNames link;
  PgConnection target;
};

std::vector<Place> open_places(const Config& config) {
  std::vector<Place> places;
  const LinkNames forward = forward_link(config);
  places.push_back({forward, PgConnection::connect(connect_options(config, false, "quarantine"))});
  places.push_back({forward.reverse(), PgConnection::connect(connect_options(config, true, "quarantine"))});
  return places;
}

// The one link that has such a change, or that was named.
std::pair<Place*, QuarantineRow> find_open(std::vector<Place>& places, const QuarantineOptions& options) {
  std::vector<std::pair<Place*, QuarantineRow>> found;
  for (Place& place : places) {
    if (!options.link.empty() && options.link != place.link.link) continue;
    if (auto row = read_quarantined(place.target, place.link, options.id)) found.emplace_back(&place, *row);
  }
  const std::string change = "change " + std::to_string(options.id);
  if (found.empty()) {
    throw Stopped(StopCode::kRefused, "there is no " + change + "; teal quarantine list shows which there are");
  }
  if (found.size() > 1) {
    throw Stopped(StopCode::kUsage, "both links have a " + change + ": say which with --link");
  }
  if (!found.front().second.open()) {
    throw Stopped(StopCode::kRefused, change + " is " + found.front().second.state + ": the link has passed it");
  }
  return found.front();
}

void mark(Place& place, const QuarantineRow& row, const std::string& state) {
  if (mark_quarantined(place.target, place.link, row.id, state)) return;
  throw Stopped(StopCode::kRefused, "the link has passed change " + std::to_string(row.id) + " meanwhile");
}

int list(const Config& config, const OutputOptions& output, std::vector<Place>& places) {
  std::vector<QuarantineRow> rows;
  for (Place& place : places) {
    for (QuarantineRow& row : read_quarantine(place.target, place.link)) rows.push_back(std::move(row));
  }
  if (output.json) {
    print_json(quarantine_json(config.name, rows));
  } else {
    std::cout << quarantine_text(rows);
  }
  return 0;
}

void report_mark(const OutputOptions& output, const QuarantineRow& row, const std::string& state,
                 const std::string& text) {
  if (output.json) {
    print_json({{"id", row.id}, {"state", state}});
  } else {
    std::cout << "change " << row.id << ", " << row.title() << ": " << text << "\n";
  }
}

}  // namespace

int quarantine_command(const Config& config, const OutputOptions& output, const QuarantineOptions& options) {
  std::vector<Place> places = open_places(config);
  if (options.action == QuarantineAction::kList) return list(config, output, places);
  const auto [place, row] = find_open(places, options);
  if (options.action == QuarantineAction::kRetry) {
    mark(*place, row, "retry");
    report_mark(output, row, "retry", "the next teal run tries it again");
    return 0;
  }
  const std::string what =
      "pass over change " + std::to_string(row.id) + ", " + row.title() + ", for good: " + consequence(row);
  if (!options.yes && !confirm(what + ". Go on?", "teal quarantine skip would " + what)) {
    std::cerr << "nothing was changed\n";
    return static_cast<int>(StopCode::kRefused);
  }
  mark(*place, row, "skip");
  report_mark(output, row, "skip", "the next teal run passes over it; " + consequence(row));
  return 0;
}

}  // namespace teal
