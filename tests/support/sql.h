#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pg_handle.h"

namespace teal::test {

/// A value as text; nullopt is NULL.
using SqlValue = std::optional<std::string>;
using SqlRow = std::vector<SqlValue>;
using SqlRows = std::vector<SqlRow>;

/// What the server answered instead of a result. `what()` has its whole message.
class SqlError : public std::runtime_error {
 public:
  SqlError(const std::string& text, std::string sqlstate) : std::runtime_error(text), sqlstate_(std::move(sqlstate)) {}
  /// "" when the connection was lost or could not be made.
  [[nodiscard]] const std::string& sqlstate() const { return sqlstate_; }
  /// The session is gone, or could not be made, because the server ends, ended or begins. A COMMIT that was under way
  /// may have been done.
  [[nodiscard]] bool session_lost() const { return sqlstate_.empty() || sqlstate_.starts_with("57"); }

 private:
  std::string sqlstate_;
};

/// A session of plain SQL. Tests judge teal with it, so it uses nothing of teal's own way to talk to servers.
/// Threads: one at a time.
/// Errors: SqlError, also when a call takes longer than the deadline.
class Sql {
 public:
  explicit Sql(const std::string& conninfo);

  /// Runs one or several statements; returns the last one's rows.
  SqlRows rows(const std::string& statements);
  void exec(const std::string& statements) { rows(statements); }
  /// The one value of the one row. Errors: std::runtime_error for any other shape, and for NULL.
  std::string value(const std::string& query);
  std::int64_t number(const std::string& query) { return std::stoll(value(query)); }
  bool truth(const std::string& query) { return value(query) == "t"; }
  /// The SQLSTATE with which the statements fail, "" when they do not.
  std::string sqlstate_of(const std::string& statements);

  /// Runs `COPY ... TO STDOUT` in text format; returns its lines, escaped as they come, line ends included.
  std::vector<std::string> copy_out(const std::string& statement);
  /// Runs `COPY ... FROM STDIN` with such lines.
  void copy_in(const std::string& statement, const std::vector<std::string>& lines);

  /// Sends without waiting for the answer, for statements that shall block; `finish` waits for it.
  void send(const std::string& statements);
  SqlRows finish();
  /// The answer to `send` has not arrived.
  [[nodiscard]] bool busy();

  /// False once the server has ended the session, as far as the socket shows.
  [[nodiscard]] bool alive();
  [[nodiscard]] int backend_pid() const { return PQbackendPID(connection_.get()); }
  /// How long one call may take; at first a minute.
  void set_deadline(std::chrono::milliseconds deadline) { deadline_ = deadline; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  [[nodiscard]] TimePoint end_of_call() const { return std::chrono::steady_clock::now() + deadline_; }
  ResultHandle next_result(TimePoint end);
  ResultHandle last_result();
  void wait_readable(TimePoint end);
  [[noreturn]] void fail(const PGresult* result);

  ConnHandle connection_;
  std::chrono::milliseconds deadline_ = std::chrono::minutes(1);
};

/// `"name"`, quotes doubled.
[[nodiscard]] std::string sql_name(std::string_view name);
/// `'text'`, quotes doubled; for servers with standard_conforming_strings on.
[[nodiscard]] std::string sql_text(std::string_view text);

}  // namespace teal::test
