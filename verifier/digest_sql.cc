#include "verifier/digest_sql.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "verifier/row_hash.h"

namespace teal {
namespace {

constexpr const char* kLowSeed = "1";
constexpr const char* kHighSeed = "2";
constexpr const char* kSliceSeed = "3";
const std::string kOtherSeed = "5871781006564002453";  // bits at random
constexpr const char* kVersion = "t.tableoid || ' ' || t.ctid || ' ' || t.xmin";

std::string column(const ComparedKey& key) { return "t." + quote_identifier(key.name); }

std::string from_sql(const ComparedTable& table, ComparedOn side) {
  const ComparedSide& one = side == ComparedOn::kBlue ? table.blue : table.green;
  return (one.partitioned ? "" : "ONLY ") + quote_qualified(one.name.schema, one.name.name) + " AS t";
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// A record of one is a value.
std::string list(const std::vector<std::string>& parts) {
  return parts.size() == 1 ? parts.front() : "ROW(" + joined(parts) + ")";
}

std::vector<std::string> ordered_key(const ComparedTable& table) {
  std::vector<std::string> parts;
  for (const ComparedKey& key : table.key) {
    const char* by_text = key.order == KeyOrder::kText ? "::text" : "";
    const char* by_bytes = key.order == KeyOrder::kNatural ? "" : " COLLATE \"C\"";
    parts.push_back(column(key) + by_text + by_bytes);
  }
  return parts;
}

std::vector<std::string> literals(const ComparedTable& table, const KeyValues& values) {
  std::vector<std::string> parts;
  parts.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) parts.push_back(quote_literal(values[i]) + "::" + table.key[i].type);
  return parts;
}

std::vector<std::string> bounds(const ComparedTable& table, const KeyValues& values) {
  std::vector<std::string> parts = literals(table, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (table.key[i].order == KeyOrder::kText) parts[i] = quote_literal(values[i]) + "::text";
  }
  return parts;
}

std::string hash(const std::string& text, const char* seed) { return "hashtextextended(" + text + ", " + seed + ")"; }

// What a row is known by: its key, or all of it, which may be large: two hashes of that.
std::string identity(const ComparedTable& table) {
  if (table.key.empty()) {
    const std::string image = row_image_sql(table);
    return hash(image, kLowSeed) + " || ' ' || " + hash(image, kHighSeed);
  }
  std::vector<std::string> parts;
  parts.reserve(table.key.size());
  for (const ComparedKey& key : table.key) parts.push_back(column(key));
  return "ROW(" + joined(parts) + ")::text COLLATE \"C\"";
}

std::string sums_of(const std::string& low, const std::string& high) {
  return "count(*), coalesce(sum(" + low + "), 0), coalesce(sum(" + high + "), 0)";
}

std::string sums() { return sums_of(hash("s.image", kLowSeed), hash("s.image", kHighSeed)); }

std::string sums(const ComparedTable& table, RowForm form) {
  if (form == RowForm::kText) return sums();
  return sums_of(row_hash_sql(table, kLowSeed), row_hash_sql(table, kOtherSeed));
}

// What `sums` of the form needs.
std::string images(const ComparedTable& table, RowForm form) {
  return form == RowForm::kText ? row_image_sql(table) + " AS image" : row_hash_inputs_sql(table);
}

// Rows without a key have nothing that could tell them apart.
RowForm possible(const ComparedTable& table, RowForm form) { return table.key.empty() ? RowForm::kText : form; }

// The highest bit goes, so that the rest of the division is not negative.
std::string slice_of(const std::string& identity, std::size_t slices) {
  return "(" + hash(identity, kSliceSeed) + " & 9223372036854775807) % " + std::to_string(slices);
}

// Under names of our own: a key's column may be called like one of ours.
std::string key_texts(const ComparedTable& table) {
  std::string text;
  for (std::size_t i = 0; i < table.key.size(); ++i) text += ", min(s.k" + std::to_string(i) + "::text)";
  return text;
}

std::string key_columns(const ComparedTable& table) {
  std::string text;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    text += ", " + column(table.key[i]) + " AS k" + std::to_string(i);
  }
  return text;
}

std::string selected_key(const ComparedTable& table) {
  std::string columns;
  for (const ComparedKey& key : table.key) columns += (columns.empty() ? "" : ", ") + column(key) + "::text";
  return columns;
}

std::string by_identity(const ComparedTable& table, ComparedOn side, const std::string& where) {
  return "SELECT s.identity, " + sums() + key_texts(table) +
         ", string_agg(s.version, ',' ORDER BY s.version) FROM (SELECT " + identity(table) + " AS identity, " +
         row_image_sql(table) + " AS image, " + kVersion + " AS version" + key_columns(table) + " FROM " +
         from_sql(table, side) + where + " OFFSET 0) AS s GROUP BY 1";
}

std::string share_text(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9f", share);
  return text.data();
}

}  // namespace

