#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// What a type is made of. Source: pg_type.typtype, with arrays told apart.
enum class TypeKind : char {
  kArray = 'a',
  kBase = 'b',
  kComposite = 'c',
  kDomain = 'd',
  kEnum = 'e',
  kMultirange = 'm',
  kPseudo = 'p',
  kRange = 'r',
};

/// An attribute of a composite; else, without a name, what a domain, an array, a range or a multirange is made over.
struct TypePart {
  std::string name;
  std::string type;  ///< as format_type spells it, with its modifier
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  bool deterministic = true;  ///< equal under its collation means equal bytes
};

struct TypeCheck {
  std::string name;
  std::string expression;  ///< "CHECK (...)", as this server's version writes it
};

/// A type as the catalogs of one side have it.
struct TypeDefinition {
  std::uint32_t oid = 0;
  TableName name;  ///< schema and name
  TypeKind kind = TypeKind::kBase;
  bool of_table = false;  ///< a composite that is the row type of a table or view
  bool not_null = false;  ///< of a domain
  std::string extension;  ///< that it belongs to; "": none
  std::string order;      ///< of a range: operator class, collation and canonical function, in words of SQL
  std::vector<std::string> labels;
  std::vector<TypePart> parts;
  std::vector<TypeCheck> checks;

  [[nodiscard]] bool built_in() const;
  /// `"schema"."name"`.
  [[nodiscard]] std::string quoted() const;
  /// What it is made of, in one line: `(n integer, t text)`, `numeric(10,2) NOT NULL`.
  [[nodiscard]] std::string summary() const;
  /// The statement that makes it, with a semicolon; "" where SQL alone cannot (base types, row types of tables).
  [[nodiscard]] std::string create_sql() const;
};

/// Types by their OID on one side.
using TypesByOid = std::map<std::uint32_t, TypeDefinition>;

/// `types` and everything that they are made of, at any depth. Errors: PgError.
[[nodiscard]] TypesByOid read_types(PgConnection& connection, const std::vector<std::uint32_t>& types);

/// The types that have these names here; a name that no type has is left out. Errors: PgError.
[[nodiscard]] std::map<TableName, TypeDefinition> find_types(PgConnection& connection,
                                                             const std::vector<TableName>& names);

}  // namespace teal
