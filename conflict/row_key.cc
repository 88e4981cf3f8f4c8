#include "conflict/row_key.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace teal {
namespace {

// Oids of pg_type.dat: they are the same on all servers.
constexpr std::uint32_t kFloat4 = 700;
constexpr std::uint32_t kFloat8 = 701;
constexpr std::uint32_t kChar = 1042;
constexpr std::uint32_t kNumeric = 1700;
// The display scale in numeric's binary form: numeric_send.
constexpr std::size_t kScaleBegin = 6;
constexpr std::size_t kScaleEnd = 8;

// Of parts whose ends count.
class Hasher {
 public:
  void add(std::string_view bytes) {
    const std::uint64_t size = bytes.size();
    parts_.append(reinterpret_cast<const char*>(&size), sizeof size);
    parts_.append(bytes);
  }
  [[nodiscard]] KeyHash end() const {
    const XXH128_hash_t hash = XXH3_128bits(parts_.data(), parts_.size());
    return {hash.high64, hash.low64};
  }

 private:
  std::string parts_;
};

std::string_view without_trailing(std::string_view text, char what) {
  while (!text.empty() && text.back() == what) text.remove_suffix(1);
  return text;
}

void add_text(Hasher& hasher, TypeId type, std::string_view text) {
  if (type.value == kChar) {
    text = without_trailing(text, ' ');
  } else if (type.value == kNumeric && text.find('.') != std::string_view::npos) {
    text = without_trailing(without_trailing(text, '0'), '.');
  } else if ((type.value == kFloat4 || type.value == kFloat8) && text == "-0") {
    text = "0";
  }
  hasher.add(text);
}

void add_binary(Hasher& hasher, TypeId type, std::string_view bytes) {
  if (type.value == kNumeric && bytes.size() >= kScaleEnd) {
    hasher.add(bytes.substr(0, kScaleBegin));
    hasher.add(bytes.substr(kScaleEnd));
  } else if ((type.value == kFloat4 || type.value == kFloat8) && !bytes.empty() && bytes.front() == '\x80' &&
             std::all_of(bytes.begin() + 1, bytes.end(), [](char byte) { return byte == '\0'; })) {
    hasher.add(std::string(bytes.size(), '\0'));
  } else if (type.value == kChar) {
    hasher.add(without_trailing(bytes, ' '));
  } else {
    hasher.add(bytes);
  }
}

std::uint16_t ordinal_of(const Relation& relation, const std::string& name) {
  const auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                                  [&](const Column& column) { return column.name == name; });
  if (found == relation.columns.end()) {
    throw std::invalid_argument("the source does not send column " + name + " of " + relation.schema + "." +
                                relation.name);
  }
  return static_cast<std::uint16_t>(found - relation.columns.begin());
}

}  // namespace

KeyHash table_hash(std::string_view schema, std::string_view name) {
  Hasher hasher;
  hasher.add(schema);
  hasher.add(name);
  return hasher.end();
}

KeyShape make_key_shape(const Relation& relation, std::string_view schema, std::string_view name,
                        const std::vector<std::string>& key, const std::string& version_column) {
  KeyShape shape;
  shape.table = {table_hash(schema, name), table_hash(relation.schema, relation.name)};
  std::vector<std::string> names = key;
  std::sort(names.begin(), names.end());
  for (const std::string& column : names) {
    shape.columns.push_back(ordinal_of(relation, column));
    shape.types.push_back(relation.columns[shape.columns.back()].type);
  }
  if (!version_column.empty()) shape.version = ordinal_of(relation, version_column);
  return shape;
}

KeyHash key_hash(const KeyShape& shape, TupleView row, TupleView old_row) {
  Hasher hasher;
  const KeyHash& table = shape.table.whole;
  hasher.add({reinterpret_cast<const char*>(&table), sizeof table});
  for (std::size_t i = 0; i < shape.columns.size(); ++i) {
    const std::uint16_t ordinal = shape.columns[i];
    const bool unchanged = row[ordinal].kind == ColumnKind::kUnchangedToast && !old_row.empty();
    const ColumnValue& value = unchanged ? old_row[ordinal] : row[ordinal];
    hasher.add({reinterpret_cast<const char*>(&value.kind), sizeof value.kind});
    if (value.kind == ColumnKind::kText) add_text(hasher, shape.types[i], value.text());
    if (value.kind == ColumnKind::kBinary) add_binary(hasher, shape.types[i], value.text());
  }
  return hasher.end();
}

std::int64_t row_version(const KeyShape& shape, TupleView row) {
  if (!shape.version || *shape.version >= row.size()) return kNoVersion;
  const ColumnValue& value = row[*shape.version];
  if (!value.has_value()) return kNoVersion;
  const std::string_view text = value.text();
  if (value.kind == ColumnKind::kText) {
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error == std::errc() && end == text.data() + text.size()) return version;
  } else if (text.size() == 2 || text.size() == 4 || text.size() == 8) {
    std::uint64_t bits = (static_cast<unsigned char>(text.front()) & 0x80U) != 0 ? ~std::uint64_t{0} : 0;
    for (const char byte : text) bits = bits << 8U | static_cast<unsigned char>(byte);
    return static_cast<std::int64_t>(bits);
  }
  throw std::invalid_argument("a version column has a value that is no integer");
}

}  // namespace teal
