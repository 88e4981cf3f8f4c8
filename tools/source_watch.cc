#include "tools/source_watch.h"

#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kForecastOver{60};
constexpr seconds kForecastAtLeast{5};  // what is seen of less says nothing
constexpr seconds kAskForSlot{5};
constexpr seconds kConnectAgain{1};
constexpr seconds kTellAgain{30};
constexpr seconds kAnswerWithin{5};
constexpr seconds kStalled{10};
constexpr int kTellFailure = 2;  // in a row: a session that was ended is made again at once

}  // namespace

void SlotForecast::note(Clock::time_point now, std::int64_t safe_wal_bytes) {
  seen_.push_back({now, safe_wal_bytes});
  while (seen_.size() > 2 && now - seen_[1].at >= kForecastOver) seen_.pop_front();
}

std::optional<seconds> SlotForecast::lost_in() const {
  if (seen_.empty()) return std::nullopt;
  const Seen& last = seen_.back();
  if (last.bytes <= 0) return seconds(0);
  const Seen& first = seen_.front();
  if (last.at - first.at < kForecastAtLeast || last.bytes >= first.bytes) return std::nullopt;
  const double elapsed = std::chrono::duration<double>(last.at - first.at).count();
  const double rate = static_cast<double>(first.bytes - last.bytes) / elapsed;
  return seconds(static_cast<std::int64_t>(static_cast<double>(last.bytes) / rate));
}

SourceWatch::SourceWatch(const Config& config, const LinkNames& names, Link& link, std::stop_token stop)
    : names_(names),
      link_(link),
      stop_(std::move(stop)),
      connect_(connect_options(config, names.link == kBlueToGreen, "watch")),
      alarm_below_(config.alerts.slot_loss_in) {
  connect_.answer_within = kAnswerWithin;
}

void SourceWatch::look() {
  try {
    if (!session_lives()) return;
    const auto now = Clock::now();
    if (now - asked_ < kAskForSlot) return;
    asked_ = now;
    look_at_slot(now);
    if (std::exchange(failures_, 0) >= kTellFailure) {
      log_event(LogLevel::kInfo, "slot is watched again", {{"link", names_.link}, {"slot", names_.slot()}});
    }
  } catch (const PgError& error) {
    session_.reset();
    if (++failures_ == kTellFailure) {
      log_event(LogLevel::kWarn, "slot is not watched, trying again",
                {{"link", names_.link}, {"slot", names_.slot()}, {"reason", error.what()}});
    }
    if (PgConnection::refuses_sessions(connect_)) link_.let_source_go();
  }
}

// Connects at once when the session ended, because a source that waits for us ends it first; then once a second.
bool SourceWatch::session_lives() {
  if (session_ && session_->alive()) return true;
  const auto now = Clock::now();
  if (!session_ && now - tried_ < kConnectAgain) return false;
  session_.reset();
  tried_ = now;
  session_ = PgConnection::connect(connect_);
  session_->set_stop_token(stop_);
  return true;
}

void SourceWatch::look_at_slot(Clock::time_point now) {
  const std::optional<SlotFacts> slot = read_slot(*session_, names_.slot());
  if (!slot || !slot->safe_wal_bytes) return;  // a missing one is the link's to tell, when it stops
  forecast_.note(now, *slot->safe_wal_bytes);
  tell(*slot, now);
}

void SourceWatch::tell(const SlotFacts& slot, Clock::time_point now) {
  const std::optional<seconds> lost_in = forecast_.lost_in();
  // At its next checkpoint the source ends the walsender, and waits until it is gone; one whose reader takes nothing
  // does not go (seen on 15). The slot is lost then with or without us; a source that cannot checkpoint would be too.
  if (lost_in == seconds(0) && link_.progress().stalled_for() > kStalled) {
    log_event(LogLevel::kWarn, "hung up: the target stands still, and the source is about to give up the slot",
              {{"link", names_.link}, {"slot", names_.slot()}});
    link_.let_source_go();
  }
  if (!lost_in || *lost_in >= alarm_below_) {
    if (told_) log_event(LogLevel::kInfo, "slot is safe again", {{"link", names_.link}, {"slot", names_.slot()}});
    told_.reset();
    return;
  }
  if (told_ && now - *told_ < kTellAgain) return;
  told_ = now;
  log_event(LogLevel::kWarn,
            "slot may be lost: the link has to catch up, or raise max_slot_wal_keep_size on the source",
            {{"link", names_.link},
             {"slot", names_.slot()},
             {"seconds", lost_in->count()},
             {"safe_wal_bytes", *slot.safe_wal_bytes},
             {"wal_status", slot.wal_status}});
}

}  // namespace teal
