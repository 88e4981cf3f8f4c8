#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace teal {

/// A place where test builds may kill the process.
struct Failpoint {
  std::string_view name;
  bool steady;  ///< a link that streams passes it again and again; the others belong to set-up, copies and joins
};

/// All of them, in the order of a migration's life. Source: DESIGN, "Exactly once": before and after each step that a
/// crash could leave half done.
inline constexpr std::array kFailpoints{
    Failpoint{"before_slot", false},
    Failpoint{"slot_created", false},
    Failpoint{"before_copy_snapshot", false},
    Failpoint{"copy_snapshot_made", false},
    Failpoint{"copy_started", false},
    Failpoint{"copy_rows_sent", false},
    Failpoint{"before_copy_commit", false},
    Failpoint{"copy_committed", false},
    Failpoint{"join_snapshot_made", false},
    Failpoint{"join_rows_copied", false},
    Failpoint{"join_locked", false},
    Failpoint{"join_before_commit", false},
    Failpoint{"join_committed", false},
    Failpoint{"origin_acquired", true},
    Failpoint{"progress_read", true},
    Failpoint{"before_begin", true},
    Failpoint{"rows_sent", true},
    Failpoint{"rows_written", true},
    Failpoint{"before_commit", true},
    Failpoint{"commit_sent", true},
    Failpoint{"commit_acknowledged", true},
    Failpoint{"batch_done", true},
    Failpoint{"before_idle_progress", true},
    Failpoint{"before_feedback", true},
    Failpoint{"feedback_sent", true},
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
