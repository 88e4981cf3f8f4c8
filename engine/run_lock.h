#pragma once
#include <chrono>
#include <stop_token>
#include <string>

#include "engine/pg_connection.h"

namespace teal {

/// Proof that no other teal runs the same migration (invariant I10), for as long as the object lives: a session-level
/// advisory lock on the target. The origins are the fence against a process that lost this lock without knowing.
/// Threads: one.
class RunLock {
 public:
  /// Waits for `patience`, because a killed process' session takes a moment to go.
  /// Errors: Stopped(kRefused) that names the holder; Interrupted; PgError.
  RunLock(const ConnectOptions& target, const std::string& migration, std::chrono::milliseconds patience,
          const std::stop_token& stop);

  /// Asks the server whether the session, and with it the lock, is still there. Errors: PgError when it is not.
  void check();

 private:
  PgConnection connection_;
};

}  // namespace teal
