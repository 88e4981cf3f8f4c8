#include "engine/pg_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "engine/connect_params.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStopCheck{100};  // how late a stop may be noticed inside a wait
constexpr milliseconds kCancelPatience{5'000};
constexpr milliseconds kPeerSilence{30'000};
constexpr const char* kInvalidParameter = "22023";  // the one data exception that quotes a setting, no value of a row
constexpr std::string_view kLocksSetting = "max_locks_per_transaction";

struct Setting {
  const char* name;
  const char* value;
  int since_major;
};

// What a server, a role or a database could otherwise change under us (TRAPS C12, M7, I5).
constexpr std::array kPinned{
    Setting{"datestyle", "ISO, MDY", 0},
    Setting{"intervalstyle", "postgres", 0},
    Setting{"extra_float_digits", "3", 0},
    Setting{"bytea_output", "hex", 0},
    Setting{"timezone", "UTC", 0},
    Setting{"search_path", "", 0},
    Setting{"quote_all_identifiers", "off", 0},
    Setting{"row_security", "off", 0},
    Setting{"standard_conforming_strings", "on", 0},
    Setting{"xmloption", "content", 0},
    Setting{"array_nulls", "on", 0},
    Setting{"lc_monetary", "C", 0},
    Setting{"client_min_messages", "warning", 0},
    Setting{"default_transaction_isolation", "read committed", 0},
    Setting{"default_transaction_read_only", "off", 0},
    Setting{"default_transaction_deferrable", "off", 0},
    Setting{"synchronous_commit", "on", 0},
    Setting{"statement_timeout", "0", 0},
    Setting{"lock_timeout", "0", 0},
    Setting{"idle_in_transaction_session_timeout", "0", 0},
    Setting{"jit", "off", 0},  // it took half a second of each query of the catalogs of 1,000 tables
    Setting{"idle_session_timeout", "0", 14},
    Setting{"transaction_timeout", "0", 17},
};

// Data exceptions quote the value, which belongs in no log: `invalid input syntax for type integer: "..."`.
std::string without_quoted(const std::string& text) {
  const std::size_t first = text.find('"');
  const std::size_t last = text.rfind('"');
  if (first == last) return text;
  return text.substr(0, first) + "\"...\"" + text.substr(last + 1);
}

}  // namespace

std::vector<const char*> c_strings(std::span<const Param> params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const Param& param : params) values.push_back(param ? param->c_str() : nullptr);
  return values;
}

long long Rows::integer(int row, int column) const {
  const std::string_view text = at(row, column);
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw Stopped(StopCode::kBug, "the server answered \"" + std::string(text) + "\" where a number was asked for");
  }
  return value;
}

