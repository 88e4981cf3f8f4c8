#pragma once
#include <chrono>
#include <cstdint>
#include <random>

#include "engine/pg_error.h"

namespace teal {

enum class LinkPhase { kConnecting, kStreaming, kBackingOff, kDraining, kStopped };

[[nodiscard]] const char* to_string(LinkPhase phase);

struct BackoffOptions {
  std::chrono::milliseconds first{100};
  std::chrono::milliseconds most{10'000};
  /// A stream that lived this long was healthy: the next failure begins with `first` again.
  std::chrono::milliseconds healthy_after{10'000};
};

/// When a link connects, waits, drains and ends. It does no I/O and reads no clock: events and times go in, the phase
/// and the time to wait come out, so that its rules are tested without a server.
///
///   Connecting -> Streaming -> Draining -> Stopped
///       ^  \          |                      ^
///       |   \         v                      |
///       +--- BackingOff ---------------------+   (a stop, or a failure that only the operator can end)
///
/// Threads: one.
class LinkState {
 public:
  using Clock = std::chrono::steady_clock;

  /// `seed` spreads the waits of many links that fail together.
  LinkState(BackoffOptions options, std::uint64_t seed) : options_(options), random_(seed) {}

  [[nodiscard]] LinkPhase phase() const { return phase_; }
  /// How long to stay in kBackingOff.
  [[nodiscard]] std::chrono::milliseconds backoff() const { return backoff_; }
  [[nodiscard]] unsigned reconnects() const { return reconnects_; }

  void connected(Clock::time_point now);
  /// Something was applied: whatever fails next is not what failed before.
  void progressed() { progressed_ = true; }
  /// Connecting or streaming failed and may be tried again. `starved`: the server lacks a resource (SQLSTATE class 53);
  /// the same work, done again, fails at the same place, so the waits get longer however long it took to get there.
  void failed(Clock::time_point now, bool starved = false);
  /// What was read has to be read again, at once: nothing is wrong with the servers.
  void replay();
  void waited();
  /// Trying again cannot help.
  void stopped();
  void stop_requested();
  void drained();

 private:
  BackoffOptions options_;
  std::mt19937_64 random_;
  LinkPhase phase_ = LinkPhase::kConnecting;
  Clock::time_point connected_at_;
  std::chrono::milliseconds backoff_{0};
  bool progressed_ = false;  // since the last failure
  unsigned failures_ = 0;
  unsigned reconnects_ = 0;
};

}  // namespace teal
