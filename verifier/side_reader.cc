#include "verifier/side_reader.h"

#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <utility>

#include "verifier/row_stream.h"

namespace teal {
namespace {

constexpr std::size_t kPlainFields = 3;  // of plain_rows_sql, before those of the key

// From a column on.
Digest digest_at(const Rows& rows, int row, int column) {
  return {static_cast<std::uint64_t>(rows.integer(row, column)), rows.str(row, column + 1), rows.str(row, column + 2)};
}

FoundRows found_rows(const Rows& rows, std::size_t key_columns) {
  FoundRows found;
  for (int i = 0; i < rows.size(); ++i) {
    FoundRow row;
    row.digest = digest_at(rows, i, 1);
    for (std::size_t k = 0; k < key_columns; ++k) {
      const auto at = static_cast<int>(4 + k);
      row.key_is_null = row.key_is_null || rows.is_null(i, at);
      row.key.push_back(rows.str(i, at));
    }
    row.version = rows.str(i, static_cast<int>(4 + key_columns));
    found.emplace(rows.str(i, 0), std::move(row));
  }
  return found;
}

// When rows are hashed here: what a row is known by. A row without a key is known by its text, which may be large.
std::string identity(const std::vector<std::string_view>& fields) {
  if (fields.size() > kPlainFields) return std::string(fields[0]);
  const XXH128_hash_t hash = XXH3_128bits(fields[1].data(), fields[1].size());
  return std::to_string(hash.high64) + " " + std::to_string(hash.low64);
}

std::size_t slice_number(std::string_view identity, std::size_t of) {
  return of == 1 ? 0 : static_cast<std::size_t>(XXH3_64bits(identity.data(), identity.size()) % of);
}

}  // namespace

std::string SideReader::said(const char* what, const ComparedTable& table) const {
  return std::string(what) + " of " + to_string(side_ == ComparedOn::kBlue ? table.blue.name : table.green.name) +
         " on " + connection_.label();
}

// Versions are put in order: they come in that of the table's pages.
FoundRows SideReader::stream_rows(const ComparedTable& table, const std::string& where, const Slices& slices) {
  struct Gathered {
    DigestSum sum;
    KeyValues key;
    bool key_is_null = false;
    std::multiset<std::string> versions;
  };
  std::map<std::string, Gathered, std::less<>> gathered;
  RowStream rows(connection_, said("read the rows", table), plain_rows_sql(table, side_, where));
  for (std::vector<std::string_view> fields; rows.next(fields);) {
    std::string known_by = identity(fields);
    if (!std::binary_search(slices.numbers.begin(), slices.numbers.end(), slice_number(known_by, slices.of))) continue;
    Gathered& one = gathered[std::move(known_by)];
    one.sum.add(fields[1]);
    one.versions.emplace(fields[2]);
    if (!one.key.empty()) continue;
    for (std::size_t i = kPlainFields; i < fields.size(); ++i) {
      one.key_is_null = one.key_is_null || fields[i].data() == nullptr;
      one.key.emplace_back(fields[i]);
    }
  }
  FoundRows result;
  for (auto& [identity, one] : gathered) {
    FoundRow& row = result[identity];
    row.digest = one.sum.digest();
    row.key = std::move(one.key);
    row.key_is_null = one.key_is_null;
    for (const std::string& version : one.versions) row.version += (row.version.empty() ? "" : ",") + version;
  }
  return result;
}

Digest SideReader::read_digest(const ComparedTable& table, const KeyRange& range) {
  if (hashed_ == HashedIn::kClient) return read_slices(table, range, 1).front();
  return digest_at(connection_.exec(said("add up the rows", table), digest_sql(table, side_, range, form())), 0, 0);
}

std::vector<Digest> SideReader::read_slices(const ComparedTable& table, const KeyRange& range, std::size_t slices) {
  std::vector<Digest> digests(slices);
  if (hashed_ == HashedIn::kClient) {
    std::vector<DigestSum> sums(slices);
    RowStream rows(connection_, said("read the rows", table), plain_rows_sql(table, side_, range_sql(table, range)));
    for (std::vector<std::string_view> fields; rows.next(fields);) {
      sums[slices == 1 ? 0 : slice_number(identity(fields), slices)].add(fields[1]);
    }
    for (std::size_t i = 0; i < slices; ++i) digests[i] = sums[i].digest();
    return digests;
  }
  const Rows rows =
      connection_.exec(said("add up parts of the rows", table), slice_digests_sql(table, side_, range, slices, form()));
  for (int i = 0; i < rows.size(); ++i) digests[static_cast<std::size_t>(rows.integer(i, 0))] = digest_at(rows, i, 1);
  return digests;
}

FoundRows SideReader::read_rows(const ComparedTable& table, const KeyRange& range, const Slices& slices) {
  if (hashed_ == HashedIn::kClient) return stream_rows(table, range_sql(table, range), slices);
  return found_rows(connection_.exec(said("read the rows", table), rows_sql(table, side_, range, slices)),
                    table.key.size());
}

FoundRows SideReader::read_keys(const ComparedTable& table, const std::vector<KeyValues>& keys) {
  if (keys.empty()) return {};
  if (hashed_ == HashedIn::kClient) return stream_rows(table, keys_where_sql(table, keys), {{0}, 1});
  return found_rows(connection_.exec(said("read rows again", table), keys_sql(table, side_, keys)), table.key.size());
}

}  // namespace teal
