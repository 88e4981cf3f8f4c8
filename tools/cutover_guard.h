#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/config.h"

namespace teal {

/// A process that watches this one while it holds writes back: when it dies, or holds them for too long, the other one
/// ends it and does what a repetition of the command would do (`teal cutover --recover`). So nothing waits for an
/// operator who has not noticed that a `kill -9`, or a machine out of memory, has ended the command in its worst
/// moment. It is in a session of its own, and ends with this object at the latest. Threads: one.
class CutoverGuard {
 public:
  /// `flags`: how the configuration was found. `budget`: how long writes may be held back.
  /// Errors: std::system_error when no process can be made; Stopped(kRefused) when it does not come up.
  CutoverGuard(const ConfigFlags& flags, const std::string& to, std::chrono::milliseconds budget);
  CutoverGuard(const CutoverGuard&) = delete;
  CutoverGuard& operator=(const CutoverGuard&) = delete;
  ~CutoverGuard();

  void pause_begins();
  void pause_ends();
  /// A command's process group, which is not to outlive this process; 0: it has ended.
  void hook_runs(pid_t group);

 private:
  void end();
  void say(char what, std::int32_t value = 0) const;

  int to_guard_ = -1;
  int pid_ = -1;
};

/// What the guard does: waits until the process that made it has ended or is to be. Returns whether it has to recover;
/// false: the other one has ended its work. Its standard input says what the other one does.
[[nodiscard]] bool guard_parent(std::chrono::milliseconds budget);

}  // namespace teal
