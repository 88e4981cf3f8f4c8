#include "applier/copy_relay.h"

#include <chrono>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::size_t kWriteBytes = 128U << 10U;  // rows travel in pieces of about this size
constexpr std::chrono::milliseconds kStopCheck{100};

class Relay {
 public:
  Relay(PgConnection& source, PgConnection& target, CopyCounters& counters)
      : source_(source), target_(target), counters_(counters) {}

  CopiedRows run(const std::string& copy_out, const std::string& copy_in) {
    begin(source_, "read rows", copy_out, PGRES_COPY_OUT);
    begin(target_, "write rows", copy_in, PGRES_COPY_IN);
    while (read_row()) {
      if (buffer_.size() >= kWriteBytes) write_buffer();
    }
    write_buffer();
    if (PQputCopyEnd(target_.raw(), nullptr) < 0) target_.raise("write rows", nullptr);
    flush();
    const std::uint64_t sent = end(source_, "read rows");
    const std::uint64_t taken = end(target_, "write rows");
    if (sent != taken) {
      throw Stopped(StopCode::kData, "the source sent " + std::to_string(sent) + " rows and the target took " +
                                         std::to_string(taken) + "; nothing was kept");
    }
    return {taken, bytes_};
  }

 private:
  static void begin(PgConnection& connection, const char* operation, const std::string& sql, ExecStatusType expected) {
    const Rows started = connection.exec(operation, sql);
    if (PQresultStatus(started.raw()) != expected) connection.raise(operation, nullptr);
  }

  void check_stop() const {
    if (source_.stop_requested()) throw PgError("copy rows", "stopped by request", "57014");
  }

  // Appends the next row; false at the end.
  bool read_row() {
    for (;;) {
      char* row = nullptr;
      const int size = PQgetCopyData(source_.raw(), &row, 1);
      const TextHandle owner(row);
      if (size > 0) {
        buffer_.append(row, static_cast<std::size_t>(size));
        return true;
      }
      if (size == -1) return false;
      if (size == -2) source_.raise("read rows", nullptr);
      check_stop();
      if (source_.wait_socket(false, kStopCheck) && PQconsumeInput(source_.raw()) == 0)
        source_.raise("read rows", nullptr);
    }
  }

  void write_buffer() {
    if (buffer_.empty()) return;
    if (!counters_.rate.take(buffer_.size(), source_.stop_token())) check_stop();
    if (PQputCopyData(target_.raw(), buffer_.data(), static_cast<int>(buffer_.size())) <= 0) {
      target_.raise("write rows", nullptr);
    }
    flush();
    counters_.bytes += buffer_.size();
    bytes_ += buffer_.size();
    buffer_.clear();
  }

  // Everything leaves before more is read: libpq's buffer must not grow with the table.
  void flush() {
    for (;;) {
      const int left = PQflush(target_.raw());
      if (left < 0) target_.raise("write rows", nullptr);
      if (left == 0) return;
      check_stop();
      // The server may have something to say (an error) before it takes more.
      if (target_.wait_socket(true, kStopCheck) && PQconsumeInput(target_.raw()) == 0)
        target_.raise("write rows", nullptr);
    }
  }

  static std::uint64_t end(PgConnection& connection, const char* operation) {
    return connection.finish(operation).affected();
  }

  PgConnection& source_;
  PgConnection& target_;
  CopyCounters& counters_;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

CopiedRows relay_copy(PgConnection& source, const std::string& copy_out, PgConnection& target,
                      const std::string& copy_in, CopyCounters& counters) {
  const CopiedRows copied = Relay(source, target, counters).run(copy_out, copy_in);
  counters.rows += copied.rows;
  return copied;
}

}  // namespace teal
