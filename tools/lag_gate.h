#pragma once
#include <chrono>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// Which of these links lags by more than `verify.max_lag`, in words; "": none does. By both servers, because a source
/// whose decoding is behind is not known to the link. Errors: PgError.
[[nodiscard]] std::string lagging(const Config& config, PgConnection& blue, PgConnection& green,
                                  const std::vector<LinkNames>& links);

/// Has those who read both sides wait while a link lags, so that what they cost the servers is not in its way. It
/// opens by itself after ten minutes, because then it is not they whom the link waits for. Threads: any.
class LagGate {
 public:
  /// Lifetime: `config` outlives it.
  LagGate(const Config& config, std::vector<LinkNames> links, std::stop_token stop)
      : config_(config), links_(std::move(links)), stop_(std::move(stop)) {}

  /// Returns at once when no link lags, or when that was seen a moment ago. Errors: PgError.
  void pass(PgConnection& blue, PgConnection& green);

 private:
  using Clock = std::chrono::steady_clock;

  const Config& config_;
  const std::vector<LinkNames> links_;
  const std::stop_token stop_;
  std::mutex mutex_;           // held while it is closed
  Clock::time_point look_at_;  // guarded by mutex_
  bool useless_ = false;       // guarded by mutex_: it was closed for as long as it may be
};

}  // namespace teal
