#include "tools/copy_plan.h"

#include <algorithm>
#include <utility>

#include "engine/pg_error.h"

namespace teal {

CopyTable plan_copy(const SourceTable& table, const TargetRelation& target, std::string entry) {
  CopyTable copy{table.name, target.name, {}, table.bytes, std::move(entry), table.bounds};
  for (const CatalogColumn& column : table.columns) {
    const auto other = std::find_if(target.columns.begin(), target.columns.end(),
                                    [&](const CatalogColumn& c) { return c.name == column.name; });
    if (other == target.columns.end()) {
      if (column.generated) continue;
      throw Stopped(StopCode::kRefused,
                    "table " + copy.display_name() + ": green lacks column \"" + column.name + "\"");
    }
    if (!column.generated && !other->generated) copy.columns.push_back(column.name);
  }
  return copy;
}

}  // namespace teal
