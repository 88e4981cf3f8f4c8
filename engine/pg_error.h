#pragma once
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace teal {

/// What to do about a failure. `classify` is the only place that decides it.
enum class ErrorClass {
  kRetry,      ///< passes by itself, the session lives: the whole batch again; a link does it in a new session
  kReconnect,  ///< the connection or the server is gone: new sessions, with backoff
  kLogin,      ///< the server refuses the login: exit code 4 at start; a link that runs tries again, with backoff
  kRights,     ///< a right is missing: exit code 1 at start; a link that runs tries again, with backoff
  kStop,       ///< the operator has to act
};

/// A line of the table from SQLSTATE to what is done.
struct SqlstateRule {
  std::string_view prefix;  ///< a whole code, or a class of two letters
  ErrorClass error_class;
  std::string_view reason;
};

/// The only retry table; the first line that fits counts. Source: PostgreSQL's errcodes.txt, up to version 18; in
/// docs/reference.md for operators.
[[nodiscard]] std::span<const SqlstateRule> sqlstate_rules();

/// What the table says; what is in no line is kStop. `sqlstate` is empty when the failure came from libpq and not from
/// the server.
[[nodiscard]] ErrorClass classify(std::string_view sqlstate);

/// A failure of the world: a server, the network, a statement.
class PgError : public std::runtime_error {
 public:
  /// `operation` says what was tried, in words ("create the slot"); `text` is the server's primary message.
  PgError(std::string operation, std::string text, std::string sqlstate, std::string constraint = {});

  [[nodiscard]] const std::string& operation() const { return operation_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& sqlstate() const { return sqlstate_; }
  [[nodiscard]] const std::string& constraint() const { return constraint_; }
  [[nodiscard]] ErrorClass error_class() const { return classify(sqlstate_); }
  /// It will not pass before somebody acts: the end of a command, while a link that runs may wait for that.
  [[nodiscard]] bool needs_somebody() const {
    return error_class() == ErrorClass::kStop || error_class() == ErrorClass::kRights;
  }

 private:
  std::string operation_;
  std::string text_;
  std::string sqlstate_;
  std::string constraint_;
};

/// How a source that sent a stream ended it.
class StreamError : public PgError {
 public:
  using PgError::PgError;
};

/// Why a stop is final until somebody acts, and how the process should exit.
/// Source: the exit codes in docs/reference.md.
enum class StopCode : int { kRefused = 1, kUsage = 2, kIncomplete = 3, kUnreachable = 4, kData = 5, kBug = 70 };

/// The link, or the command, must not go on: the text says what happened, where, and what to do.
class Stopped : public std::runtime_error {
 public:
  Stopped(StopCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] StopCode code() const { return code_; }

 private:
  StopCode code_;
};

/// The work was given up because the process was asked to end; what it had begun can be gone on with, or was undone.
class Interrupted : public Stopped {
 public:
  explicit Interrupted(const std::string& text) : Stopped(StopCode::kRefused, text) {}
};

}  // namespace teal
