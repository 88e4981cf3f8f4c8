#include "engine/link_state.h"

#include <algorithm>
#include <utility>

namespace teal {

const char* to_string(LinkPhase phase) {
  switch (phase) {
    case LinkPhase::kConnecting:
      return "connecting";
    case LinkPhase::kStreaming:
      return "streaming";
    case LinkPhase::kBackingOff:
      return "backing off";
    case LinkPhase::kDraining:
      return "draining";
    case LinkPhase::kStopped:
      return "stopped";
  }
  return "";
}

void LinkState::connected(Clock::time_point now) {
  if (phase_ != LinkPhase::kConnecting) return;
  phase_ = LinkPhase::kStreaming;
  connected_at_ = now;
}

void LinkState::failed(Clock::time_point now, bool starved) {
  if (phase_ == LinkPhase::kStopped) return;
  if (phase_ == LinkPhase::kDraining) {  // nothing is lost by ending: what was not applied is read again next time
    phase_ = LinkPhase::kStopped;
    return;
  }
  const bool lived = phase_ == LinkPhase::kStreaming && now - connected_at_ >= options_.healthy_after;
  const bool healthy = lived || std::exchange(progressed_, false);
  if (healthy && !starved) failures_ = 0;
  const unsigned doublings = std::min(failures_, 20U);
  const auto wait = std::min(options_.most, options_.first * (std::int64_t{1} << doublings));
  std::uniform_real_distribution<double> jitter(0.8, 1.2);
  backoff_ = std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(wait.count()) * jitter(random_)));
  ++failures_;
  ++reconnects_;
  phase_ = LinkPhase::kBackingOff;
}

void LinkState::replay() {
  if (phase_ == LinkPhase::kStreaming) phase_ = LinkPhase::kConnecting;
  if (phase_ == LinkPhase::kDraining) phase_ = LinkPhase::kStopped;
}

void LinkState::waited() {
  if (phase_ == LinkPhase::kBackingOff) phase_ = LinkPhase::kConnecting;
}

void LinkState::stopped() { phase_ = LinkPhase::kStopped; }

void LinkState::stop_requested() {
  if (phase_ == LinkPhase::kStreaming) {
    phase_ = LinkPhase::kDraining;
  } else if (phase_ != LinkPhase::kDraining) {
    phase_ = LinkPhase::kStopped;
  }
}

void LinkState::drained() { phase_ = LinkPhase::kStopped; }

}  // namespace teal
