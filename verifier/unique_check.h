#pragma once
#include <atomic>
#include <cstddef>
#include <vector>

#include "verifier/finding.h"
#include "verifier/side_look.h"

namespace teal {

/// How far a look at one side is, for whoever watches. Threads: any.
struct LookProgress {
  std::atomic<std::size_t> done{0};
  std::atomic<std::size_t> all{0};
};

/// Rows that a unique index or an exclusion constraint should keep apart, found without trusting the index. Looked at
/// are rules that replicated rows bypass (deferrable ones, TRAPS F5), those whose index is not valid or may be in the
/// wrong order, and, as long as a table is not large, all others; with `all` those of large tables too.
/// Errors: PgError only when the connection is of no use any more.
[[nodiscard]] std::vector<VerifyFinding> check_duplicates(SideLook& side, const SettleOptions& options, bool all,
                                                          LookProgress& progress);

}  // namespace teal
