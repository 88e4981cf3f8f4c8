#include "engine/queue_inlet.h"

#include <algorithm>
#include <utility>

#include "engine/log.h"

namespace teal {
namespace {

// Slices that one call of `refill` moves at most: some milliseconds of work.
constexpr int kMovedAtOnce = 1024;

}  // namespace

QueueInlet::QueueInlet(QueueInletOptions options, TransactionQueue& queue, Progress& progress)
    : options_(std::move(options)), queue_(queue), progress_(progress), spill_(options_.spill) {
  if (options_.spill.bytes_max == 0) refused_ = "apply.spill_bytes_max is 0";
}

void QueueInlet::push(SourceItem item) {
  if (stopped_) return;
  if (lets_go_) return cut_when_done();
  if (head_) return spill(std::move(item));
  if (queue_.try_push(item)) return;
  head_ = std::move(item);
  progress_.set_behind(true);
  progress_.set_stalled(true);
}

void QueueInlet::spill(SourceItem item) {
  if (const auto* end = std::get_if<WalEnd>(&item)) {
    end_ = *end;
    return;
  }
  end_.reset();
  if (refused_.empty()) {
    try {
      return spill_.push(std::get<TransactionSlice>(item));
    } catch (const SpillFailed& failure) {
      refused_ = failure.what();
      if (!std::exchange(told_, true)) tell("nothing more can be spilled, the stream waits for the target", refused_);
    }
  }
  held_back_ = std::move(item);
}

bool QueueInlet::refill(Clock::time_point now) {
  for (int moved = 0; head_; ++moved) {
    if (moved == kMovedAtOnce) return true;
    if (!queue_.try_push(*head_)) {
      if (moved > 0) progress_.set_stalled(true);
      return false;
    }
    progress_.set_stalled(false);
    if (stands_since_) stands_since_ = now;
    head_ = next();
  }
  return false;
}

std::optional<SourceItem> QueueInlet::next() {
  if (!spill_.empty()) {
    try {
      return spill_.pop();
    } catch (const SpillFailed& failure) {
      let_go(failure.what());
      spill_.clear();
    }
  }
  if (lets_go_) {
    progress_.set_stalled(true);  // of what the queue has, nothing more is heard
    return std::nullopt;
  }
  spill_.clear();
  if (options_.spill.bytes_max > 0) refused_.clear();  // whatever had failed may go now
  stands_since_.reset();
  if (held_back_) return std::exchange(held_back_, std::nullopt);
  if (end_) return *std::exchange(end_, std::nullopt);
  return std::nullopt;
}

void QueueInlet::look(Clock::time_point now) {
  if (stopped_) return;
  if (lets_go_) return cut_when_done();
  if (!held_back_) return;
  if (!stands_since_) stands_since_ = now;
  if (!options_.observer->awaited()) return;
  if (progress_.advanced() || now - *stands_since_ >= options_.patience) let_go(refused_);
}

// A new session would have to bring the observer all the way again: not while somebody waits for it.
void QueueInlet::cut_when_done() {
  if (!head_ && spill_.empty() && !options_.observer->awaited()) queue_.cut_short();
}

void QueueInlet::leave_room(std::uint64_t bytes) {
  if (stopped_) return;
  const std::uint64_t rest = options_.spill.bytes_max - std::min(options_.spill.bytes_max, bytes);
  spill_.set_bytes_max(rest);
  if (spill_.bytes() <= rest) return;
  let_go("open transactions on the source need the room in apply.spill_bytes_max");
  spill_.clear();
}

void QueueInlet::let_go(const std::string& reason) {
  held_back_.reset();
  end_.reset();
  if (!std::exchange(lets_go_, true)) tell("reading on without keeping what comes, it is read again", reason);
}

void QueueInlet::tell(const char* event, const std::string& reason) const {
  log_event(LogLevel::kWarn, event,
            {{"link", options_.link}, {"received", to_string(progress_.received())}, {"reason", reason}});
}

void QueueInlet::stop() {
  stopped_ = true;
  head_.reset();
  spill_.clear();
  held_back_.reset();
  end_.reset();
  progress_.set_stalled(false);
}

}  // namespace teal
