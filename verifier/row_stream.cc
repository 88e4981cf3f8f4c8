#include "verifier/row_stream.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kStopCheck{100};
constexpr std::size_t kHeaderBytes = 19;  // signature, flags, and an extension that no version has

[[noreturn]] void refuse() { throw Stopped(StopCode::kBug, "rows of a COPY could not be read"); }

std::string_view take(std::string_view& rest, std::size_t bytes) {
  if (rest.size() < bytes) refuse();
  const std::string_view taken = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  return taken;
}

std::int32_t take_number(std::string_view& rest, std::size_t bytes) {
  std::uint32_t value = 0;
  for (const char byte : take(rest, bytes)) value = value << 8U | static_cast<unsigned char>(byte);
  return bytes == 2 ? static_cast<std::int16_t>(value) : static_cast<std::int32_t>(value);
}

}  // namespace

RowStream::RowStream(PgConnection& connection, std::string operation, const std::string& query)
    : connection_(connection), operation_(std::move(operation)) {
  const Rows started = connection_.exec(operation_, "COPY (" + query + ") TO STDOUT (FORMAT binary)");
  if (PQresultStatus(started.raw()) != PGRES_COPY_OUT) connection_.raise(operation_, nullptr);
}

// Each row is a message; the header comes before the first.
bool RowStream::read_message() {
  for (;;) {
    char* message = nullptr;
    const int size = PQgetCopyData(connection_.raw(), &message, 1);
    message_.reset(message);
    if (size > 0) {
      rest_ = {message, static_cast<std::size_t>(size)};
      if (std::exchange(first_, false)) take(rest_, kHeaderBytes);
      return true;
    }
    if (size == -1) return false;
    if (size == -2) connection_.raise(operation_, nullptr);
    if (connection_.stop_requested()) throw PgError(operation_, "stopped by request", "57014");
    if (connection_.wait_socket(false, kStopCheck) && PQconsumeInput(connection_.raw()) == 0) {
      connection_.raise(operation_, nullptr);
    }
  }
}

bool RowStream::next(std::vector<std::string_view>& fields) {
  fields.clear();
  while (rest_.empty()) {
    if (read_message()) continue;
    connection_.finish(operation_);
    return false;
  }
  const std::int32_t count = take_number(rest_, 2);
  if (count < 0) return next(fields);  // the trailer, which is a message of its own
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int32_t size = take_number(rest_, 4);
    fields.push_back(size < 0 ? std::string_view{} : take(rest_, static_cast<std::size_t>(size)));
  }
  return true;
}

}  // namespace teal
