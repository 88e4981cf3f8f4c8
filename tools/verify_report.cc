#include "tools/verify_report.h"

#include <algorithm>

namespace teal {
namespace {

constexpr std::size_t kNamedInText = 20;

const char* word(TableVerdict verdict) {
  switch (verdict) {
    case TableVerdict::kEqual:
      return "equal";
    case TableVerdict::kDiffers:
      return "differs";
    case TableVerdict::kUnchecked:
      return "not fully checked";
  }
  return "";
}

const char* word(DifferenceKind kind) {
  switch (kind) {
    case DifferenceKind::kMissingOnGreen:
      return "missing on green";
    case DifferenceKind::kMissingOnBlue:
      return "missing on blue";
    case DifferenceKind::kDiffers:
      return "differs";
  }
  return "";
}

// Without a key a row is known by all of its values, which belong in no report.
std::string key_text(const ComparedTable& table, const Difference& difference) {
  if (table.key.empty()) return "a row of a table without a key";
  std::string names;
  std::string values;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    names += (i == 0 ? "" : ", ") + table.key[i].name;
    values += (i == 0 ? "" : ", ") + difference.key[i];
  }
  return "(" + names + ")=(" + values + ")";
}

std::string doubts(const TableResult& result) {
  std::string text;
  for (const std::string& obstacle : result.obstacles) text += "    not checked: " + obstacle + "\n";
  if (result.in_flux > 0) {
    text += "    not checked: " + std::to_string(result.in_flux) +
            " rows kept changing, or were still on their way, until the patience ended\n";
  }
  if (result.unnamed > 0) {
    text += "    not checked: " + std::to_string(result.unnamed) + " further parts that are not the same\n";
  }
  return text;
}

}  // namespace

TableVerdict overall(std::span<const TableResult> results) {
  TableVerdict verdict = TableVerdict::kEqual;
  for (const TableResult& result : results) {
    if (result.verdict() == TableVerdict::kDiffers) return TableVerdict::kDiffers;
    if (result.verdict() == TableVerdict::kUnchecked) verdict = TableVerdict::kUnchecked;
  }
  return verdict;
}

std::string verify_text(std::span<const TableResult> results) {
  std::string text;
  std::uint64_t rows = 0;
  for (const TableResult& result : results) {
    rows += result.rows;
    text += to_string(result.table.blue.name) + ": " + word(result.verdict()) + ", " + std::to_string(result.rows) +
            " rows\n";
    const std::size_t named = std::min(result.differences.size(), kNamedInText);
    for (std::size_t i = 0; i < named; ++i) {
      const Difference& difference = result.differences[i];
      text += std::string("    ") + word(difference.kind) + ": " + key_text(result.table, difference) + "\n";
    }
    if (named < result.differences.size()) {
      text += "    and " + std::to_string(result.differences.size() - named) + " more; --report FILE names them\n";
    }
    text += doubts(result);
  }
  return text + word(overall(results)) + ": " + std::to_string(results.size()) + " tables, " + std::to_string(rows) +
         " rows\n";
}

nlohmann::ordered_json verify_json(const std::string& name, std::span<const TableResult> results) {
  auto tables = nlohmann::ordered_json::array();
  for (const TableResult& result : results) {
    auto differences = nlohmann::ordered_json::array();
    for (const Difference& difference : result.differences) {
      nlohmann::ordered_json key = nlohmann::ordered_json::object();
      for (std::size_t i = 0; i < difference.key.size(); ++i) key[result.table.key[i].name] = difference.key[i];
      differences.push_back({{"kind", word(difference.kind)}, {"key", key}});
    }
    tables.push_back({{"table", to_string(result.table.blue.name)},
                      {"result", word(result.verdict())},
                      {"rows", result.rows},
                      {"ranges", result.ranges},
                      {"differences", differences},
                      {"in_flux", result.in_flux},
                      {"parts_not_looked_into", result.unnamed},
                      {"not_checked", result.obstacles}});
  }
  return {{"name", name}, {"result", word(overall(results))}, {"tables", tables}};
}

}  // namespace teal
