#pragma once
#include <string>
#include <vector>

#include "verifier/finding.h"
#include "verifier/side_look.h"

namespace teal {

/// A subquery with the columns `oid`, `name`, `was`, `now`: collations that sort in another version than the one that
/// their indexes were made with, as far as the server keeps it (that of the database itself since 15).
/// Source: pg_collation.collversion, pg_database.datcollversion.
[[nodiscard]] std::string moved_collations_sql(int server_major);

/// Indexes of the tables that such a collation sorts. Errors: PgError.
[[nodiscard]] std::vector<VerifyFinding> check_collations(SideLook& side);

}  // namespace teal
