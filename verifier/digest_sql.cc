#include "verifier/digest_sql.h"

#include <array>
#include <cstdio>

namespace teal {
namespace {

constexpr const char* kLowSeed = "1";
constexpr const char* kHighSeed = "2";
constexpr const char* kSliceSeed = "3";
constexpr const char* kVersion = "t.tableoid || ' ' || t.ctid || ' ' || t.xmin";

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
    parts.push_back("t." + key.name + by_text + by_bytes);
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

// What a row is known by: its key, or all of it.
std::string identity(const ComparedTable& table) {
  if (table.key.empty()) return row_image_sql(table);
  std::vector<std::string> parts;
  parts.reserve(table.key.size());
  for (const ComparedKey& key : table.key) parts.push_back("t." + key.name);
  return "ROW(" + joined(parts) + ")::text COLLATE \"C\"";
}

std::string hash(const std::string& text, const char* seed) { return "hashtextextended(" + text + ", " + seed + ")"; }

std::string sums() {
  return "count(*), coalesce(sum(" + hash("s.image", kLowSeed) + "), 0), coalesce(sum(" + hash("s.image", kHighSeed) +
         "), 0)";
}

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
    text += ", t." + table.key[i].name + " AS k" + std::to_string(i);
  }
  return text;
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
  return text;
}

// OFFSET 0 keeps the planner from writing the image's expression twice, once for each hash.
std::string digest_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range) {
  return "SELECT " + sums() + " FROM (SELECT " + row_image_sql(table) + " AS image FROM " + from_sql(table, side) +
         range_sql(table, range) + " OFFSET 0) AS s";
}

std::string slice_digests_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range, std::size_t slices) {
  return "SELECT s.slice, " + sums() + " FROM (SELECT " + slice_of(identity(table), slices) + " AS slice, " +
         row_image_sql(table) + " AS image FROM " + from_sql(table, side) + range_sql(table, range) +
         " OFFSET 0) AS s GROUP BY 1";
}

std::string rows_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range, const Slices& slices) {
  std::string where = range_sql(table, range);
  if (slices.numbers.size() < slices.of) {
    std::string numbers;
    for (const std::size_t number : slices.numbers) numbers += (numbers.empty() ? "" : ", ") + std::to_string(number);
    where += (where.empty() ? " WHERE " : " AND ") + slice_of(identity(table), slices.of) + " IN (" + numbers + ")";
  }
  return by_identity(table, side, where);
}

std::string keys_where_sql(const ComparedTable& table, const std::vector<KeyValues>& keys) {
  std::string values;
  for (const KeyValues& key : keys) values += (values.empty() ? "(" : ", (") + joined(literals(table, key)) + ")";
  std::vector<std::string> plain;
  plain.reserve(table.key.size());
  for (const ComparedKey& key : table.key) plain.push_back("t." + key.name);
  return " WHERE " + list(plain) + " IN (VALUES " + values + ")";
}

std::string keys_sql(const ComparedTable& table, ComparedOn side, const std::vector<KeyValues>& keys) {
  return by_identity(table, side, keys_where_sql(table, keys));
}

std::string plain_rows_sql(const ComparedTable& table, ComparedOn side, const std::string& where) {
  std::string keys;
  for (const ComparedKey& key : table.key) keys += ", t." + key.name + "::text";
  return "SELECT " + identity(table) + ", " + row_image_sql(table) + ", " + std::string(kVersion) + keys + " FROM " +
         from_sql(table, side) + where;
}

std::string sample_sql(const ComparedTable& table, double pages, double rows) {
  std::string columns;
  for (const ComparedKey& key : table.key) columns += (columns.empty() ? "t." : ", t.") + key.name + "::text";
  const std::string sample = pages < 1 ? " TABLESAMPLE SYSTEM (" + share_text(100 * pages) + ")" : "";
  const std::string some = rows < 1 ? " WHERE random() < " + share_text(rows) : "";
  return "SELECT " + columns + " FROM " + from_sql(table, ComparedOn::kBlue) + sample + some + " ORDER BY " +
         joined(ordered_key(table));
}

}  // namespace teal
