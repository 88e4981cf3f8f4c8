#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>

#include "engine/stream_observer.h"
#include "tests/support/simulation/model_source.h"

namespace teal::test {

/// The observer of one session. Errors: Violation when the stream leaves something out, or goes back.
class ModelObserver final : public StreamObserver {
 public:
  explicit ModelObserver(const ModelSource& source) : source_(source) {}

  void slice(TransactionSlice& slice) override {
    slice.facts.seen = slice.facts.final_lsn;
    if (!slice.last) return;
    const std::size_t number = source_.transactions_until(slice.end_lsn);
    if (last_ && number != *last_ + 1) throw Violation("I6: the observer has missed a transaction, or seen it twice");
    last_ = number;
    passed(slice.end_lsn);
  }
  void passed(Lsn position) override { passed_ = std::max(passed_, position); }
  [[nodiscard]] bool awaited() const override { return passed_ < awaited_; }

  /// Somebody waits for it to pass what the source has by now.
  void wait() { awaited_ = source_.end(); }

 private:
  const ModelSource& source_;
  std::optional<std::size_t> last_;
  Lsn passed_;
  Lsn awaited_;
};

}  // namespace teal::test
