#pragma once
#include <string>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// An extension of the source, and what the target has of it.
struct ExtensionState {
  std::string name;
  std::string schema;       ///< on the source
  bool installed = false;   ///< in the target's database
  bool available = false;   ///< its files are on the target's server
  bool may_create = false;  ///< the target's role may create it
};

/// The extensions of `source` in the order in which they were made, as `target` has them. plpgsql, which every database
/// has, is left out. Errors: PgError.
[[nodiscard]] std::vector<ExtensionState> read_extensions(PgConnection& source, PgConnection& target);

}  // namespace teal
