#pragma once
#include <string>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// What keeps teal's role from writing rows on `side` under the origin `origin`, each with what mends it; empty:
/// nothing. Changes nothing. Errors: PgError.
[[nodiscard]] std::vector<std::string> repair_obstacles(PgConnection& side, const std::string& origin);

}  // namespace teal
