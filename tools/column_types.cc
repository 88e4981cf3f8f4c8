#include "tools/column_types.h"

#include "engine/pg_error.h"

namespace teal {

std::span<const std::string> ColumnTypes::of(const Relation& relation) {
  Known& known = known_[relation.id];
  if (known.columns == relation.columns) return known.types;
  std::string ids;
  std::string modifiers;
  for (const Column& column : relation.columns) {
    const char* comma = ids.empty() ? "" : ",";
    ids += comma + std::to_string(column.type.value);
    modifiers += comma + std::to_string(column.type_modifier);
  }
  const Rows rows = source_.exec("read the names of types on " + source_.label(),
                                 "SELECT format_type(t.id, t.modifier) FROM unnest($1::oid[], $2::int[]) "
                                 "WITH ORDINALITY AS t (id, modifier, position) ORDER BY t.position",
                                 {"{" + ids + "}", "{" + modifiers + "}"});
  if (static_cast<std::size_t>(rows.size()) != relation.columns.size()) {
    throw Stopped(StopCode::kBug, "asked for " + std::to_string(relation.columns.size()) + " types and was told " +
                                      std::to_string(rows.size()));
  }
  known.types.clear();
  for (int i = 0; i < rows.size(); ++i) known.types.push_back(rows.str(i, 0));
  known.columns = relation.columns;
  return known.types;
}

}  // namespace teal
