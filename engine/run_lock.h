#pragma once
#include <chrono>
#include <stop_token>
#include <string>

#include "engine/pg_connection.h"
#include "engine/pg_error.h"

namespace teal {

/// Another session holds the lock; the text names it.
class LockHeld : public Stopped {
 public:
  LockHeld(const std::string& text, int holder_pid) : Stopped(StopCode::kRefused, text), holder_pid_(holder_pid) {}
  /// On the target; 0 when it could not be told.
  [[nodiscard]] int holder_pid() const { return holder_pid_; }

 private:
  int holder_pid_;
};

/// Proof that no other teal runs the same migration (invariant I10), for as long as the object lives: a session-level
/// advisory lock on the target. The origins are the fence against a process that lost this lock without knowing.
/// Threads: one.
class RunLock {
 public:
  /// Waits for `patience`, because a killed process' session takes a moment to go.
  /// Errors: LockHeld; Interrupted; PgError.
  RunLock(const ConnectOptions& target, const std::string& migration, std::chrono::milliseconds patience,
          const std::stop_token& stop);

  /// Asks the server whether the session, and with it the lock, is still there. Errors: PgError when it is not.
  void check();
  /// Of the session on the target.
  [[nodiscard]] int backend_pid() const { return connection_.backend_pid(); }

 private:
  PgConnection connection_;
};

}  // namespace teal