std::uint64_t Rows::affected() const {
  const std::string_view text = PQcmdTuples(result_.get());
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

PgConnection::PgConnection(ConnHandle connection, std::string label, milliseconds answer_within)
    : connection_(std::move(connection)), label_(std::move(label)), answer_within_(answer_within) {}

bool PgConnection::refuses_sessions(const ConnectOptions& options) {
  const ConnectParams params = connect_params(options);
  return PQpingParams(pointers(params.keys).data(), pointers(params.values).data(), 0) == PQPING_REJECT;
}

PgConnection PgConnection::connect(const ConnectOptions& options) {
  const ConnectParams params = connect_params(options);
  ConnHandle handle(PQconnectdbParams(pointers(params.keys).data(), pointers(params.values).data(), 0));
  if (!handle || PQstatus(handle.get()) != CONNECTION_OK) {
    throw PgError("connect to " + options.label, handle ? trimmed(PQerrorMessage(handle.get())) : "out of memory",
                  "08001");
  }
  if (PQsetnonblocking(handle.get(), 1) != 0) throw PgError("connect to " + options.label, "no asynchronous mode", "");
  // Notices may quote row values; what matters is read from results.
  PQsetNoticeProcessor(handle.get(), [](void*, const char*) {}, nullptr);
  PgConnection connection(std::move(handle), options.label, options.answer_within);
  connection.pin_settings();
  return connection;
}

std::string PgConnection::address() const {
  return std::string(PQhost(raw())) + ":" + PQport(raw()) + "/" + PQdb(raw());
}

void PgConnection::pin_settings() {
  // Plain literals, no parameters: a walsender session only knows the simple protocol.
  std::string sql = "SELECT ";
  std::vector<const Setting*> asked;
  for (const Setting& setting : kPinned) {
    if (server_major() < setting.since_major) continue;
    if (!asked.empty()) sql += ", ";
    sql += "pg_catalog.set_config(" + quote_literal(setting.name) + ", " + quote_literal(setting.value) + ", false)";
    asked.push_back(&setting);
  }
  // The server must notice a vanished client too, or its session keeps locks and origins for hours. Not read back: a
  // Unix socket answers 0.
  for (const char* keepalive :
       {"('tcp_keepalives_idle', '10'", "('tcp_keepalives_interval', '5'", "('tcp_keepalives_count', '3'"}) {
    sql += std::string(", pg_catalog.set_config") + keepalive + ", false)";
  }
  const Rows rows = exec("pin the session's settings on " + label_, sql);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const std::string_view effective = rows.at(0, static_cast<int>(i));
    if (effective == asked[i]->value) continue;
    throw PgError("pin the session's settings on " + label_,
                  std::string(asked[i]->name) + " was set to \"" + asked[i]->value + "\" but reads \"" +
                      std::string(effective) + "\": a pooler between teal and the server? connect directly",
                  "55000");
  }
}

Rows PgConnection::exec(std::string_view operation, const std::string& sql) {
  if (PQsendQuery(raw(), sql.c_str()) == 0) raise(operation, nullptr);
  return collect(operation);
}

Rows PgConnection::exec(std::string_view operation, const std::string& sql, std::span<const Param> params) {
  const std::vector<const char*> values = c_strings(params);
  if (PQsendQueryParams(raw(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr,
                        0) == 0) {
    raise(operation, nullptr);
  }
  return collect(operation);
}

Rows PgConnection::exec_often(std::string_view operation, const std::string& sql, std::initializer_list<Param> params) {
  const auto [name, is_new] = often_name(sql);
  if (is_new) {
    if (PQsendPrepare(raw(), name.c_str(), sql.c_str(), 0, nullptr) == 0) raise(operation, nullptr);
    try {
      collect(operation);
    } catch (...) {
      often_.erase(sql);
      throw;
    }
  }
  const std::vector<const char*> values = c_strings({params.begin(), params.size()});
  if (PQsendQueryPrepared(raw(), name.c_str(), static_cast<int>(values.size()), values.data(), nullptr, nullptr, 0) ==
      0) {
    raise(operation, nullptr);
  }
  return collect(operation);
}

PgConnection::OftenName PgConnection::often_name(const std::string& sql) {
  const auto [entry, is_new] = often_.try_emplace(sql);
  if (is_new) entry->second = "teal_often_" + std::to_string(often_made_++);
  return {entry->second, is_new};
}

void PgConnection::forget_prepared(std::string_view operation) {
  exec(operation, "DEALLOCATE ALL");
  often_.clear();
}

Rows PgConnection::collect(std::string_view operation) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<std::chrono::steady_clock::time_point> cancelled;
  ResultHandle last;
  ResultHandle failed;
  for (;;) {
    const int unsent = PQflush(raw());
    if (unsent < 0) raise(operation, nullptr);
    if (PQisBusy(raw()) != 0 || unsent > 0) {
      if (stop_.stop_requested() && !cancelled) {
        cancel();
        cancelled = std::chrono::steady_clock::now();
      }
      if (cancelled) check_cancel_answered(operation, *cancelled);
      const auto waited = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
      if (answer_within_.count() > 0 && waited > answer_within_) {
        given_up_ = true;
        throw PgError(std::string(operation),
                      label_ + " has not answered for " + std::to_string(waited.count()) + " ms", "08006");
      }
      if (wait_socket(unsent > 0, kStopCheck)) {
        if (PQconsumeInput(raw()) == 0) raise(operation, nullptr);
      } else {
        tell_waiting(waited);
      }
      continue;
    }
    ResultHandle result(PQgetResult(raw()));
    if (!result) break;
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COPY_BOTH || status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
      return Rows(std::move(result));
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!failed) failed = std::move(result);
    } else {
      last = std::move(result);
    }
  }
  if (failed) raise(operation, failed.get());
  if (!last) raise(operation, nullptr);
  return Rows(std::move(last));
}

