#pragma once
#include <set>
#include <stop_token>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "tools/preflight.h"
#include "tools/sequence_facts.h"

namespace teal {

/// What keeps the sequences that both sides would draw the same numbers from (the others need nothing) from being
/// interleaved, each with its mend. `blue_role`, `green_role`: teal's.
[[nodiscard]] std::vector<Finding> find_interleaving_problems(const SequencePairs& sequences,
                                                              const std::string& blue_role,
                                                              const std::string& green_role);

/// With `sequences.interleave`: has each side draw every other number of each sequence that columns of `tables` draw
/// from on both. What the sequences were is noted in teal.sequence_state, in the transaction that changes them. Safe to
/// repeat; what is interleaved stays as it is. Before applications may write these tables on green.
/// Waits for open transactions that have drawn from a sequence, and holds up nobody else for longer than
/// twice `apply.lock_timeout`.
/// Errors: Stopped(kRefused) with everything that find_interleaving_problems finds; Interrupted; PgError.
void interleave_sequences(const Config& config, PgConnection& blue, PgConnection& green,
                          const std::set<TableName>& tables, const std::stop_token& stop);

}  // namespace teal
