#include "applier/column_fit.h"

#include "engine/type_fit.h"

namespace teal {
namespace {

bool to_be_read(const TypesByOid& known, std::uint32_t type) {
  return type >= kFirstMovingTypeOid && !known.contains(type);
}

std::string in_words(const TypeDefinition& type) {
  std::string text = to_string(type.name);
  if (!type.parts.empty()) text += " (" + type.summary() + ")";
  return text;
}

}  // namespace

void ColumnFit::read_source(std::uint32_t type) {
  if (!to_be_read(source_types_, type)) return;
  PgConnection source = open_source_();
  source_types_.merge(read_types(source, {type}));
}

void ColumnFit::read_target(std::uint32_t type) {
  if (to_be_read(target_types_, type)) target_types_.merge(read_types(target_, {type}));
}

ValueFit ColumnFit::fit(const Column& source, const CatalogColumn& target) {
  const TypeUse sent{source.type.value, source.type_modifier};
  const TypeUse there{target.type_oid, target.type_modifier};
  read_source(sent.type);
  read_target(there.type);
  if (to_be_read(source_types_, sent.type)) return fit_by_name(source, there);
  return value_fit(source_types_, sent, target_types_, there);
}

// The type was dropped on the source since. What has the name of a built-in type was a domain over it, and what that
// one left out of it is not known: everything has to fit.
ValueFit ColumnFit::fit_by_name(const Column& source, TypeUse target) {
  const TableName name{source.type_schema, source.type_name};
  if (name.name.empty()) return ValueFit::kNo;
  if (name.schema == "pg_catalog") {
    const std::map<TableName, TypeDefinition> found = find_types(target_, {name});
    if (found.empty()) return ValueFit::kNo;
    return value_fit(source_types_, {found.begin()->second.oid, -1}, target_types_, target);
  }
  const auto there = target_types_.find(base_of(target_types_, target).type);
  const bool same = there != target_types_.end() && there->second.name == name;
  return same || takes_any_text(base_of(target_types_, target)) ? ValueFit::kYes : ValueFit::kNo;
}

std::string ColumnFit::format(TypeUse use) {
  return target_
      .exec("spell the source's type", "SELECT format_type($1::oid, $2)",
            {std::to_string(use.type), std::to_string(use.modifier)})
      .str(0, 0);
}

// With -1 for the modifier: without one, character would mean character(1).
std::string ColumnFit::cast_through(const Column& source) {
  if (to_be_read(source_types_, source.type.value)) {
    return quote_qualified(source.type_schema, source.type_name) + "::";
  }
  const std::uint32_t base = base_of(source_types_, {source.type.value}).type;
  return base >= kFirstMovingTypeOid ? "" : format({base, -1}) + "::";
}

std::string ColumnFit::source_in_words(const Column& source) {
  const auto found = source_types_.find(source.type.value);
  if (found != source_types_.end()) return in_words(found->second);
  if (source.type.value >= kFirstMovingTypeOid)
    return "one that is gone there (" + to_string(TableName{source.type_schema, source.type_name}) + ")";
  return format({source.type.value, source.type_modifier});
}

std::string ColumnFit::target_in_words(const CatalogColumn& target) const {
  const auto found = target_types_.find(target.type_oid);
  return found == target_types_.end() ? target.type : in_words(found->second);
}

}  // namespace teal
