#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace teal {

/// What passes a failpoint.
enum class FailpointIn {
  kSetUp,    ///< set-up, copies and joins
  kStream,   ///< a link that streams, again and again
  kCutover,  ///< `teal cutover`, at the beginning and the end of each of its steps
};

/// A place where test builds may kill the process.
struct Failpoint {
  std::string_view name;
  FailpointIn in;
};

/// All of them, in the order of a migration's life. Source: DESIGN, "Exactly once": before and after each step that a
/// crash could leave half done.
inline constexpr std::array kFailpoints{
    Failpoint{"before_slot", FailpointIn::kSetUp},          Failpoint{"slot_created", FailpointIn::kSetUp},
    Failpoint{"before_copy_snapshot", FailpointIn::kSetUp}, Failpoint{"copy_snapshot_made", FailpointIn::kSetUp},
    Failpoint{"copy_started", FailpointIn::kSetUp},         Failpoint{"copy_rows_sent", FailpointIn::kSetUp},
    Failpoint{"before_copy_commit", FailpointIn::kSetUp},   Failpoint{"copy_committed", FailpointIn::kSetUp},
    Failpoint{"join_snapshot_made", FailpointIn::kSetUp},   Failpoint{"join_rows_copied", FailpointIn::kSetUp},
    Failpoint{"join_locked", FailpointIn::kSetUp},          Failpoint{"join_before_commit", FailpointIn::kSetUp},
    Failpoint{"join_committed", FailpointIn::kSetUp},       Failpoint{"cutover_step", FailpointIn::kCutover},
    Failpoint{"origin_acquired", FailpointIn::kStream},     Failpoint{"progress_read", FailpointIn::kStream},
    Failpoint{"before_begin", FailpointIn::kStream},        Failpoint{"rows_sent", FailpointIn::kStream},
    Failpoint{"rows_written", FailpointIn::kStream},        Failpoint{"before_commit", FailpointIn::kStream},
    Failpoint{"commit_sent", FailpointIn::kStream},         Failpoint{"commit_acknowledged", FailpointIn::kStream},
    Failpoint{"batch_done", FailpointIn::kStream},          Failpoint{"before_idle_progress", FailpointIn::kStream},
    Failpoint{"before_feedback", FailpointIn::kStream},     Failpoint{"feedback_sent", FailpointIn::kStream},
};

/// What TEAL_FAILPOINT_COUNTS names: one of these for each of kFailpoints, in their order.
struct FailpointCount {
  std::uint64_t passed;  ///< the ends included
  std::uint64_t killed;
};

#ifdef TEAL_FAILPOINTS
/// The point's place in kFailpoints; a name that is not there does not compile.
consteval std::size_t failpoint_index(std::string_view name) {
  for (std::size_t i = 0; i < kFailpoints.size(); ++i) {
    if (kFailpoints[i].name == name) return i;
  }
  throw "not one of kFailpoints";
}

/// Test builds only; release builds hold neither the points nor this function. The environment decides:
/// - `TEAL_FAILPOINT=name[:n]` kills the process (SIGKILL) when it passes the point for the n-th time (1 when left
/// out);
/// - `TEAL_FAILPOINTS_RANDOM=probability:seed` kills it at each pass of any point with that probability;
/// - `TEAL_FAILPOINT_COUNTS=path` adds what was passed, and where it ended, to that file, which processes share.
/// A value that cannot be read ends the process with exit code 2: a test must not run without its fault.
/// Threads: any.
void failpoint(std::size_t index);
#define TEAL_FAILPOINT(name) ::teal::failpoint(::teal::failpoint_index(name))
#else
#define TEAL_FAILPOINT(name) static_cast<void>(0)
#endif

}  // namespace teal
