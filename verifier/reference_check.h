#pragma once
#include <vector>

#include "verifier/finding.h"
#include "verifier/side_look.h"
#include "verifier/unique_check.h"

namespace teal {

/// Rows whose foreign key refers to no row: replicated rows bypass these (TRAPS F5). Looked at are the foreign keys of
/// the tables and of their partitions, and those of other tables that refer to them, as far as the role may read these.
/// Errors: PgError only when the connection is of no use any more.
[[nodiscard]] std::vector<VerifyFinding> check_references(SideLook& side, const SettleOptions& options,
                                                          LookProgress& progress);

}  // namespace teal
