#include "tools/table_list.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "engine/nearest_name.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr const char* kFlag = "--tables";

std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  bool quoted = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;  // a doubled quote inside quotes toggles twice
    if (text[i] != ',' || quoted) continue;
    parts.push_back(text.substr(start, i - start));
    start = i + 1;
  }
  parts.push_back(text.substr(start));
  return parts;
}

}  // namespace

TableSelection read_table_list(const std::vector<std::string>& flags) {
  TableSelection selection;
  for (const std::string& flag : flags) {
    for (const std::string_view text : split_at_commas(flag)) {
      const std::optional<TablePattern> pattern = TablePattern::parse(text, kFlag);
      if (!pattern) {
        throw Stopped(StopCode::kUsage, std::string(kFlag) + ": \"" + std::string(text) +
                                            "\" is not schema.table (* and ? stand for any characters and for one)");
      }
      selection.include.push_back(*pattern);
    }
  }
  return selection;
}

void check_each_pattern_matches(const TableSelection& selection, std::span<const TableName> tables,
                                const std::string& among) {
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (const TableName& table : tables) names.push_back(to_string(table));
  std::string problems;
  for (const TablePattern& pattern : selection.include) {
    if (std::any_of(tables.begin(), tables.end(), [&](const TableName& table) { return pattern.matches(table); })) {
      continue;
    }
    problems += (problems.empty() ? "" : "\n") + pattern.where() + ": \"" + pattern.text() + "\" matches no table " +
                among + did_you_mean(nearest_names(pattern.text(), names, 3));
  }
  if (!problems.empty()) throw Stopped(StopCode::kUsage, problems);
}

}  // namespace teal
