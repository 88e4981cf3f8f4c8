#pragma once
#include <stop_token>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/finding.h"

namespace teal {

/// Sequences that would draw again what a column of the tables holds, on each side: they are behind. On a side that
/// applications write this makes their inserts fail, and the sides count as different; on the other it is how things
/// are until the sequences are set, and matters. Connections of its own. What fails is a finding that was not checked.
[[nodiscard]] std::vector<VerifyFinding> check_verified_sequences(const Config& config, const ConnectOptions& blue,
                                                                  const ConnectOptions& green,
                                                                  const std::vector<ComparedTable>& tables,
                                                                  const std::stop_token& stop);

}  // namespace teal
