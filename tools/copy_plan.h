#pragma once
#include <string>

#include "applier/table_copy.h"
#include "engine/catalog.h"

namespace teal {

/// What of `table` is copied to `target`: the columns that both sides have and that are not generated.
/// `entry`: see PublishedTable::entry. Errors: Stopped(kRefused) for a column that the target lacks.
[[nodiscard]] CopyTable plan_copy(const SourceTable& table, const TargetRelation& target, std::string entry);

}  // namespace teal
