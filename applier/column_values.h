#pragma once
#include <string>

#include "applier/target_table.h"
#include "decoder/tuple.h"
#include "engine/pg_connection.h"

namespace teal {

/// The SQL of a column of `t`, the table, so that a binary result has it in the form in which the stream sends it. What
/// travels as text is what the type's output function writes; a cast to text writes some types in another way (boolean,
/// char(n)).
[[nodiscard]] inline std::string sent_form(const MappedColumn& column) {
  const std::string value = "t." + column.name;
  return column.binary ? value : "CASE WHEN " + value + " IS DISTINCT FROM NULL THEN concat(" + value + ") END";
}

/// A value of a binary result that `sent_form` was asked for. Lifetime: points into `result`.
[[nodiscard]] inline ColumnValue value_in(const PGresult* result, int row, int column, bool binary) {
  if (PQgetisnull(result, row, column) != 0) return {nullptr, 0, ColumnKind::kNull};
  return {reinterpret_cast<const std::byte*>(PQgetvalue(result, row, column)),
          static_cast<std::uint32_t>(PQgetlength(result, row, column)),
          binary ? ColumnKind::kBinary : ColumnKind::kText};
}

}  // namespace teal
