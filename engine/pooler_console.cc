#include "engine/pooler_console.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/connect_params.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kUnreachable = "08001";
constexpr const char* kLost = "08006";

bool wait_for(int socket, short events, steady_clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    pollfd entry{.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max(left, milliseconds(0)).count()));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

std::string no_answer(milliseconds time) { return "it has not answered for " + std::to_string(time.count()) + " ms"; }

// The field M of an ErrorResponse: fields are a letter and a text that ends with a zero.
std::string error_text(std::string_view fields) {
  while (fields.size() > 1 && fields.front() != '\0') {
    const std::size_t end = std::min(fields.find('\0'), fields.size());
    if (fields.front() == 'M') return std::string(fields.substr(1, end - 1));
    fields.remove_prefix(std::min(end + 1, fields.size()));
  }
  return "it refused";
}

}  // namespace

void PoolerConsole::raise(const std::string& text, const char* sqlstate) {
  given_up_ = given_up_ || *sqlstate != '\0';
  throw PgError(command_ + " at " + label_, text, sqlstate);
}

PoolerConsole::PoolerConsole(const std::string& conninfo, std::string label, milliseconds answer_within)
    : connection_(PQconnectStart(conninfo.c_str())),
      label_(std::move(label)),
      answer_within_(answer_within),
      command_("connect") {
  PGconn* raw = connection_.get();
  if (raw == nullptr) raise("out of memory", kUnreachable);
  const auto until = steady_clock::now() + answer_within_;
  PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
  while (PQstatus(raw) != CONNECTION_BAD && wants != PGRES_POLLING_OK && wants != PGRES_POLLING_FAILED) {
    const short events = wants == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (!wait_for(PQsocket(raw), events, until)) {
      raise(no_answer(answer_within_), kUnreachable);
    }
    wants = PQconnectPoll(raw);
  }
  if (PQstatus(raw) != CONNECTION_OK) raise(trimmed(PQerrorMessage(raw)), kUnreachable);
  PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
}

void PoolerConsole::send(const std::string& command) {
  command_ = command;
  // The console knows the simple protocol only.
  if (PQsendQuery(connection_.get(), command.c_str()) == 0) raise(trimmed(PQerrorMessage(connection_.get())), kLost);
}

bool PoolerConsole::wait_readable(steady_clock::time_point until) {
  PGconn* raw = connection_.get();
  while (PQisBusy(raw) != 0) {
    if (!wait_for(PQsocket(raw), POLLIN, until)) return false;
    if (PQconsumeInput(raw) == 0) raise(trimmed(PQerrorMessage(raw)), kLost);
  }
  return true;
}

bool PoolerConsole::answered_within(milliseconds time) {
  const auto until = steady_clock::now() + time;
  std::string refused;
  for (;;) {
    if (!wait_readable(until)) return false;
    const ResultHandle result(PQgetResult(connection_.get()));
    if (!result) break;
    if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) refused = trimmed(PQresultErrorMessage(result.get()));
  }
  if (!refused.empty()) raise(refused, "");
  return true;
}

Rows PoolerConsole::exec(const std::string& command) {
  send(command);
  const auto until = steady_clock::now() + answer_within_;
  ResultHandle last;
  std::string refused;
  for (;;) {
    if (!wait_readable(until)) raise(no_answer(answer_within_), kLost);
    ResultHandle result(PQgetResult(connection_.get()));
    if (!result) break;
    if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) refused = trimmed(PQresultErrorMessage(result.get()));
    last = std::move(result);
  }
  if (!refused.empty()) raise(refused, "");
  if (!last) raise("no answer", kLost);
  return Rows(std::move(last));
}

void PoolerConsole::send_bytes(const std::string& bytes, steady_clock::time_point until) {
  const int socket = PQsocket(connection_.get());
  for (std::size_t sent = 0; sent < bytes.size();) {
    if (!wait_for(socket, POLLOUT, until)) raise("it takes nothing", kLost);
    const ssize_t size = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR) raise(std::strerror(errno), kLost);
    if (size > 0) sent += static_cast<std::size_t>(size);
  }
}

// Past libpq, which takes the answer to one command at a time.
void PoolerConsole::read_answers(std::size_t count, steady_clock::time_point until) {
  constexpr std::size_t kHeader = 5;  // type and length
  const int socket = PQsocket(connection_.get());
  std::string input;
  std::string refused;
  while (count > 0) {
    std::array<char, 4096> buffer{};
    if (!wait_for(socket, POLLIN, until)) raise(no_answer(answer_within_), kLost);
    const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) raise("the connection was closed", kLost);
    if (size > 0) input.append(buffer.data(), static_cast<std::size_t>(size));
    while (input.size() >= kHeader) {
      std::uint32_t length = 0;  // of what follows the type, itself included
      std::memcpy(&length, input.data() + 1, sizeof(length));
      length = ntohl(length);
      if (input.size() < length + 1U) break;
      if (input.front() == 'E') refused = error_text(std::string_view(input).substr(kHeader, length - 4));
      if (input.front() == 'Z') --count;
      input.erase(0, length + 1U);
    }
  }
  if (!refused.empty()) raise(refused, "");
}

void PoolerConsole::exec_together(std::span<const std::string> commands) {
  if (PQsslInUse(connection_.get()) != 0) {
    for (const std::string& command : commands) exec(command);
    return;
  }
  std::string bytes;
  command_.clear();
  for (const std::string& command : commands) {
    const std::uint32_t length = htonl(static_cast<std::uint32_t>(command.size() + 5));
    bytes += "Q" + std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + command + '\0';
    command_ += (command_.empty() ? "" : "; ") + command;
  }
  const auto until = steady_clock::now() + answer_within_;
  send_bytes(bytes, until);
  read_answers(commands.size(), until);
}

}  // namespace teal
