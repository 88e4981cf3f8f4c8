#pragma once
#include <string>

#include "verifier/compared_table.h"

namespace teal {

/// A row's hash of 64 bits by its values, which takes a half to two thirds of what a hash of its text does.
///
/// Columns of types that can be are mixed in one after the other, each into what came of those before; the others are
/// fields of a record, whose hash begins from that. The hash of a record is a weighted sum of its fields', so that over
/// many rows values could change places unseen: hence it never ends a row's hash without the key having begun it.
/// The table has to have a key. Needs PostgreSQL 14. Source: PostgreSQL, hash_record_extended.

/// What `row_hash_sql` needs of a row `t`, for the list of a SELECT that is to be named `s`; never empty.
[[nodiscard]] std::string row_hash_inputs_sql(const ComparedTable& table);

/// Hashes of different seeds have nothing to do with each other. `seed`: of 64 bits, written in decimal.
[[nodiscard]] std::string row_hash_sql(const ComparedTable& table, const std::string& seed);

}  // namespace teal
