#pragma once
#include <string>

#include "applier/table_copy.h"
#include "engine/catalog.h"
#include "engine/publication.h"

namespace teal {

/// The servers' major versions, which decide about binary forms.
struct CopyMajors {
  int source = 0;
  int target = 0;
};

/// What of `table` is copied to `target`: the columns that both sides have and that are not generated; binary when
/// every one of them allows it. `published`: as it stands in the publication. Errors: Stopped(kRefused) for a column
/// that the target lacks.
[[nodiscard]] CopyTable plan_copy(const SourceTable& table, const TargetRelation& target,
                                  const PublishedTable& published, CopyMajors majors);

}  // namespace teal
