#pragma once
#include <chrono>
#include <cstddef>
#include <span>
#include <string>

#include "engine/pg_connection.h"

namespace teal {

/// PgBouncer's admin console: a database of its own name that knows a few commands and none of PostgreSQL's settings.
/// Threads: one. Errors of all: PgError, with SQLSTATE 08001 when it cannot be reached and 08006 when it does not
/// answer in time. After that only destruction is allowed. Source: pgbouncer(1), "Admin console".
class PoolerConsole {
 public:
  /// `label` names it in messages. `answer_within`: how long each of its answers may take, the login's too.
  PoolerConsole(const std::string& conninfo, std::string label, std::chrono::milliseconds answer_within);

  Rows exec(const std::string& command);

  /// Several commands that nothing happens between: PgBouncer has one thread and takes all that one read gives it.
  /// (Where the connection is encrypted, one after the other.) Errors: also when one of them is refused; the others are
  /// done.
  void exec_together(std::span<const std::string> commands);

  /// Sends a command whose answer is waited for elsewhere; nothing else may be sent before.
  void send(const std::string& command);
  /// Whether the answer to `send` has come within `time`. Errors: PgError also when it is a refusal.
  [[nodiscard]] bool answered_within(std::chrono::milliseconds time);

  [[nodiscard]] bool usable() const { return !given_up_ && PQstatus(connection_.get()) == CONNECTION_OK; }
  [[nodiscard]] const std::string& label() const { return label_; }

 private:
  void send_bytes(const std::string& bytes, std::chrono::steady_clock::time_point until);
  void read_answers(std::size_t count, std::chrono::steady_clock::time_point until);
  [[nodiscard]] bool wait_readable(std::chrono::steady_clock::time_point until);
  [[noreturn]] void raise(const std::string& text, const char* sqlstate);

  ConnHandle connection_;
  std::string label_;
  std::chrono::milliseconds answer_within_;
  std::string command_;
  bool given_up_ = false;  ///< an answer has not come in time, and may still come
};

}  // namespace teal
