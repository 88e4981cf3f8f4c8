#include "engine/transaction_queue.h"

#include <concurrentqueue/blockingconcurrentqueue.h>

#include <utility>

namespace teal {
namespace {

std::size_t charge(const SourceItem& item) {
  if (const auto* ahead = std::get_if<AheadSlice>(&item)) return ahead->slice.bytes;
  const auto* slice = std::get_if<TransactionSlice>(&item);
  return slice == nullptr ? sizeof(SourceItem) : slice->bytes;  // a stalled target must not gather keepalives either
}

}  // namespace

struct TransactionQueue::Channel {
  moodycamel::BlockingConcurrentQueue<SourceItem> queue{256};
  moodycamel::ProducerToken producer{queue};  // keeps the order: one producer, one sub-queue
  moodycamel::ConsumerToken consumer{queue};
};

TransactionQueue::TransactionQueue(std::size_t bytes_max, const Progress& progress)
    : bytes_max_(bytes_max), progress_(progress), channel_(std::make_unique<Channel>()) {}

TransactionQueue::~TransactionQueue() = default;

bool TransactionQueue::try_push(SourceItem& item) {
  const std::size_t size = charge(item);
  // Only this thread adds, so the bound cannot be passed between the look and the push.
  if (bytes_.load() != 0 && bytes_.load() + size > bytes_max_) {
    wants_space_ = true;
    // The consumer may have emptied it in between and seen no wish.
    if (bytes_.load() != 0) return false;
    wants_space_ = false;
  }
  bytes_ += size;
  ++items_;
  channel_->queue.enqueue(channel_->producer, std::move(item));
  return true;
}

void TransactionQueue::close(std::exception_ptr error) {
  if (closed_) return;
  error_ = std::move(error);
  closed_ = true;
}

std::optional<SourceItem> TransactionQueue::next(std::chrono::milliseconds wait) {
  SourceItem item;
  const bool ended = closed_;  // read first: what was pushed before closing is then in the queue
  const auto timeout = ended ? std::chrono::milliseconds(0) : wait;
  if (!channel_->queue.wait_dequeue_timed(channel_->consumer, item, timeout)) {
    if (ended && error_) std::rethrow_exception(error_);
    return std::nullopt;
  }
  bytes_ -= charge(item);
  --items_;
  // Half empty, not merely not full: the receiver is woken seldom.
  if (wants_space_ && bytes_ <= bytes_max_ / 2 && wants_space_.exchange(false) && on_space_) on_space_();
  return item;
}

}  // namespace teal
