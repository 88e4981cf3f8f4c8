#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/progress.h"
#include "engine/transaction_source.h"

namespace teal {

/// The one hop between a link's two threads: single producer, single consumer, bounded in bytes.
/// Units: `bytes_max` counts what slices charge, allocator overhead included. One slice larger than the bound is let in
/// when the queue is empty, or it could never pass.
/// Threads: `try_push`, `cut_short` and `close` belong to the receiver, `next` to the applier; `bytes` to any.
class TransactionQueue final : public TransactionSource {
 public:
  TransactionQueue(std::size_t bytes_max, const Progress& progress);
  ~TransactionQueue() override;

  /// Takes the item, or leaves it with the caller when the queue is full. Errors: none.
  [[nodiscard]] bool try_push(SourceItem& item);

  /// Nothing will be pushed any more. `error` (may be null) is what `next` throws once the queue is empty.
  void close(std::exception_ptr error);

  /// Something of the stream was let go: nothing will be pushed any more, though the stream goes on.
  void cut_short() { cut_short_ = true; }
  /// Cut short, and everything before that was handed out: the rest has to be read again.
  [[nodiscard]] bool used_up() const { return cut_short_.load() && items_.load() == 0; }

  /// Called on the consumer's thread when a push that failed may be tried again. Set before the threads start.
  void on_space(std::function<void()> callback) { on_space_ = std::move(callback); }

  std::optional<SourceItem> next(std::chrono::milliseconds wait) override;
  [[nodiscard]] bool behind() const override { return progress_.behind(); }

  /// Closed, and everything was handed out.
  [[nodiscard]] bool drained() const { return closed_.load() && items_.load() == 0; }
  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Channel;  // moodycamel's queue with its tokens: heavy to include

  const std::size_t bytes_max_;
  const Progress& progress_;
  std::unique_ptr<Channel> channel_;
  std::function<void()> on_space_;
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> items_{0};
  std::atomic<bool> wants_space_{false};
  std::atomic<bool> cut_short_{false};
  std::atomic<bool> closed_{false};
  std::exception_ptr error_;  // written before `closed_`, read after it
};

}  // namespace teal
