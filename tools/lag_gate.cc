#include "tools/lag_gate.h"

#include "engine/log.h"
#include "engine/pause.h"

namespace teal {
namespace {

constexpr std::chrono::seconds kLookAround{2};
constexpr std::chrono::milliseconds kPause{500};
constexpr std::chrono::minutes kClosedMost{10};

}  // namespace

std::string lagging(const Config& config, PgConnection& blue, PgConnection& green,
                    const std::vector<LinkNames>& links) {
  if (config.verify.max_lag.count() == 0) return "";
  for (const LinkNames& link : links) {
    const bool forward = link.link == kBlueToGreen;
    PgConnection& source = forward ? blue : green;
    PgConnection& target = forward ? green : blue;
    const Rows row = target.exec_often("look how far the link is",
                                       "SELECT applied, coalesce(counters ->> 'fresh_at', updated_at::text) FROM "
                                       "teal.progress WHERE migration = $1 AND link = $2 AND lane = 0",
                                       {link.migration, link.link});
    if (row.empty()) return "link " + link.link + " has no progress row";
    const Rows behind =
        source.exec_often("look how far the link lags",
                          "SELECT $1::pg_lsn < pg_current_wal_insert_lsn() AND clock_timestamp() - "
                          "$2::timestamptz > $3::int8 * interval '1 millisecond'",
                          {row.str(0, 0), row.str(0, 1), std::to_string(config.verify.max_lag.count())});
    if (behind.boolean(0, 0)) return "link " + link.link + " lags";
  }
  return "";
}

void LagGate::pass(PgConnection& blue, PgConnection& green) {
  const std::scoped_lock lock(mutex_);
  if (useless_ || Clock::now() < look_at_) return;
  std::string reason = lagging(config_, blue, green, links_);
  if (!reason.empty()) {
    log_event(LogLevel::kWarn,
              "the comparison waits for the link, for ten minutes at most (verify.max_lag); see teal status",
              {{"reason", reason}});
    const Clock::time_point open_at = Clock::now() + kClosedMost;
    while (!reason.empty() && Clock::now() < open_at && pause_for(kPause, stop_)) {
      reason = lagging(config_, blue, green, links_);
    }
    useless_ = !reason.empty();
    if (useless_ && !stop_.stop_requested()) {
      log_event(LogLevel::kWarn, "the comparison goes on though the link still lags: waiting did not help it",
                {{"reason", reason}, {"waited", "10m"}});
    }
  }
  look_at_ = Clock::now() + kLookAround;
}

}  // namespace teal
