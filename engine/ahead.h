#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "decoder/transaction.h"

namespace teal {

/// A large transaction that goes to the target while the source still sends it (ahead of its commit), as the two
/// threads of a link see it. The receiver opens the trial and hands out its slices; the applier writes them in one
/// target transaction, and commits that when the last slice has told it that the source has. Until then either may
/// give it up: then nothing of it stays on the target, and it comes once more, whole, after its commit. The receiver
/// gives it up before it hands out anything else, and not any more once the last slice is on its way: from there on it
/// waits for how the applier decides. Threads: any.
class AheadTrial {
 public:
  /// No effect once it is `done`.
  void give_up() noexcept {
    State open = State::kOpen;
    state_.compare_exchange_strong(open, State::kGivenUp);
  }
  /// The sink answers for it: it is committed on the target, or gathered as one that has ended.
  void set_done() noexcept { state_ = State::kDone; }

  [[nodiscard]] bool given_up() const noexcept { return state_ == State::kGivenUp; }
  [[nodiscard]] bool done() const noexcept { return state_ == State::kDone; }

 private:
  enum class State : std::uint8_t { kOpen, kGivenUp, kDone };
  std::atomic<State> state_{State::kOpen};
};

/// A piece of it. All but the last one have the first block's position as that of the commit, which is later, and no
/// time.
struct AheadSlice {
  TransactionSlice slice;
  std::shared_ptr<AheadTrial> trial;
};

}  // namespace teal
