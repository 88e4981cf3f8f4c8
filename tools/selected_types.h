#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/catalog.h"
#include "engine/catalog_types.h"

namespace teal {

/// A selected column that is sent.
struct TypedColumn {
  const SourceTable* table;
  const CatalogColumn* column;
};

/// `public.t.a, public.t.b and 3 more`.
[[nodiscard]] std::string in_words(const std::vector<TypedColumn>& columns);

/// The types of the selected columns on the source, with everything that they are made of, and who uses which.
/// Lifetime: no longer than the tables that it was made from.
class SelectedTypes {
 public:
  /// Tables with a refusal and generated columns are left out. Errors: PgError.
  SelectedTypes(const std::vector<SourceTable>& tables, PgConnection& source);

  [[nodiscard]] const TypesByOid& types() const { return types_; }
  /// The columns by their own type.
  [[nodiscard]] const std::map<std::uint32_t, std::vector<TypedColumn>>& columns() const { return columns_; }

  /// Whether values of `outer` hold values of `inner`, or are that.
  [[nodiscard]] bool is_made_of(std::uint32_t outer, std::uint32_t inner) const;
  /// The columns whose values hold values of `type`.
  [[nodiscard]] std::vector<TypedColumn> users_of(std::uint32_t type) const;
  /// The same for a type of the system, by its name in pg_type.
  [[nodiscard]] std::vector<TypedColumn> users_of_system_type(std::string_view name) const;

 private:
  TypesByOid types_;
  std::map<std::uint32_t, std::vector<TypedColumn>> columns_;
};

}  // namespace teal
