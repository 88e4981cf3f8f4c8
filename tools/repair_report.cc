#include "tools/repair_report.h"

#include <algorithm>
#include <span>

#include "tools/verify_report.h"

namespace teal {
namespace {

constexpr std::size_t kNamedInText = 20;

const char* action(const RepairOptions& options, const Difference& difference) {
  if (difference.kind == DifferenceKind::kDiffers) return "update";
  const bool missing_on_green = difference.kind == DifferenceKind::kMissingOnGreen;
  return missing_on_green == options.blue_is_right ? "insert" : "delete";
}

std::string counts_text(const RepairCounts& counts) {
  return std::to_string(counts.inserted) + " inserted, " + std::to_string(counts.updated) + " updated, " +
         std::to_string(counts.deleted) + " deleted";
}

std::string planned_text(const RepairCounts& counts) {
  return std::to_string(counts.inserted) + " to insert, " + std::to_string(counts.updated) + " to update, " +
         std::to_string(counts.deleted) + " to delete";
}

std::string name_of(const RepairedTable& table, const std::vector<TableResult>& results) {
  return to_string(results[table.result].table.blue.name);
}

std::string refused_text(const TableRepairOutcome& outcome) {
  if (outcome.refused == 0) return "";
  std::string text = "    refused: " + std::to_string(outcome.refused) + " rows\n";
  for (const std::string& reason : outcome.reasons) text += "        " + reason + "\n";
  return text;
}

nlohmann::ordered_json counts_json(const RepairCounts& counts) {
  return {{"insert", counts.inserted}, {"update", counts.updated}, {"delete", counts.deleted}};
}

}  // namespace

std::string repair_plan_text(const RepairOptions& options, const RepairReport& report,
                             const std::vector<TableResult>& results) {
  std::string text = std::string("to make ") + options.wrong() + " as " + options.right() + " is:\n";
  if (report.tables.empty()) return text + "    nothing\n";
  for (const RepairedTable& table : report.tables) {
    const ComparedTable& compared = results[table.result].table;
    text += name_of(table, results) + ": " + planned_text(table.planned) + (table.more ? ", and more" : "") + "\n";
    const std::size_t named = std::min(table.named.size(), kNamedInText);
    for (const Difference& difference : std::span(table.named).first(named)) {
      text += std::string("    ") + action(options, difference) + ": " + key_text(compared, difference) + "\n";
    }
    if (named < table.named.size()) {
      text += "    and " + std::to_string(table.named.size() - named) + " more; --report FILE names them\n";
    }
    for (const std::string& obstacle : table.obstacles) text += "    cannot be repaired: " + obstacle + "\n";
    text += refused_text(table.done);
  }
  return text;
}

std::string repair_text(const RepairOptions& options, const RepairReport& report,
                        const std::vector<TableResult>& results) {
  std::string text = std::string("repaired on ") + options.wrong() + ", in " + std::to_string(report.rounds) +
                     (report.rounds == 1 ? " round:\n" : " rounds:\n");
  for (const RepairedTable& table : report.tables) {
    text += name_of(table, results) + ": " +
            (table.obstacles.empty() ? counts_text(table.done.written) : std::string("not repaired")) + "\n";
    if (table.done.left > 0) {
      text += "    left alone: " + std::to_string(table.done.left) +
              " rows that were written, or locked, by others meanwhile\n";
    }
    text += refused_text(table.done);
    if (!table.done.stopped.empty()) text += "    not all of it was repaired: " + table.done.stopped + "\n";
  }
  return text + "and compared again:\n";
}

nlohmann::ordered_json repair_json(const RepairOptions& options, const RepairReport& report,
                                   const std::vector<TableResult>& results) {
  auto tables = nlohmann::ordered_json::array();
  for (const RepairedTable& table : report.tables) {
    const ComparedTable& compared = results[table.result].table;
    auto rows = nlohmann::ordered_json::array();
    for (const Difference& difference : table.named) {
      rows.push_back({{"action", action(options, difference)}, {"key", difference_key(compared, difference)}});
    }
    tables.push_back({{"table", name_of(table, results)},
                      {"planned", counts_json(table.planned)},
                      {"planned_rows", rows},
                      {"more", table.more},
                      {"written", counts_json(table.done.written)},
                      {"left_alone", table.done.left},
                      {"refused", table.done.refused},
                      {"refused_because", table.done.reasons},
                      {"stopped_because", table.done.stopped},
                      {"not_repaired", table.obstacles}});
  }
  return {{"right", options.right()}, {"dry_run", options.dry_run}, {"rounds", report.rounds}, {"tables", tables}};
}

}  // namespace teal
