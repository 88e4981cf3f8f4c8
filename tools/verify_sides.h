#pragma once
#include <chrono>
#include <stop_token>
#include <vector>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "verifier/verifier.h"

namespace teal {

/// Those that are set up.
struct Links {
  std::vector<LinkNames> running;   ///< somebody reads their stream: what has been committed is on its way by them
  std::vector<LinkNames> standing;  ///< it waits in their slot
};

/// Errors: PgError.
[[nodiscard]] Links find_links(const Config& config, PgConnection& blue, PgConnection& green);

/// The same, but a link that is set up and not read at the moment has this long to come back.
/// Errors: PgError.
[[nodiscard]] Links wait_for_links(const Config& config, PgConnection& blue, PgConnection& green,
                                   std::chrono::milliseconds patience, const std::stop_token& stop);

/// Makes a marker for each link and waits until all have come. Returns false when the deadline or a stop came first.
/// Threads: any. Errors: PgError.
[[nodiscard]] bool pass_markers(const Config& config, const std::vector<LinkNames>& links,
                                std::chrono::steady_clock::time_point deadline, const std::stop_token& stop);

/// Marks tables that are copied at the moment, or will be, as not readable: what they lack is no difference.
/// Errors: PgError.
void leave_out_uncopied(const Config& config, PgConnection& green, std::vector<ComparedTable>& tables);

/// Servers that hash unlike each other, or keep text in another encoding, only have to send the same text. `hashed` is
/// what was wanted, and becomes what is possible; where nothing is, the tables are marked as not readable.
/// Errors: PgError.
void choose_hashes(PgConnection& blue, PgConnection& green, HashedIn& hashed, std::vector<ComparedTable>& tables);

}  // namespace teal
