#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/repair.h"

namespace teal {

/// For people, with line ends: what is to be written in each table, by keys, and what cannot be.
[[nodiscard]] std::string repair_plan_text(const RepairOptions& options, const RepairReport& report,
                                           const std::vector<TableResult>& results);
/// What was written, and what was not.
[[nodiscard]] std::string repair_text(const RepairOptions& options, const RepairReport& report,
                                      const std::vector<TableResult>& results);

/// Both for machines.
[[nodiscard]] nlohmann::ordered_json repair_json(const RepairOptions& options, const RepairReport& report,
                                                 const std::vector<TableResult>& results);

}  // namespace teal
