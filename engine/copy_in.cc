#include "engine/copy_in.h"

#include <chrono>
#include <optional>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kStopCheck{100};

}  // namespace

CopyIn::CopyIn(PgConnection& connection, std::string operation, const std::string& sql)
    : connection_(connection), operation_(std::move(operation)) {
  const Rows started = connection_.exec(operation_, sql);
  if (PQresultStatus(started.raw()) != PGRES_COPY_IN) connection_.raise(operation_, nullptr);
}

void CopyIn::write(std::string_view bytes) {
  if (PQputCopyData(connection_.raw(), bytes.data(), static_cast<int>(bytes.size())) <= 0) {
    connection_.raise(operation_, nullptr);
  }
  flush();
}

// A server that was cancelled takes the rest and drops it.
void CopyIn::flush() {
  const auto start = steady_clock::now();
  std::optional<steady_clock::time_point> cancelled;
  for (;;) {
    const int left = PQflush(connection_.raw());
    if (left < 0) connection_.raise(operation_, nullptr);
    if (left == 0) return;
    if (connection_.stop_requested() && !cancelled) {
      connection_.cancel();
      cancelled = steady_clock::now();
    }
    if (cancelled) connection_.check_cancel_answered(operation_, *cancelled);
    if (!connection_.wait_socket(true, kStopCheck)) {
      connection_.tell_waiting(std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - start));
    } else if (PQconsumeInput(connection_.raw()) ==
               0) {  // it may have something to say (an error) before it takes more
      connection_.raise(operation_, nullptr);
    }
  }
}

std::uint64_t CopyIn::end() {
  if (PQputCopyEnd(connection_.raw(), nullptr) < 0) connection_.raise(operation_, nullptr);
  flush();
  return connection_.finish(operation_).affected();
}

}  // namespace teal
