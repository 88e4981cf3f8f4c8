#include "applier/copy_relay.h"

#include <chrono>

#include "engine/copy_in.h"
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
    const Rows started = source_.exec("read rows", copy_out);
    if (PQresultStatus(started.raw()) != PGRES_COPY_OUT) source_.raise("read rows", nullptr);
    CopyIn writing(target_, "write rows", copy_in);
    while (read_row()) {
      if (buffer_.size() >= kWriteBytes) write_buffer(writing);
    }
    write_buffer(writing);
    const std::uint64_t sent = source_.finish("read rows").affected();
    const std::uint64_t taken = writing.end();
    if (sent != taken) {
      throw Stopped(StopCode::kData, "the source sent " + std::to_string(sent) + " rows and the target took " +
                                         std::to_string(taken) + "; nothing was kept");
    }
    return {taken, bytes_};
  }

 private:
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

  void write_buffer(CopyIn& writing) {
    if (buffer_.empty()) return;
    if (!counters_.rate.take(buffer_.size(), source_.stop_token())) check_stop();
    writing.write(buffer_);
    counters_.bytes += buffer_.size();
    bytes_ += buffer_.size();
    buffer_.clear();
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
