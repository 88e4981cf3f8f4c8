#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "verifier/compared_table.h"
#include "verifier/key_range.h"

namespace teal {

/// Which side's names a text of SQL uses.
enum class ComparedOn { kBlue, kGreen };

/// Some of the parts that a range's rows fall into by their identity.
struct Slices {
  std::vector<std::size_t> numbers;  ///< from 0
  std::size_t of = 1;
};

/// A row's canonical form, as an expression: the text of a record of all compared columns. It tells every list of
/// values from every other: fields are quoted and separated, NULL is nothing at all and an empty text is `""`. Source:
/// PostgreSQL manual, "Composite Type Input and Output Syntax". A record may have 1,664 columns; a function's arguments
/// end at 100 (TRAPS K6).
[[nodiscard]] std::string row_image_sql(const ComparedTable& table);

/// What a sum of rows adds up the hashes of.
enum class RowForm {
  kValues,  ///< the values as they are: less work, and needs PostgreSQL 14 on both sides; with a key only, else kText
  kText,    ///< the row's canonical form
};

/// ` WHERE ...` for a range: text is compared by its bytes, whatever the collations of the two servers (TRAPS K5);
/// "" for all rows.
[[nodiscard]] std::string range_sql(const ComparedTable& table, const KeyRange& range);

/// One row: how many rows the range has, and the sums of their two hashes. Where two sums of values are the same, so
/// are those of the canonical forms; where they are not, only the canonical forms decide.
[[nodiscard]] std::string digest_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range, RowForm form);

/// The same for each of `slices` parts of the range, numbered from 0 in the first column. A row's part follows from its
/// key, or, without one, from the row.
[[nodiscard]] std::string slice_digests_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range,
                                            std::size_t slices, RowForm form);

/// The rows of some slices, one result row for each key (without a key: for each different row): its identity, how many
/// rows have it, the sums of their hashes, the key's values, and last what tells whether one of them was written
/// between two readings: where it lies, and which transaction wrote it.
[[nodiscard]] std::string rows_sql(const ComparedTable& table, ComparedOn side, const KeyRange& range,
                                   const Slices& slices);

/// The rows with one of these keys, in the same form.
[[nodiscard]] std::string keys_sql(const ComparedTable& table, ComparedOn side, const std::vector<KeyValues>& keys);

/// The rows themselves, for hashes in the client: identity, image, what tells whether it was written, the key's values.
/// All are text.
[[nodiscard]] std::string plain_rows_sql(const ComparedTable& table, ComparedOn side, const std::string& where);

/// ` WHERE ...` for the rows with one of these keys.
[[nodiscard]] std::string keys_where_sql(const ComparedTable& table, const std::vector<KeyValues>& keys);

/// The key of blue's row that comes `rows` rows after the first one of the range; no row when there are fewer.
[[nodiscard]] std::string bound_sql(const ComparedTable& table, const KeyRange& range, std::size_t rows);

/// Keys of blue's rows in the order of ranges: of about this share of its pages (0 to 1), this share of the rows.
[[nodiscard]] std::string sample_sql(const ComparedTable& table, double pages, double rows);

}  // namespace teal
