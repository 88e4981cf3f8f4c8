#include "applier/contention.h"

#include "decoder/lsn.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstTold{2'000};
constexpr milliseconds kToldAgain{10'000};

auto ms(std::chrono::steady_clock::duration time) { return std::chrono::duration_cast<milliseconds>(time).count(); }

}  // namespace

bool is_contention(std::string_view sqlstate) {
  return sqlstate == "55P03" || sqlstate == "40P01" || sqlstate == "40001";
}

void Contention::give_way(const GivenUp& given_up, const std::stop_token& stop) {
  const auto now = Clock::now();
  if (retries_ == 0) since_ = now;
  ++retries_;
  if (!given_up.late) pace_.gave_way(given_up.transactions, given_up.out_of_time);
  tell(given_up, now);
  if (!pause_for(pace_.pause(), stop)) throw PgError("rest before the next attempt", "it is time to stop", "57014");
}

void Contention::tell(const GivenUp& given_up, Clock::time_point now) {
  const bool first = told_ < since_;
  if (now - (first ? since_ : told_) < (first ? kFirstTold : kToldAgain)) return;
  told_ = now;
  log_event(LogLevel::kWarn, "held up by other sessions on the target, trying again",
            {{"link", link_},
             {"ms", ms(now - since_)},
             {"attempts", retries_},
             {"transactions", given_up.transactions},
             {"commit", given_up.first == nullptr ? "none" : to_string(given_up.first->final_lsn)},
             {"reason", given_up.reason}});
}

void Contention::went_through() {
  if (retries_ > 0 && told_ >= since_) {
    log_event(LogLevel::kInfo, "not held up any more",
              {{"link", link_}, {"ms", ms(Clock::now() - since_)}, {"attempts", retries_}});
  }
  retries_ = 0;
  pace_.went_through();
}

}  // namespace teal
