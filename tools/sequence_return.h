#pragma once
#include <string>

#include "engine/pg_connection.h"
#include "tools/deprovision.h"

namespace teal {

/// Gives the sequences that migration `name` interleaved their old increments and starts again, on the sides that are
/// there (nullptr: not reached). Each goes on behind what the other side's has drawn; where that cannot be asked,
/// behind its columns' own rows. What teal may not alter is in the report, and noted until it is put back. Safe to
/// repeat. Errors: Stopped(kRefused) when an open transaction holds a sequence for ten seconds; PgError.
void put_back_sequences(const std::string& name, PgConnection* blue, PgConnection* green, DeprovisionReport& report);

}  // namespace teal
