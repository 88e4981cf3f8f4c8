#pragma once
#include <vector>

#include "engine/config.h"
#include "tools/verify_findings.h"
#include "verifier/verifier.h"

namespace teal {

/// Looks at everything but rows, after these were compared, and says meanwhile how far it is. `all_unique`: unique
/// indexes of large tables too.
[[nodiscard]] BeyondRows look_beyond(const Config& config, const VerifierOptions& options,
                                     const std::vector<ComparedTable>& tables, bool all_unique, bool quiet);

}  // namespace teal
