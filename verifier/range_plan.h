#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/key_range.h"

namespace teal {

/// Cuts a table into ranges of about `rows` rows by a sample of blue's keys, without counting anything. The first
/// begins and the last ends openly, so rows outside of the sample, and those that only green has, belong to one as
/// well. A table without a key is one range. Errors: PgError.
[[nodiscard]] std::vector<KeyRange> plan_ranges(PgConnection& blue, const ComparedTable& table, std::size_t rows);

/// Where the first part of `rest` ends when it is to have `rows` rows of blue: found by the index alone, while a plan
/// reads a part of the table. nullopt: it has no more. A table that is not `ranged` is one range. Errors: PgError.
[[nodiscard]] std::optional<KeyValues> next_bound(PgConnection& blue, const ComparedTable& table, const KeyRange& rest,
                                                  std::size_t rows);

}  // namespace teal
