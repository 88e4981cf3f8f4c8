#include "tools/key_types.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace teal {
namespace {

// Oids of pg_type.dat: they are the same on all servers.
constexpr std::array<std::uint32_t, 3> kIntegers{20, 21, 23};
constexpr std::uint32_t kNumeric = 1700;
constexpr std::uint32_t kChar = 1042;

struct LooseType {
  std::uint32_t oid;
  std::string_view why;
};

// Source: interval_cmp_value and compareJsonbContainers in utils/adt.
constexpr std::array kLoose{
    LooseType{1186, "interval, of which 1 day and 24 hours are equal"},
    LooseType{3802, "jsonb, of which 1.0 and 1 are equal"},
};

// In a column of their own such keys are compared by their value, see row_key; inside of something else by their form.
constexpr std::array kLooseInside{
    LooseType{700, "real inside another type, of which 0 and -0 are equal"},
    LooseType{701, "double precision inside another type, of which 0 and -0 are equal"},
    LooseType{kNumeric, "numeric inside another type, of which 1.0 and 1 are equal"},
    LooseType{kChar, "character inside another type, whose trailing blanks do not count"},
};

constexpr std::string_view kLooseCollation =
    "under a collation that is not deterministic, which takes different texts for equal";

template <std::size_t Count>
std::string find_loose(const std::array<LooseType, Count>& loose, std::uint32_t oid) {
  const auto found = std::find_if(loose.begin(), loose.end(), [&](const LooseType& type) { return type.oid == oid; });
  return found == loose.end() ? "" : std::string(found->why);
}

// With a length or a scale there is one form.
bool has_one_form(const TypePart& part) {
  return part.type_modifier != -1 && (part.type_oid == kNumeric || part.type_oid == kChar);
}

std::string why_parts_differ(std::uint32_t oid, const TypesByOid& types) {
  if (std::string why = find_loose(kLoose, oid); !why.empty()) return why;
  const auto found = types.find(oid);
  if (found == types.end()) return "";  // it was dropped meanwhile
  const TypeDefinition& type = found->second;
  if (type.kind == TypeKind::kBase && !type.built_in()) {
    return to_string(type.name) + ", whose equality may not be that of its text";
  }
  for (const TypePart& part : type.parts) {
    if (!part.deterministic) return to_string(type.name) + " " + std::string(kLooseCollation);
    std::string why = has_one_form(part) ? "" : find_loose(kLooseInside, part.type_oid);
    if (why.empty()) why = why_parts_differ(part.type_oid, types);
    if (!why.empty()) return why;
  }
  return "";
}

}  // namespace

std::string why_keys_differ(const CatalogColumn& column, const TypesByOid& types) {
  if (!column.deterministic) return column.type + " " + std::string(kLooseCollation);
  return why_parts_differ(column.type_oid, types);
}

bool is_integer(std::uint32_t type, const TypesByOid& types) {
  if (std::find(kIntegers.begin(), kIntegers.end(), type) != kIntegers.end()) return true;
  const auto found = types.find(type);
  return found != types.end() && found->second.kind == TypeKind::kDomain &&
         is_integer(found->second.parts.front().type_oid, types);
}

}  // namespace teal
