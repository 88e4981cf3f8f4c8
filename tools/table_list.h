#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/table_pattern.h"

namespace teal {

/// Reads `--tables a.b,c.*`, given once or several times: patterns as in the configuration's `tables.include`. Commas
/// inside double quotes belong to a name. No flag at all selects every table.
/// Errors: Stopped(kUsage) for what is not schema.table.
[[nodiscard]] TableSelection read_table_list(const std::vector<std::string>& flags);

/// Errors: Stopped(kUsage) that lists the patterns that match none of `tables`, with what may have been meant.
/// `among` says what the tables are: "of the publication x".
void check_each_pattern_matches(const TableSelection& selection, std::span<const TableName> tables,
                                const std::string& among);

}  // namespace teal
