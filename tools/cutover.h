#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tools/cutover_journal.h"
#include "tools/cutover_report.h"
#include "tools/cutover_sides.h"

namespace teal {

/// Of a server that nobody waits for; while writes wait for it, it gets what the budget leaves.
inline constexpr std::chrono::milliseconds kCutoverAnswers{10'000};
inline constexpr std::chrono::milliseconds kCutoverHookTime{60'000};

/// Told while a cutover holds writes back, for who has to let them go should it not be able to.
struct PauseListener {
  std::function<void()> begins;
  std::function<void()> ends;
  std::function<void(pid_t)> hook_runs;  ///< the process group of a hook that runs; 0: it has ended
};

/// Moves the writes from one side to the other.
///
/// Poolers are paused, the side that is left is fenced, whoever has written before ends; then nothing is written any
/// more: two markers, between which nothing came, prove it. What was written is on the other side by then, and durable;
/// its sequences are moved on; and one transaction on the side that is left decides: it seals the fence and says in the
/// journal that the writes have been moved. Only then the other side is opened, and the poolers lead there. Before that
/// transaction everything can be taken back, after it everything can be gone on with, by whoever reads the journal. The
/// side that is left decides, because its writes and the other side's must never be two. Source: TRAPS L1 to L6, W12,
/// W13.
///
/// Lifetime: `plan` and `report` outlive it. Threads: one.
class Cutover {
 public:
  Cutover(const CutoverPlan& plan, CutoverReport& report, PauseListener listener, std::stop_token stop);

  /// Fences and warms up, so that the pause is short: nothing is held back yet. Errors: PgError, Stopped: `take_back`
  /// has to follow.
  void prepare(CutoverSides& sides, std::int64_t number);
  /// Tries until the writes are moved, the tries are used up, or the time is over. Returns whether they were moved; if
  /// not, they go on where they were, the report says why, and `take_back` has to follow. Errors: PgError, Stopped: it
  /// is neither, or not all of it; then `recover` ends it.
  [[nodiscard]] bool move(CutoverSides& sides);
  /// What `prepare` has done. Errors: PgError, Stopped.
  void take_back(CutoverSides& sides);

  /// Ends what an earlier one has left, or this one could not end, in one way or the other; the report's result says
  /// which. Errors: PgError, Stopped: it is still to be done.
  void recover(CutoverSides& sides, CutoverEntry entry);

  /// When only the side that is left can be asked: lets its applications go on, if it is not decided that they are
  /// moved, and if nobody else is at it. The rest is still to be done. Errors: PgError.
  bool free_left_alone();

  /// The hook `before`. Returns what went wrong, or "".
  [[nodiscard]] std::string tell_before();
  /// The hook `after`, when the writes have been moved, else `failed`.
  void tell_result();
  /// Gives back what was borrowed of the poolers, which may take 15 s: see Pooler::restore.
  void settle();

  /// What is known, in words, when neither could be done: where applications write, and what is to be done.
  [[nodiscard]] std::string standing() const;
  /// Nobody is to take this process for one that hangs: it goes on trying.
  void be_patient() { listener_.ends(); }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::chrono::milliseconds budget_left() const;
  [[nodiscard]] std::chrono::milliseconds time_left() const;
  void install_fence(Fence& fence);
  void attempt(CutoverSides& sides);
  void expect_answers(CutoverSides& sides);
  [[nodiscard]] std::string open_transactions(CutoverSides& sides);
  void pause_poolers(CutoverSides& sides);
  void fence_off(CutoverSides& sides);
  void wait_for_writers(CutoverSides& sides, std::chrono::milliseconds time);
  void drain(CutoverSides& sides);
  void move_sequences(CutoverSides& sides);
  void run_repoint(const std::string& to, std::chrono::milliseconds time);
  void lead_back();
  void decide(CutoverSides& sides);
  void make_sure(CutoverSides& sides);
  void finish(CutoverSides& sides);
  void lead_pooler(std::size_t number);
  void end_connections(CutoverSides& sides);
  void let_go(CutoverSides& sides);
  void let_go_at_any_price(Fence& left, bool reachable) noexcept;
  void resume_poolers();
  void note(CutoverSides& sides, CutoverState state);
  void pause_begins();
  void pause_ends();
  [[nodiscard]] std::map<std::string, std::string> hook_environment(const std::string& to) const;

  const CutoverPlan& plan_;
  CutoverReport& report_;
  PauseListener listener_;
  const std::stop_token stop_;
  CutoverClock clock_;
  CutoverEntry entry_;
  std::vector<std::unique_ptr<Pooler>> poolers_;
  const Clock::time_point begin_ = Clock::now();
  std::optional<Clock::time_point> paused_at_;
  bool deciding_ = false;  // the COMMIT that decides was sent, and is not answered
  bool decided_ = false;
};

}  // namespace teal
