#include <iostream>
#include <optional>

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

QuarantineRow open_row(PgConnection& target, const LinkNames& link, std::int64_t id) {
  const std::optional<QuarantineRow> row = read_quarantined(target, link, id);
  if (row && row->open()) return *row;
  throw Stopped(StopCode::kRefused,
                row ? "change " + std::to_string(id) + " is " + row->state + ": the link has passed it"
                    : "there is no change " + std::to_string(id) + "; teal quarantine list shows which there are");
}

void mark(PgConnection& target, const LinkNames& link, const QuarantineRow& row, const std::string& state) {
  if (mark_quarantined(target, link, row.id, state)) return;
  throw Stopped(StopCode::kRefused, "the link has passed change " + std::to_string(row.id) + " meanwhile");
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
  const LinkNames link = forward_link(config);
  PgConnection target = PgConnection::connect(connect_options(config, false, "quarantine"));
  if (options.action == QuarantineAction::kList) {
    const std::vector<QuarantineRow> rows = read_quarantine(target, link);
    if (output.json) {
      print_json(quarantine_json(config.name, link.link, rows));
    } else {
      std::cout << quarantine_text(rows);
    }
    return 0;
  }
  const QuarantineRow row = open_row(target, link, options.id);
  if (options.action == QuarantineAction::kRetry) {
    mark(target, link, row, "retry");
    report_mark(output, row, "retry", "the next teal run tries it again");
    return 0;
  }
  const std::string what =
      "pass over change " + std::to_string(row.id) + ", " + row.title() + ", for good: " + consequence(row);
  if (!options.yes && !confirm(what + ". Go on?", "teal quarantine skip would " + what)) {
    std::cerr << "nothing was changed\n";
    return static_cast<int>(StopCode::kRefused);
  }
  mark(target, link, row, "skip");
  report_mark(output, row, "skip", "the next teal run passes over it; " + consequence(row));
  return 0;
}

}  // namespace teal