void PgConnection::raise(std::string_view operation, const PGresult* result) const {
  const auto field = [result](int code) {
    const char* text = result == nullptr ? nullptr : PQresultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  std::string text = field(PG_DIAG_MESSAGE_PRIMARY);
  if (text.empty()) text = trimmed(PQerrorMessage(raw()));
  if (text.empty()) text = "the connection to " + label_ + " was lost";
  std::string constraint = field(PG_DIAG_CONSTRAINT_NAME);
  std::string sqlstate = field(PG_DIAG_SQLSTATE);
  if (sqlstate.starts_with("22") && sqlstate != kInvalidParameter) text = without_quoted(text);
  // A full lock table and a lack of memory share a SQLSTATE; in any language, the hint names the setting.
  if (field(PG_DIAG_MESSAGE_HINT).find(kLocksSetting) != std::string::npos) {
    text += ": raise " + std::string(kLocksSetting) + " on " + label_ + ", which needs a restart of it";
  }
  throw PgError(std::string(operation), std::move(text), std::move(sqlstate), std::move(constraint));
}

void PgConnection::check_cancel_answered(std::string_view operation,
                                         std::chrono::steady_clock::time_point asked) const {
  if (std::chrono::steady_clock::now() - asked < kCancelPatience) return;
  throw PgError(std::string(operation), label_ + " does not answer, also not to a request to cancel", "57014");
}

bool PgConnection::wait_socket(bool want_write, milliseconds wait) const {
  pollfd entry{.fd = PQsocket(raw()), .events = POLLIN, .revents = 0};
  if (want_write) entry.events |= POLLOUT;
  if (entry.fd < 0) raise("wait for " + label_, nullptr);
  const int ready = ::poll(&entry, 1, static_cast<int>(wait.count()));
  if (ready < 0 && errno != EINTR) raise("wait for " + label_, nullptr);
  if (ready == 0 && wait.count() > 0) check_peer();
  return ready > 0;
}

// A server that leaves what was sent unread still answers the kernel's probes; a machine that is gone does not.
void PgConnection::check_peer() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(PQsocket(raw()), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;  // a Unix socket
  const bool unanswered = info.tcpi_retransmits > 0 || info.tcpi_probes > 1;
  if (!unanswered || milliseconds(info.tcpi_last_ack_recv) < kPeerSilence) return;
  throw PgError("wait for " + label_,
                "its machine has not answered for " + std::to_string(info.tcpi_last_ack_recv / 1000) + " s", "08006");
}

void PgConnection::cancel() const {
  // PQcancel opens a connection and waits without limit: a frozen server must not freeze us.
  std::thread([handle = CancelHandle(PQgetCancel(raw()))] {
    std::array<char, 256> ignored{};
    if (handle) PQcancel(handle.get(), ignored.data(), static_cast<int>(ignored.size()));
  }).detach();
}

std::string quote_identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string quote_qualified(std::string_view schema, std::string_view name) {
  return quote_identifier(schema) + "." + quote_identifier(name);
}

std::string quote_literal(std::string_view text) {
  std::string out;
  bool escaped = false;
  for (const char c : text) {
    if (c == '\'') out.push_back('\'');
    if (c == '\\') {
      out.push_back('\\');
      escaped = true;
    }
    out.push_back(c);
  }
  return (escaped ? " E'" : "'") + out + "'";
}

}  // namespace teal