std::string row_image_sql(const ComparedTable& table) {
  std::vector<std::string> parts;
  parts.reserve(table.columns.size());
  for (const std::string& column : table.columns) parts.push_back("t." + column);
  return "ROW(" + joined(parts) + ")::text COLLATE \"C\"";
}

std::string range_sql(const ComparedTable& table, const KeyRange& range) {
  std::string text;
  if (range.from) text += " WHERE " + list(ordered_key(table)) + " >= " + list(bounds(table, *range.from));
  if (range.to)
    text += (text.empty() ? " WHERE " : " AND ") + list(ordered_key(table)) + " < " + list(bounds(table, *range.to));
  // NULL is in no range by itself.
  if (range.from && !range.to) {
    for (const ComparedKey& key : table.key) {
      if (key.null_on_green) text += " OR " + column(key) + " IS NULL";
    }
  }
  return text;
}

// OFFSET 0 keeps the planner from writing the image's expression twice, once for each hash.
std::string digest_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range, RowForm form) {
  form = possible(table, form);
  return "SELECT " + sums(table, form) + " FROM (SELECT " + images(table, form) + " FROM " + from_sql(table, side) +
         range_sql(table, range) + " OFFSET 0) AS s";
}

std::string slice_digests_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range, std::size_t slices,
                              RowForm form) {
  form = possible(table, form);
  return "SELECT s.slice, " + sums(table, form) + " FROM (SELECT " + slice_of(identity(table), slices) + " AS slice, " +
         images(table, form) + " FROM " + from_sql(table, side) + range_sql(table, range) +
         " OFFSET 0) AS s GROUP BY 1";
}

std::string rows_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range, const Slices& slices) {
  std::string where = range_sql(table, range);
  if (slices.numbers.size() < slices.of) {
    std::string numbers;
    for (const std::size_t number : slices.numbers) numbers += (numbers.empty() ? "" : ", ") + std::to_string(number);
    where = (where.empty() ? " WHERE " : " WHERE (" + where.substr(std::string(" WHERE ").size()) + ") AND ") +
            slice_of(identity(table), slices.of) + " IN (" + numbers + ")";
  }
  return by_identity(table, side, where);
}

std::string keys_where_sql(const ComparedTable& table, const std::vector<KeyValues>& keys) {
  std::string values;
  for (const KeyValues& key : keys) values += (values.empty() ? "(" : ", (") + joined(literals(table, key)) + ")";
  std::vector<std::string> plain;
  plain.reserve(table.key.size());
  for (const ComparedKey& key : table.key) plain.push_back(column(key));
  return " WHERE " + list(plain) + " IN (VALUES " + values + ")";
}

std::string keys_sql(const ComparedTable& table, ComparedOn side, const std::vector<KeyValues>& keys) {
  return by_identity(table, side, keys_where_sql(table, keys));
}

std::string plain_rows_sql(const ComparedTable& table, ComparedOn side, const std::string& where) {
  std::string keys;
  for (const ComparedKey& key : table.key) keys += ", " + column(key) + "::text";
  return "SELECT " + (table.key.empty() ? "''" : identity(table)) + ", " + row_image_sql(table) + ", " +
         std::string(kVersion) + keys + " FROM " + from_sql(table, side) + where;
}

std::string bound_sql(const ComparedTable& table, const KeyRange& range, std::size_t rows) {
  return "SELECT " + selected_key(table) + " FROM " + from_sql(table, ComparedOn::kBlue) + range_sql(table, range) +
         " ORDER BY " + joined(ordered_key(table)) + " OFFSET " + std::to_string(rows) + " LIMIT 1";
}

std::string sample_sql(const ComparedTable& table, double pages, double rows) {
  const std::string sample = pages < 1 ? " TABLESAMPLE SYSTEM (" + share_text(100 * pages) + ")" : "";
  const std::string some = rows < 1 ? " WHERE random() < " + share_text(rows) : "";
  return "SELECT " + selected_key(table) + " FROM " + from_sql(table, ComparedOn::kBlue) + sample + some +
         " ORDER BY " + joined(ordered_key(table));
}

}  // namespace teal
