#include "engine/binary_types.h"

#include <algorithm>
#include <array>

namespace teal {
namespace {

struct BinaryType {
  std::uint32_t type;
  std::uint32_t array;
};

constexpr std::uint32_t kInterval = 1186;
constexpr int kIntervalInfinity = 17;

// Built-in numbers are the same on every server. Left out: reg* (numbers of objects), money (the locale's fraction),
// xml (its own encoding), ranges, and whatever is rare.
constexpr std::array kTypes{
    BinaryType{16, 1000},                                 // bool
    BinaryType{17, 1001},                                 // bytea
    BinaryType{18, 1002},                                 // "char"
    BinaryType{19, 1003},                                 // name
    BinaryType{20, 1016},                                 // bigint
    BinaryType{21, 1005},                                 // smallint
    BinaryType{23, 1007},                                 // integer
    BinaryType{25, 1009},                                 // text
    BinaryType{26, 1028},                                 // oid
    BinaryType{114, 199},                                 // json
    BinaryType{600, 1017},                                // point
    BinaryType{601, 1018},                                // lseg
    BinaryType{602, 1019},                                // path
    BinaryType{603, 1020},                                // box
    BinaryType{604, 1027},                                // polygon
    BinaryType{628, 629},                                 // line
    BinaryType{650, 651},                                 // cidr
    BinaryType{700, 1021},                                // real
    BinaryType{701, 1022},                                // double precision
    BinaryType{718, 719},                                 // circle
    BinaryType{774, 775},                                 // macaddr8
    BinaryType{829, 1040},                                // macaddr
    BinaryType{869, 1041},                                // inet
    BinaryType{1042, 1014},                               // char(n)
    BinaryType{1043, 1015},                               // varchar
    BinaryType{1082, 1182},                               // date
    BinaryType{1083, 1183},                               // time
    BinaryType{1114, 1115},                               // timestamp
    BinaryType{1184, 1185},                               // timestamptz
    BinaryType{kInterval, 1187}, BinaryType{1266, 1270},  // timetz
    BinaryType{1560, 1561},                               // bit
    BinaryType{1562, 1563},                               // varbit
    BinaryType{1700, 1231},                               // numeric
    BinaryType{2950, 2951},                               // uuid
    BinaryType{3220, 3221},                               // pg_lsn
    BinaryType{3802, 3807},                               // jsonb
};

const BinaryType* find(std::uint32_t type, std::uint32_t BinaryType::* member) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const BinaryType& t) { return t.*member == type; });
  return found == kTypes.end() ? nullptr : &*found;
}

}  // namespace

bool is_binary_safe(std::uint32_t type, int source_major, int target_major) {
  const bool same_intervals = (source_major >= kIntervalInfinity) == (target_major >= kIntervalInfinity);
  return find(type, &BinaryType::type) != nullptr && (type != kInterval || same_intervals);
}

bool is_binary_copy_safe(std::uint32_t type, int source_major, int target_major) {
  const BinaryType* of_array = find(type, &BinaryType::array);
  return is_binary_safe(of_array != nullptr ? of_array->type : type, source_major, target_major);
}

std::optional<std::uint32_t> binary_array_type(std::uint32_t type) {
  const BinaryType* found = find(type, &BinaryType::type);
  if (found == nullptr) return std::nullopt;
  return found->array;
}

std::string binary_safe_types(int source_major, int target_major) {
  std::string out = "{";
  for (const BinaryType& known : kTypes) {
    if (!is_binary_safe(known.type, source_major, target_major)) continue;
    out += (out.size() == 1 ? "" : ",") + std::to_string(known.type);
  }
  return out + "}";
}

}  // namespace teal
