#pragma once
#include <functional>
#include <optional>
#include <string>

#include "applier/column_fit.h"
#include "applier/side_changes.h"
#include "conflict/row_key.h"
#include "decoder/relation.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// The version column of a table; "": it has none.
using FindVersionColumn = std::function<std::string(const TableName&)>;

/// A FindKeyShape that asks the side which sends the relation: under which name its rows are written on the other side,
/// and by which key they are known. Threads: one. Errors: PgError; Stopped(kRefused) for a table without a key, and for
/// one that lacks its version column.
[[nodiscard]] FindKeyShape find_key_shapes(OpenSource open_source, FindVersionColumn version_column);

}  // namespace teal
