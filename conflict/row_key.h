#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conflict/local_changes.h"
#include "decoder/relation.h"
#include "decoder/tuple.h"

namespace teal {

/// How the rows of one announced relation are known on both sides.
struct KeyShape {
  TableHash table;                       ///< of the table that its rows are written to: of a partition, the root
  std::vector<std::uint16_t> columns;    ///< ordinals of the key, in the order of the columns' names
  std::vector<TypeId> types;             ///< of these
  std::optional<std::uint16_t> version;  ///< ordinal of the version column
  std::size_t parts = 1;                 ///< partitions with rows that the root had when it was looked up
};

/// Of a table or partition by its name.
[[nodiscard]] KeyHash table_hash(std::string_view schema, std::string_view name);

/// The two sides may have their columns in different order, and a table may have another name in the relation than
/// `schema`.`name`, under which both sides know it (a partition's root; `relation` then has the partition's name).
/// `key`: names of the key's columns.
/// Errors: throws std::invalid_argument that names a column which the relation does not have.
[[nodiscard]] KeyShape make_key_shape(const Relation& relation, std::string_view schema, std::string_view name,
                                      const std::vector<std::string>& key, const std::string& version_column = "");

/// The row's key, equal on both sides for rows that the key's index takes for one: trailing zeros of a numeric, blanks
/// of a char(n) and the sign of a floating zero do not count. Text and binary values have different hashes: both links
/// of a migration send the same form. `row`: an image with all key columns; what it says to be unchanged is taken from
/// `old_row` (a toasted key).
[[nodiscard]] KeyHash key_hash(const KeyShape& shape, TupleView row, TupleView old_row = {});

/// The value of the version column: smallint, integer, bigint. NULL or not sent: kNoVersion.
/// Errors: throws std::invalid_argument for what is no such number.
[[nodiscard]] std::int64_t row_version(const KeyShape& shape, TupleView row);

}  // namespace teal
