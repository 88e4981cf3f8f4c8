#pragma once
#include <cstddef>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/key_range.h"

namespace teal {

/// Cuts a table into ranges of about `rows` rows by a sample of blue's keys, without counting anything. The first
/// begins and the last ends openly, so rows outside of the sample, and those that only green has, belong to one as
/// well. A table without a key is one range. Errors: PgError.
[[nodiscard]] std::vector<KeyRange> plan_ranges(PgConnection& blue, const ComparedTable& table, std::size_t rows);

}  // namespace teal
