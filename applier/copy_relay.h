#pragma once
#include <atomic>
#include <cstdint>
#include <stop_token>
#include <string>

#include "applier/rate_limit.h"
#include "engine/pg_connection.h"

namespace teal {

/// What a copy has moved so far, and how fast it may. Threads: any.
struct CopyCounters {
  explicit CopyCounters(std::uint64_t max_rate) : rate(max_rate) {}

  std::atomic<std::uint64_t> rows{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<int> tables_done{0};
  RateLimit rate;  ///< of all jobs together
};

struct CopiedRows {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
};

/// Moves one table's rows: the source's COPY TO STDOUT straight into the target's COPY FROM STDIN, without parsing.
/// Units: the rows that the target took, which are the rows that the source sent; bytes as they travel, at most as fast
/// as `counters.rate` allows. Errors: PgError; Stopped(kData) when the two counts differ. The target's transaction has
/// to be rolled back then.
CopiedRows relay_copy(PgConnection& source, const std::string& copy_out, PgConnection& target,
                      const std::string& copy_in, CopyCounters& counters);

}  // namespace teal
