#pragma once
#include <stop_token>

#include "engine/config.h"
#include "tools/preflight.h"

namespace teal {

/// Makes sure that everything the link needs exists: schema teal on both sides, publications, slot, origins, the
/// progress row, one table state per selected table. Safe to repeat; two at a time wait for each other. Errors: Stopped
/// with the preflight's text and code when something is missing; Stopped(kRefused) when slot and progress do not fit
/// together (changes would be lost), and when it was stopped; PgError.
void provision(const Config& config, const std::stop_token& stop, PreflightMode mode = PreflightMode::kWithCopy);

}  // namespace teal
