#pragma once
#include <string>
#include <vector>

#include "verifier/finding.h"
#include "verifier/schema_facts.h"
#include "verifier/side_look.h"

namespace teal {

/// What one table's definition has on one side and not on the other, and what does not work on either. `one_version`:
/// the servers spell the same definition alike; where they are of two major versions, definitions of one name that are
/// spelled differently are only notes.
[[nodiscard]] std::vector<VerifyFinding> compare_schema(const std::string& table, const std::vector<SchemaItem>& blue,
                                                        const std::vector<SchemaItem>& green, bool one_version);

/// The same for all tables. Errors: PgError.
[[nodiscard]] std::vector<VerifyFinding> check_schema(SideLook& blue, SideLook& green);

}  // namespace teal
