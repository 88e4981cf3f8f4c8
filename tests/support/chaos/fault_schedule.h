#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/chaos/draw.h"
#include "tests/support/fault_proxy.h"

namespace teal::test {

enum class FaultKind {
  kKillTeal,
  kFailpoint,         ///< teal is killed and started again with one failpoint armed
  kRandomFailpoints,  ///< the same with all of them, each likely as often as not to be passed a hundred times
  kTerminateWalsender,
  kTerminateApplier,
  kKillWalsender,  ///< SIGKILL: the whole server crashes and recovers
  kKillApplier,
  kStopTeal,  ///< SIGSTOP, then SIGCONT
  kStopWalsender,
  kStopApplier,
  kCrashServer,  ///< immediate stop, then start
  kCut,
  kReset,
  kTruncate,
  kCutBeforeCommit,
  kCutAfterCommit,
  kHold,
  kDelay,
  kTrickle,
  kLull,  ///< nobody writes: the link's idle ways
};
inline constexpr std::size_t kFaultKinds = static_cast<std::size_t>(FaultKind::kLull) + 1;

[[nodiscard]] const char* to_string(FaultKind kind);
/// It ends a process or a connection of the link, and does not only slow it down.
[[nodiscard]] bool kills_or_cuts(FaultKind kind);

/// One fault and all that was drawn for it; what a kind has no use for is there too.
struct Fault {
  FaultKind kind = FaultKind::kKillTeal;
  std::chrono::milliseconds gap{0};     ///< after the fault before it struck
  std::chrono::milliseconds length{0};  ///< of what ends by itself
  bool on_blue = false;                 ///< which server, or which one's network
  Toward toward = Toward::kServer;
  std::uint64_t amount = 0;    ///< bytes, or which COMMIT or pass
  std::uint64_t seed = 0;      ///< of random failpoints
  std::size_t failpoint = 0;   ///< of kFailpoints
  bool settles_after = false;  ///< all is mended and progress waited for, before the next one

  [[nodiscard]] std::string text() const;
};

/// An endless list of faults, the same for the same seed however fast the machine is. Steady failpoints come in turn.
class FaultSchedule {
 public:
  /// `without`: kinds that are not drawn.
  explicit FaultSchedule(std::uint64_t seed, std::vector<FaultKind> without = {});
  [[nodiscard]] Fault next();

 private:
  FaultKind draw_any_kind();
  FaultKind draw_kind();

  Draw draw_;
  std::vector<FaultKind> without_;
  std::vector<std::size_t> steady_;  ///< failpoints, shuffled
  std::size_t failpoints_drawn_ = 0;
  std::uint64_t until_settled_ = 5;
};

}  // namespace teal::test
