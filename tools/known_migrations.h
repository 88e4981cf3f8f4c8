#pragma once
#include <set>
#include <string>

#include "engine/pg_connection.h"

namespace teal {

/// The names of the migrations that have a slot, a publication or a progress row in this database. Errors: PgError.
[[nodiscard]] std::set<std::string> known_migrations(PgConnection& connection);

}  // namespace teal
