#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"

namespace teal {

/// What is left of a migration on one side after `deprovision`.
struct Leftover {
  std::string side;
  std::string what;
  std::string mend;  ///< SQL for somebody who may
};

/// What `deprovision` did.
struct DeprovisionReport {
  std::vector<std::string> removed;  ///< "blue: slot teal_shop_blue_to_green"
  std::vector<Leftover> left;        ///< empty: nothing of the migration is left
};

/// Removes everything of migration `name` on both sides: slots, publications, origins, rows, and schema teal when no
/// other migration uses it; puts back interleaved sequences. A side that is nullptr is left out. Safe to repeat.
/// Errors: Stopped(kRefused) when a slot or an origin stays in use for ten seconds (a teal is running); PgError.
[[nodiscard]] DeprovisionReport deprovision(const std::string& name, PgConnection* blue, PgConnection* green);

}  // namespace teal
