#include "tools/selected_types.h"

#include <algorithm>

namespace teal {

std::string in_words(const std::vector<TypedColumn>& columns) {
  constexpr std::size_t kShown = 3;
  std::string names;
  for (std::size_t i = 0; i < std::min(columns.size(), kShown); ++i) {
    names += (i == 0 ? "" : ", ") + to_string(columns[i].table->name) + "." + columns[i].column->name;
  }
  if (columns.size() > kShown) names += " and " + std::to_string(columns.size() - kShown) + " more";
  return names;
}

SelectedTypes::SelectedTypes(const std::vector<SourceTable>& tables, PgConnection& source) {
  for (const SourceTable& table : tables) {
    if (!table.refusal.empty()) continue;
    for (const CatalogColumn& column : table.columns) {
      if (!column.generated) columns_[column.type_oid].push_back({&table, &column});
    }
  }
  std::vector<std::uint32_t> roots;
  roots.reserve(columns_.size());
  for (const auto& [type, users] : columns_) roots.push_back(type);
  types_ = read_types(source, roots);
}

bool SelectedTypes::is_made_of(std::uint32_t outer, std::uint32_t inner) const {
  if (outer == inner) return true;
  const auto found = types_.find(outer);
  if (found == types_.end()) return false;  // it was dropped meanwhile
  const std::vector<TypePart>& parts = found->second.parts;
  return std::any_of(parts.begin(), parts.end(),
                     [&](const TypePart& part) { return is_made_of(part.type_oid, inner); });
}

std::vector<TypedColumn> SelectedTypes::users_of(std::uint32_t type) const {
  std::vector<TypedColumn> users;
  for (const auto& [used, columns] : columns_) {
    if (is_made_of(used, type)) users.insert(users.end(), columns.begin(), columns.end());
  }
  return users;
}

std::vector<TypedColumn> SelectedTypes::users_of_system_type(std::string_view name) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& entry) {
    return entry.second.name.schema == "pg_catalog" && entry.second.name.name == name;
  });
  return found == types_.end() ? std::vector<TypedColumn>{} : users_of(found->first);
}

}  // namespace teal
