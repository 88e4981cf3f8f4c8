#include "tools/verify_findings.h"

#include <algorithm>
#include <iterator>

namespace teal {
namespace {

constexpr std::size_t kKeysInText = 20;

}  // namespace

const char* word(FindingArea area) {
  switch (area) {
    case FindingArea::kSchema:
      return "schema";
    case FindingArea::kDuplicates:
      return "duplicates";
    case FindingArea::kOrphans:
      return "orphans";
    case FindingArea::kSequences:
      return "sequences";
    case FindingArea::kCollations:
      return "collations";
  }
  return "";
}

const char* word(FindingWeight weight) {
  switch (weight) {
    case FindingWeight::kWrong:
      return "wrong";
    case FindingWeight::kUnchecked:
      return "not checked";
    case FindingWeight::kMatters:
      return "matters";
    case FindingWeight::kNote:
      return "note";
  }
  return "";
}

TableVerdict overall(TableVerdict rows, const BeyondRows& beyond) {
  const auto any = [&](FindingWeight weight) {
    return std::any_of(beyond.findings.begin(), beyond.findings.end(),
                       [&](const VerifyFinding& finding) { return finding.weight == weight; });
  };
  if (rows == TableVerdict::kDiffers || any(FindingWeight::kWrong)) return TableVerdict::kDiffers;
  return any(FindingWeight::kUnchecked) ? TableVerdict::kUnchecked : rows;
}

std::vector<VerifyFinding> by_weight(std::span<const VerifyFinding> findings) {
  std::vector<VerifyFinding> sorted;
  sorted.reserve(findings.size());
  for (const FindingWeight weight :
       {FindingWeight::kWrong, FindingWeight::kUnchecked, FindingWeight::kMatters, FindingWeight::kNote}) {
    std::copy_if(findings.begin(), findings.end(), std::back_inserter(sorted),
                 [&](const VerifyFinding& finding) { return finding.weight == weight; });
  }
  return sorted;
}

std::string findings_text(const BeyondRows& beyond) {
  std::string text;
  for (const VerifyFinding& finding : by_weight(beyond.findings)) {
    text += std::string(word(finding.weight)) + ": " + word(finding.area) +
            (finding.side.empty() ? "" : " on " + finding.side) + (finding.table.empty() ? "" : ", " + finding.table) +
            ": " + finding.text + "\n";
    const std::size_t named = std::min(finding.keys.size(), kKeysInText);
    for (std::size_t i = 0; i < named; ++i) text += "    " + finding.keys[i] + "\n";
    if (named < finding.keys.size() || finding.more_keys) text += "    and more; --report FILE names them\n";
  }
  return text;
}

nlohmann::ordered_json findings_json(const BeyondRows& beyond) {
  auto all = nlohmann::ordered_json::array();
  for (const VerifyFinding& finding : by_weight(beyond.findings)) {
    all.push_back({{"area", word(finding.area)},
                   {"weight", word(finding.weight)},
                   {"table", finding.table},
                   {"side", finding.side},
                   {"text", finding.text},
                   {"keys", finding.keys},
                   {"more_keys", finding.more_keys}});
  }
  return all;
}

}  // namespace teal
