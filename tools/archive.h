#pragma once
#include <stop_token>
#include <string>

#include "engine/config.h"

namespace teal {

/// Dumps a side's database, whole but for schema teal, into a file that only its owner can read (pg_dump's custom
/// format). It comes under its name when it is complete. Errors: Stopped(kUsage) when the file is there or cannot be
/// made; otherwise as run_dump_program.
void archive_side(const Config& config, bool blue, const std::string& file, const std::stop_token& stop);

}  // namespace teal
