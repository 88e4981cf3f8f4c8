#pragma once
#include <string>

#include "decoder/ids.h"
#include "decoder/tuple.h"

namespace teal {

/// A value for people: as it came when it came as text; of binary ones integers, booleans, text and uuid as PostgreSQL
/// writes them, others as `\x` and their bytes. NULL is "NULL", a value that was not sent "unchanged".
/// Source: the types' send functions.
[[nodiscard]] std::string value_text(TypeId type, const ColumnValue& value);

}  // namespace teal
