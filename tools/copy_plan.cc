#include "tools/copy_plan.h"

#include <algorithm>
#include <utility>

#include "engine/binary_types.h"
#include "engine/pg_error.h"

namespace teal {

CopyTable plan_copy(const SourceTable& table, const TargetRelation& target, const PublishedTable& published,
                    CopyMajors majors) {
  CopyTable copy{table.name, target.name, {}, table.bytes, published.entry, table.bounds, table.takes, published.toast};
  copy.binary = true;
  for (const CatalogColumn& column : table.columns) {
    const auto other = std::find_if(target.columns.begin(), target.columns.end(),
                                    [&](const CatalogColumn& c) { return c.name == column.name; });
    if (other == target.columns.end()) {
      if (column.generated) continue;
      throw Stopped(StopCode::kRefused,
                    "table " + copy.display_name() + ": green lacks column \"" + column.name + "\"");
    }
    if (column.generated || other->generated) continue;
    copy.columns.push_back(column.name);
    copy.binary = copy.binary && column.type_oid == other->type_oid &&
                  is_binary_copy_safe(column.type_oid, majors.source, majors.target);
  }
  return copy;
}

}  // namespace teal
