#include "verifier/side_reader.h"

#include <utility>

namespace teal {
namespace {

// From a column on.
Digest digest_at(const Rows& rows, int row, int column) {
  return {static_cast<std::uint64_t>(rows.integer(row, column)), rows.str(row, column + 1), rows.str(row, column + 2)};
}

FoundRows found_rows(const Rows& rows, std::size_t key_columns) {
  FoundRows found;
  for (int i = 0; i < rows.size(); ++i) {
    FoundRow row;
    row.digest = digest_at(rows, i, 1);
    for (std::size_t k = 0; k < key_columns; ++k) row.key.push_back(rows.str(i, static_cast<int>(4 + k)));
    row.version = rows.str(i, static_cast<int>(4 + key_columns));
    found.emplace(rows.str(i, 0), std::move(row));
  }
  return found;
}

}  // namespace

std::string SideReader::said(const char* what, const ComparedTable& table) const {
  return std::string(what) + " of " + to_string(side_ == ComparedOn::kBlue ? table.blue.name : table.green.name) +
         " on " + connection_.label();
}

Digest SideReader::read_digest(const ComparedTable& table, const KeyRange& range) {
  return digest_at(connection_.exec(said("add up the rows", table), digest_sql(table, side_, range)), 0, 0);
}

std::vector<Digest> SideReader::read_slices(const ComparedTable& table, const KeyRange& range, std::size_t slices) {
  const Rows rows =
      connection_.exec(said("add up parts of the rows", table), slice_digests_sql(table, side_, range, slices));
  std::vector<Digest> digests(slices);
  for (int i = 0; i < rows.size(); ++i) digests[static_cast<std::size_t>(rows.integer(i, 0))] = digest_at(rows, i, 1);
  return digests;
}

FoundRows SideReader::read_rows(const ComparedTable& table, const KeyRange& range, std::size_t slice,
                                std::size_t slices) {
  return found_rows(connection_.exec(said("read the rows", table), rows_sql(table, side_, range, slice, slices)),
                    table.key.size());
}

FoundRows SideReader::read_keys(const ComparedTable& table, const std::vector<KeyValues>& keys) {
  if (keys.empty()) return {};
  return found_rows(connection_.exec(said("read rows again", table), keys_sql(table, side_, keys)), table.key.size());
}

}  // namespace teal
