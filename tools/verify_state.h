#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"
#include "verifier/journal.h"
#include "verifier/range_compare.h"

namespace teal {

/// Opens the file in which a comparison is noted, to go on with it, and gives each table its signature there.
/// Errors: Stopped(kUsage) when it belongs to something else; PgError.
[[nodiscard]] std::unique_ptr<VerifyJournal> open_verify_state(const std::string& file, const Config& config,
                                                               PgConnection& blue, PgConnection& green, HashedIn hashed,
                                                               std::vector<ComparedTable>& tables);

}  // namespace teal
