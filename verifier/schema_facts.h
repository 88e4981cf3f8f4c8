#pragma once
#include <string>
#include <vector>

#include "verifier/side_look.h"

namespace teal {

enum class SchemaKind {
  kColumn,      ///< its type and collation
  kNotNull,     ///< of a column
  kDefault,     ///< of a column: expression, identity or generation rule
  kUnique,      ///< a unique index, of a constraint or not
  kIndex,       ///< another index
  kConstraint,  ///< CHECK, FOREIGN KEY, EXCLUDE
  kTrigger,
  kRule,
  kPolicy,
  kSetting,    ///< row security, replica identity, persistence
  kEnum,       ///< the labels of a type that columns have
  kExtension,  ///< the version of one whose types columns have
};

/// Something that a table has.
struct SchemaItem {
  SchemaKind kind = SchemaKind::kColumn;
  std::string name;
  std::string definition;  ///< as the server spells it, without the item's name
  std::string state;       ///< what may differ although it is the same: "DEFERRABLE", "disabled"
  std::string fault;       ///< it does not do what it should, in words; "": it does
};

/// Of each table of `side`, in its order. Errors: PgError.
[[nodiscard]] std::vector<std::vector<SchemaItem>> read_schema_items(SideLook& side);

}  // namespace teal
