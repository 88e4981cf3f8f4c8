#include "verifier/row_hash.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace teal {
namespace {

// They are nested, and servers limit how deep expressions go.
constexpr std::size_t kMixedMost = 32;

// By their places in the table.
struct Parts {
  std::vector<std::size_t> mixed;
  std::vector<std::size_t> fields;
};

Parts parts_of(const ComparedTable& table) {
  Parts parts;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const ValueHash& hash = table.values[i];
    const bool fetched_twice = table.long_rows && hash.can_be_long();
    const bool mixed = hash.can_be_mixed() && !fetched_twice && parts.mixed.size() < kMixedMost;
    (mixed ? parts.mixed : parts.fields).push_back(i);
  }
  return parts;
}

// Under a name of our own: a column may be called like one of ours.
std::string input(std::size_t i) { return "c" + std::to_string(i); }

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

bool in_key(const ComparedTable& table, std::size_t i) {
  return std::any_of(table.key.begin(), table.key.end(),
                     [&](const ComparedKey& key) { return quote_identifier(key.name) == table.columns[i]; });
}

// Of fields that are all NULL the server's hash is 0, whatever its seed: one that is not carries the seed on.
std::string record(const std::vector<std::string>& fields) { return "ROW(" + joined(fields) + ", 0)"; }

std::string hash_of_record(const std::vector<std::string>& fields, const std::string& seed) {
  return "hash_record_extended(" + record(fields) + ", " + seed + ")";
}

// NULL when one of the values is.
std::string mixed(const ComparedTable& table, const std::vector<std::size_t>& columns, const std::string& seed) {
  std::vector<std::size_t> added;
  std::vector<std::size_t> others;
  for (const std::size_t i : columns) (table.values[i].is_added() ? added : others).push_back(i);
  std::string state = seed;
  for (std::size_t k = 0; k < std::max(added.size(), others.size()); ++k) {
    if (k < added.size()) state = table.values[added[k]].mixed("s." + input(added[k]), state);
    state = k < others.size() ? table.values[others[k]].mixed("s." + input(others[k]), state)
                              : "hashint4extended(0, " + state + ")";
  }
  return state;
}

// The same columns of rows in which one of them is NULL.
std::string with_nulls(const ComparedTable& table, const std::vector<std::size_t>& columns, const std::string& seed) {
  std::vector<std::string> fields;
  std::vector<std::string> key;
  for (const std::size_t i : columns) {
    fields.push_back(table.values[i].field("s." + input(i)));
    if (in_key(table, i)) key.push_back(fields.back());
  }
  return hash_of_record(fields, key.empty() ? seed : hash_of_record(key, seed));
}

}  // namespace

std::string row_hash_inputs_sql(const ComparedTable& table) {
  const Parts parts = parts_of(table);
  std::vector<std::string> inputs;
  inputs.reserve(parts.mixed.size() + 2);
  for (const std::size_t i : parts.mixed) inputs.push_back("t." + table.columns[i] + " AS " + input(i));
  if (parts.fields.empty()) return joined(inputs);
  std::vector<std::string> fields;
  std::vector<std::string> key;
  for (const std::size_t i : parts.fields) {
    fields.push_back(table.values[i].field("t." + table.columns[i]));
    if (in_key(table, i)) key.push_back(fields.back());
  }
  inputs.push_back(record(fields) + " AS fields");
  // A key that is mixed in begins the hash by itself.
  if (!key.empty()) inputs.push_back(hash_of_record(key, "1") + " AS seed");
  return joined(inputs);
}

std::string row_hash_sql(const ComparedTable& table, const std::string& seed) {
  const Parts parts = parts_of(table);
  const bool key_in_fields =
      std::any_of(parts.fields.begin(), parts.fields.end(), [&](std::size_t i) { return in_key(table, i); });
  std::string state = key_in_fields ? "(s.seed # " + seed + ")" : seed;
  if (!parts.mixed.empty()) {
    state = "coalesce(" + mixed(table, parts.mixed, state) + ", " + with_nulls(table, parts.mixed, state) + ")";
  }
  return parts.fields.empty() ? state : "hash_record_extended(s.fields, " + state + ")";
}

}  // namespace teal
