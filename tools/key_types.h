#pragma once
#include <cstdint>
#include <string>

#include "engine/catalog.h"
#include "engine/catalog_types.h"

namespace teal {

/// Two sides know a row by the text or binary form of its key. Why two keys that are equal on a server may have another
/// form each, in words (`interval, ...`); "": equal ones look alike. `types` has the column's type and what it is made
/// of.
[[nodiscard]] std::string why_keys_differ(const CatalogColumn& column, const TypesByOid& types);

/// smallint, integer, bigint, or a domain over one of them: what a version column may be.
[[nodiscard]] bool is_integer(std::uint32_t type, const TypesByOid& types);

}  // namespace teal
