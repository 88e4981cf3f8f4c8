#include "tests/support/chaos/fault_schedule.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/failpoint.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;

struct Kind {
  FaultKind kind;
  const char* name;
  std::uint64_t weight;  ///< how often it is drawn, compared with the others
  bool kills_or_cuts;
};

constexpr std::array kKinds{
    Kind{FaultKind::kKillTeal, "kill -9 teal", 4, true},
    Kind{FaultKind::kFailpoint, "failpoint", 5, true},
    Kind{FaultKind::kRandomFailpoints, "random failpoints", 1, true},
    Kind{FaultKind::kTerminateWalsender, "terminate walsender", 2, true},
    Kind{FaultKind::kTerminateApplier, "terminate applier's backend", 2, true},
    Kind{FaultKind::kKillWalsender, "kill -9 walsender", 1, true},
    Kind{FaultKind::kKillApplier, "kill -9 applier's backend", 1, true},
    Kind{FaultKind::kStopTeal, "stop teal for a moment", 1, false},
    Kind{FaultKind::kStopWalsender, "stop walsender for a moment", 1, false},
    Kind{FaultKind::kStopApplier, "stop applier's backend for a moment", 1, false},
    Kind{FaultKind::kCrashServer, "immediate stop of server", 2, true},
    Kind{FaultKind::kCut, "cut", 3, true},
    Kind{FaultKind::kReset, "reset", 3, true},
    Kind{FaultKind::kTruncate, "truncate", 2, true},
    Kind{FaultKind::kCutBeforeCommit, "cut before COMMIT", 2, true},
    Kind{FaultKind::kCutAfterCommit, "cut after COMMIT", 2, true},
    Kind{FaultKind::kHold, "hold", 1, false},
    Kind{FaultKind::kDelay, "delay", 1, false},
    Kind{FaultKind::kTrickle, "trickle", 1, false},
    Kind{FaultKind::kLull, "lull", 1, false},
};
static_assert(kKinds.size() == kFaultKinds);

constexpr const Kind& kind_of(FaultKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }
static_assert([] {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (static_cast<std::size_t>(kKinds[i].kind) != i) return false;
  }
  return true;
}());

constexpr milliseconds kGapLeast{200};
constexpr milliseconds kGapMost{3'000};

}  // namespace

const char* to_string(FaultKind kind) { return kind_of(kind).name; }
bool kills_or_cuts(FaultKind kind) { return kind_of(kind).kills_or_cuts; }

std::string Fault::text() const {
  std::string text = std::string(to_string(kind)) + (on_blue ? " (blue" : " (green") +
                     (toward == Toward::kServer ? ", to server, " : ", to client, ") + std::to_string(length.count()) +
                     " ms, " + std::to_string(amount);
  if (kind == FaultKind::kFailpoint) text += ", " + std::string(kFailpoints[failpoint].name);
  return text + ")";
}

FaultSchedule::FaultSchedule(std::uint64_t seed, std::vector<FaultKind> without)
    : draw_(seed), without_(std::move(without)) {
  for (std::size_t i = 0; i < kFailpoints.size(); ++i) {
    if (kFailpoints[i].in == FailpointIn::kStream) steady_.push_back(i);
  }
  draw_.shuffle(steady_);
}

FaultKind FaultSchedule::draw_any_kind() {
  std::uint64_t sum = 0;
  for (const Kind& kind : kKinds) sum += kind.weight;
  std::uint64_t drawn = draw_.between(0, sum - 1);
  for (const Kind& kind : kKinds) {
    if (drawn < kind.weight) return kind.kind;
    drawn -= kind.weight;
  }
  return FaultKind::kKillTeal;
}

FaultKind FaultSchedule::draw_kind() {
  for (;;) {
    const FaultKind kind = draw_any_kind();
    if (std::find(without_.begin(), without_.end(), kind) == without_.end()) return kind;
  }
}

Fault FaultSchedule::next() {
  Fault fault;
  fault.kind = draw_kind();
  // Short gaps more often than long ones, so that faults meet.
  const std::uint64_t scale = draw_.between(0, 1000);
  fault.gap = kGapLeast + (kGapMost - kGapLeast) * scale * scale / 1'000'000;
  fault.length = milliseconds(draw_.between(50, 1500));
  fault.on_blue = draw_.between(0, 1) == 0;
  fault.toward = draw_.between(0, 1) == 0 ? Toward::kServer : Toward::kClient;
  fault.amount = fault.kind == FaultKind::kTruncate ? draw_.between(0, 200'000) : draw_.between(1, 20);
  fault.seed = draw_.next();
  if (fault.kind == FaultKind::kFailpoint) fault.failpoint = steady_[failpoints_drawn_++ % steady_.size()];
  if (--until_settled_ == 0) {
    fault.settles_after = true;
    until_settled_ = draw_.between(4, 12);
  }
  return fault;
}

}  // namespace teal::test
