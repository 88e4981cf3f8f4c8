#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/pg_handle.h"

namespace teal {

/// How to reach one database, and as whom to appear there.
struct ConnectOptions {
  std::string conninfo;          ///< URI or key=value, as libpq takes it; PG* and service files fill the rest
  std::string label;             ///< "blue" or "green", for messages
  std::string application_name;  ///< shown in pg_stat_activity
  bool replication = false;      ///< a walsender session (`replication=database`)
  std::chrono::seconds connect_timeout{10};
  /// How long one statement may take until the server counts as gone; zero: as long as it takes. For sessions that only
  /// ask quick questions: a server that froze would hold the asker for ever.
  std::chrono::milliseconds answer_within{0};
};

/// The rows of one statement, all values as text.
/// Lifetime: views returned by `at` live as long as the object.
class Rows {
 public:
  explicit Rows(ResultHandle result) : result_(std::move(result)) {}
  [[nodiscard]] int size() const { return PQntuples(result_.get()); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  [[nodiscard]] std::string_view at(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  [[nodiscard]] std::string str(int row, int column) const { return std::string(at(row, column)); }
  [[nodiscard]] bool boolean(int row, int column) const { return at(row, column) == "t"; }
  /// Errors: Stopped(kBug) when the value is not a number.
  [[nodiscard]] long long integer(int row, int column) const;
  /// Rows that the statement touched (the command tag's number; 0 when it has none).
  [[nodiscard]] std::uint64_t affected() const;
  [[nodiscard]] PGresult* raw() const { return result_.get(); }

 private:
  ResultHandle result_;
};

/// A parameter as text; nullopt is NULL.
using Param = std::optional<std::string>;
/// As libpq takes them. Lifetime: views of `params`.
[[nodiscard]] std::vector<const char*> c_strings(std::span<const Param> params);

/// One session with pinned settings (output formats, timeouts, isolation, search_path, row_security=off), which are
/// read back: a server, role or database default cannot change what teal reads or writes.
/// Threads: one at a time; `cancel` may be called from any.
/// Errors: PgError. After a connection failure only destruction is allowed.
class PgConnection {
 public:
  /// Connects and pins. Errors: PgError with an empty SQLSTATE when the server cannot be reached.
  [[nodiscard]] static PgConnection connect(const ConnectOptions& options);

  /// The server is there and takes no sessions: it is starting up, shutting down, or recovering. (What `connect` throws
  /// has no SQLSTATE to tell that by.) Source: libpq's PQping.
  [[nodiscard]] static bool refuses_sessions(const ConnectOptions& options);

  PgConnection(PgConnection&&) noexcept = default;
  PgConnection& operator=(PgConnection&&) noexcept = default;
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;
  ~PgConnection() = default;

  /// Runs `sql` (simple protocol; may hold several statements, the last one's rows are returned).
  /// `operation` says in words what is tried; it opens the error's text.
  Rows exec(std::string_view operation, const std::string& sql);
  /// Runs one statement with `$1..$n`.
  Rows exec(std::string_view operation, const std::string& sql, std::span<const Param> params);
  Rows exec(std::string_view operation, const std::string& sql, std::initializer_list<Param> params) {
    return exec(operation, sql, std::span<const Param>(params.begin(), params.size()));
  }

  /// The same for a statement that a session runs often: parsed and planned once, under a name of its own. For a few
  /// constant texts; each is kept for the session's life, or until `forget_prepared`.
  Rows exec_often(std::string_view operation, const std::string& sql, std::initializer_list<Param> params);
  /// The name that `exec_often` has for the statement, and whether it is new and has to be prepared by the caller.
  /// Until that has succeeded only `forget_prepared` may follow.
  struct OftenName {
    const std::string& name;
    bool is_new = false;
  };
  [[nodiscard]] OftenName often_name(const std::string& sql);
  /// Drops all prepared statements of the session, whoever made them.
  void forget_prepared(std::string_view operation);

  /// Waits for the end of what was started (a COPY whose data has passed) and returns its last result.
  Rows finish(std::string_view operation) { return collect(operation); }

  /// Called about every 100 ms while a statement waits for the server, with the time waited so far: to say what it
  /// waits for. It must not use this connection.
  using WaitListener = std::function<void(std::chrono::milliseconds waited)>;
  void set_wait_listener(WaitListener listener) { wait_listener_ = std::move(listener); }
  void tell_waiting(std::chrono::milliseconds waited) const {
    if (wait_listener_) wait_listener_(waited);
  }

  /// Major version, e.g. 15.
  [[nodiscard]] int server_major() const { return PQserverVersion(connection_.get()) / 10000; }
  [[nodiscard]] int backend_pid() const { return PQbackendPID(connection_.get()); }
  [[nodiscard]] const std::string& label() const { return label_; }
  /// "host:port/database", for people.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] PGconn* raw() const { return connection_.get(); }
  [[nodiscard]] bool usable() const { return !given_up_ && PQstatus(connection_.get()) == CONNECTION_OK; }
  /// The same, after a look at the socket: the server may have ended a session that does nothing. Never waits.
  [[nodiscard]] bool alive() const { return PQconsumeInput(connection_.get()) != 0 && usable(); }

  /// Hangs up. Only destruction may follow.
  void close() { connection_.reset(); }

  /// Asks the server to cancel what this session runs, from a thread of its own. Errors are ignored by design: the
  /// caller is leaving anyway.
  void cancel() const;
  /// Errors: PgError 57014 when the server has not reacted for five seconds to the cancel that was `asked` for.
  void check_cancel_answered(std::string_view operation, std::chrono::steady_clock::time_point asked) const;

  /// As ConnectOptions::answer_within, for the statements from here on.
  void set_answer_within(std::chrono::milliseconds time) { answer_within_ = time; }

  /// While a call waits for the server, a stop of `token` cancels the statement (SQLSTATE 57014).
  void set_stop_token(std::stop_token token) { stop_ = std::move(token); }
  [[nodiscard]] const std::stop_token& stop_token() const { return stop_; }
  [[nodiscard]] bool stop_requested() const { return stop_.stop_requested(); }

  /// Throws PgError for a failed `result`, with the server's primary message, SQLSTATE and constraint; never row data.
  [[noreturn]] void raise(std::string_view operation, const PGresult* result) const;

  /// Waits until the socket is readable (or writable too, when `want_write`), at most `wait`.
  /// Returns false on time-out. Errors: PgError when the connection is gone.
  bool wait_socket(bool want_write, std::chrono::milliseconds wait) const;

 private:
  PgConnection(ConnHandle connection, std::string label, std::chrono::milliseconds answer_within);
  void pin_settings();
  Rows collect(std::string_view operation);
  void check_peer() const;

  ConnHandle connection_;
  std::unordered_map<std::string, std::string> often_;  // statement to its name
  std::uint64_t often_made_ = 0;
  std::string label_;
  std::chrono::milliseconds answer_within_;
  bool given_up_ = false;  ///< an answer has not come in time, and may still come
  std::stop_token stop_;
  WaitListener wait_listener_;
};

/// `"name"` with quotes doubled: the only way that identifiers enter SQL text.
[[nodiscard]] std::string quote_identifier(std::string_view name);
/// `"schema"."name"`.
[[nodiscard]] std::string quote_qualified(std::string_view schema, std::string_view name);
/// `'text'` with quotes and backslashes escaped, for the few places that take no parameter (replication commands, DDL).
[[nodiscard]] std::string quote_literal(std::string_view text);

}  // namespace teal
