#pragma once
#include <stop_token>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/finding.h"
#include "verifier/side_look.h"
#include "verifier/unique_check.h"

namespace teal {

struct BeyondRowsOptions {
  ConnectOptions blue;
  ConnectOptions green;
  SettleOptions settle;
  bool all_unique = false;  ///< unique indexes of large tables too
  std::stop_token stop;
};

/// Looks at what rows do not show: definitions, collations, duplicates and orphans, with a session of its own on either
/// side, both at the same time. What fails, whatever for, is a finding that was not checked.
/// Threads: its own; returns when they have ended.
[[nodiscard]] std::vector<VerifyFinding> look_beyond_rows(const BeyondRowsOptions& options,
                                                          const std::vector<ComparedTable>& tables,
                                                          LookProgress& progress);

}  // namespace teal
