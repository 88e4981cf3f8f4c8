#include "tools/verify_report.h"

#include <algorithm>

namespace teal {
namespace {

constexpr std::size_t kNamedInText = 20;

std::string bound_text(const std::optional<KeyValues>& bound) {
  if (!bound) return "";
  std::string text;
  for (const std::string& value : *bound) text += (text.empty() ? "" : ", ") + value;
  return "(" + text + ")";
}

std::string range_text(const RangeVerdict& range) {
  const std::string from = range.range.from ? "from " + bound_text(range.range.from) : "from the first key";
  const std::string to = range.range.to ? " to below " + bound_text(range.range.to) : " to the last one";
  return from + to + ": " + word(range.verdict) + ", " + std::to_string(range.rows) + " rows" +
         (range.before ? ", by an earlier run" : "");
}

nlohmann::ordered_json ranges_json(const TableResult& result) {
  const auto bound = [](const std::optional<KeyValues>& values) -> nlohmann::ordered_json {
    if (!values) return nullptr;
    return *values;
  };
  auto ranges = nlohmann::ordered_json::array();
  for (const RangeVerdict& range : result.verdicts) {
    ranges.push_back({{"from", bound(range.range.from)},
                      {"below", bound(range.range.to)},
                      {"result", word(range.verdict)},
                      {"rows", range.rows},
                      {"compared_before", range.before}});
  }
  return ranges;
}

}  // namespace

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

std::vector<std::string> doubts(const TableResult& result) {
  std::vector<std::string> reasons = result.obstacles;
  if (result.in_flux > 0) {
    reasons.push_back(std::to_string(result.in_flux) +
                      " rows kept changing, or were still on their way, until the patience ended");
  }
  if (result.unnamed > 0) reasons.push_back(std::to_string(result.unnamed) + " further parts that are not the same");
  return reasons;
}

nlohmann::ordered_json difference_key(const ComparedTable& table, const Difference& difference) {
  nlohmann::ordered_json key = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < difference.key.size(); ++i) key[table.key[i].name] = difference.key[i];
  return key;
}

TableVerdict overall(std::span<const TableResult> results) {
  TableVerdict verdict = TableVerdict::kEqual;
  for (const TableResult& result : results) {
    if (result.verdict() == TableVerdict::kDiffers) return TableVerdict::kDiffers;
    if (result.verdict() == TableVerdict::kUnchecked) verdict = TableVerdict::kUnchecked;
  }
  return verdict;
}

std::string difference_text(const ComparedTable& table, const Difference& difference) {
  return std::string(word(difference.kind)) + ": " + key_text(table, difference);
}

std::string verify_text(const VerifyRun& run, std::span<const TableResult> results, const BeyondRows& beyond) {
  std::string text;
  std::uint64_t rows = 0;
  for (const TableResult& result : results) {
    rows += result.rows;
    text += to_string(result.table.blue.name) + ": " + word(result.verdict()) + ", " + std::to_string(result.rows) +
            " rows\n";
    const std::size_t named = std::min(result.differences.size(), kNamedInText);
    for (std::size_t i = 0; i < named; ++i) {
      text += "    " + difference_text(result.table, result.differences[i]) + "\n";
    }
    if (named < result.differences.size()) {
      text += "    and " + std::to_string(result.differences.size() - named) + " more; --report FILE names them\n";
    }
    for (const std::string& reason : doubts(result)) text += "    not checked: " + reason + "\n";
    for (const RangeVerdict& range : result.verdicts) text += "    " + range_text(range) + "\n";
  }
  text += findings_text(beyond);
  for (const std::string& note : run.notes) text += note + "\n";
  return text + word(overall(overall(results), beyond)) + ": " + std::to_string(results.size()) + " tables, " +
         std::to_string(rows) + " rows\n";
}

nlohmann::ordered_json verify_json(const VerifyRun& run, std::span<const TableResult> results,
                                   const BeyondRows& beyond) {
  auto tables = nlohmann::ordered_json::array();
  for (const TableResult& result : results) {
    auto differences = nlohmann::ordered_json::array();
    for (const Difference& difference : result.differences) {
      differences.push_back({{"kind", word(difference.kind)}, {"key", difference_key(result.table, difference)}});
    }
    tables.push_back({{"table", to_string(result.table.blue.name)},
                      {"result", word(result.verdict())},
                      {"rows", result.rows},
                      {"ranges", result.ranges},
                      {"ranges_compared_before", result.ranges_before},
                      {"blocks", ranges_json(result)},
                      {"differences", differences},
                      {"in_flux", result.in_flux},
                      {"parts_not_looked_into", result.unnamed},
                      {"not_checked", result.obstacles}});
  }
  const auto side = [](const VerifiedSide& one) {
    return nlohmann::ordered_json{{"address", one.address}, {"version", one.version}};
  };
  return {{"name", run.name},
          {"started", run.started},
          {"seconds", run.seconds},
          {"blue", side(run.blue)},
          {"green", side(run.green)},
          {"links_ran", run.links_ran},
          {"hashed_by_teal", run.hashed_here},
          {"notes", run.notes},
          {"result", word(overall(overall(results), beyond))},
          {"rows", word(overall(results))},
          {"tables", tables},
          {"looked_beyond_rows", beyond.looked},
          {"findings", findings_json(beyond)}};
}

}  // namespace teal
