#pragma once
#include <algorithm>

#include "conflict/local_changes.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

namespace teal {

/// Gives the commits of one side's stream what they are compared by: a time that never goes back, and what the side
/// had seen of the other one. Both links take the values of a change from the change's own stream, so they agree.
/// Threads: one.
class StreamClock {
 public:
  StreamClock() = default;
  /// Begins where a stream begins: with what was known there.
  StreamClock(Timestamp time, Lsn seen) : time_(time), seen_(seen) {}

  /// An application's commit (or one that the side has from elsewhere), in commit order.
  LocalCommit stamp(Lsn lsn, Timestamp commit_time) {
    time_ = std::max(time_, commit_time);
    return {lsn, time_, seen_};
  }
  /// A commit of teal's own: the progress row in it says up to where the other side had been applied here.
  void echo(Lsn applied) { seen_ = std::max(seen_, applied); }

  [[nodiscard]] Timestamp time() const { return time_; }
  [[nodiscard]] Lsn seen() const { return seen_; }

 private:
  Timestamp time_{};
  Lsn seen_;
};

}  // namespace teal
