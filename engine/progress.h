#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

#include "decoder/lsn.h"

namespace teal {

/// Where one link stands: what its two threads tell each other besides the queue.
/// Threads: any; each value has one writer (named). Positions only grow within a session.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// A new session begins: what an earlier one knew about source and target counts no more. Before its threads start.
  void reset() {
    received_ = 0;
    durable_ = 0;
    behind_ = false;
    source_leaves_ = false;
    stalled_since_ = Clock::rep{0};
    advanced_ = false;
  }

  /// END of what the receiver has taken off the wire. Writer: receiver.
  [[nodiscard]] Lsn received() const { return Lsn{received_.load(std::memory_order_relaxed)}; }
  void set_received(Lsn lsn) { raise(received_, lsn); }

  /// Covered by a flushed progress row on the target: what feedback acknowledges. Writer: applier.
  [[nodiscard]] Lsn durable() const { return Lsn{durable_.load(std::memory_order_acquire)}; }
  void set_durable(Lsn lsn) { raise(durable_, lsn); }

  /// The receiver's last reads were limited by itself, not by the source. Writer: receiver.
  [[nodiscard]] bool behind() const { return behind_.load(std::memory_order_relaxed); }
  void set_behind(bool behind) { behind_.store(behind, std::memory_order_relaxed); }

  /// For how long the applier has taken nothing from a receiver that has something for it; zero: nothing waits. Without
  /// an observer the receiver takes nothing off the wire meanwhile. Writer: receiver.
  [[nodiscard]] Clock::duration stalled_for() const {
    const Clock::duration since(stalled_since_.load(std::memory_order_relaxed));
    return since.count() == 0 ? since : Clock::now().time_since_epoch() - since;
  }
  void set_stalled(bool stalled) { stalled_since_ = stalled ? Clock::now().time_since_epoch().count() : 0; }

  /// The target's progress row has moved in this session. Writer: applier.
  [[nodiscard]] bool advanced() const { return advanced_.load(std::memory_order_relaxed); }
  void set_advanced() { advanced_ = true; }

  /// The source is shutting down, and waits for its walsender: the receiver hangs up. Writer: any thread.
  [[nodiscard]] bool source_leaves() const { return source_leaves_.load(std::memory_order_relaxed); }
  void set_source_leaves() { source_leaves_ = true; }

 private:
  static void raise(std::atomic<std::uint64_t>& value, Lsn lsn) {
    if (lsn.value > value.load(std::memory_order_relaxed)) value.store(lsn.value, std::memory_order_release);
  }

  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> durable_{0};
  std::atomic<bool> behind_{false};
  std::atomic<bool> source_leaves_{false};
  std::atomic<bool> advanced_{false};
  std::atomic<Clock::rep> stalled_since_{0};
};

}  // namespace teal
