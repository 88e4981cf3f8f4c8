// Reads a slot's stream up to the first commit that ends above a position, throws it away, acknowledges it, and prints
// how long that took: what the source can decode is what no target can beat. As `teal` does, it asks for binary values
// and large transactions in blocks, and lets the receive window close before it reads on; with `--eager` it reads
// whatever is there, which costs the source a segment per row.
//   decode_limit CONNINFO SLOT PUBLICATION AFTER_LSN [--eager]
#include <libpq-fe.h>
#include <poll.h>

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/pg_handle.h"
#include "engine/read_pacer.h"
#include "engine/receive_window.h"

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(PGconn* connection, const char* what) {
  std::fprintf(stderr, "decode_limit: %s: %s", what, connection == nullptr ? "\n" : PQerrorMessage(connection));
  std::exit(1);
}

std::uint64_t parse_lsn(const char* text) {
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  if (std::sscanf(text, "%" SCNx32 "/%" SCNx32, &high, &low) != 2) fail(nullptr, "an LSN looks like 0/15D68C50");
  return static_cast<std::uint64_t>(high) << 32U | low;
}

std::uint64_t big_endian(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8U | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

struct Totals {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t at = 0;  // END of the last commit
};

// What has arrived; returns its bytes.
std::size_t drop_messages(PGconn* connection, Totals& totals) {
  std::size_t read = 0;
  char* message = nullptr;
  int size = 0;
  while ((size = PQgetCopyData(connection, &message, 1)) > 0) {
    const teal::TextHandle owner(message);
    if (message[0] == 'w') {
      totals.messages += 1;
      if (message[25] == 'C') totals.at = big_endian(message + 25 + 10);
      if (message[25] == 'c') totals.at = big_endian(message + 25 + 14);  // of what was streamed before its end
    }
    read += static_cast<std::size_t>(size);
  }
  if (size < 0) fail(connection, "the stream ended");
  totals.bytes += read;
  return read;
}

// All that was read, so that the slot begins there next time.
void acknowledge(PGconn* connection, std::uint64_t lsn) {
  std::string update = "r";
  const std::uint64_t fields[] = {lsn, lsn, lsn, 0};
  for (const std::uint64_t field : fields) {
    for (int shift = 56; shift >= 0; shift -= 8)
      update += static_cast<char>(field >> static_cast<unsigned>(shift) & 0xFFU);
  }
  update += '\0';
  if (PQputCopyData(connection, update.data(), static_cast<int>(update.size())) <= 0 || PQflush(connection) != 0)
    fail(connection, "acknowledge");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) fail(nullptr, "usage: decode_limit CONNINFO SLOT PUBLICATION AFTER_LSN [--eager]");
  const bool eager = argc > 5 && std::strcmp(argv[5], "--eager") == 0;
  const std::uint64_t after = parse_lsn(argv[4]);
  const auto start = Clock::now();
  const teal::ConnHandle handle(
      PQconnectdb((std::string(argv[1]) + "?replication=database&application_name=decode_limit").c_str()));
  PGconn* const connection = handle.get();
  if (PQstatus(connection) != CONNECTION_OK) fail(connection, "connect");
  const std::string command = "START_REPLICATION SLOT " + std::string(argv[2]) +
                              " LOGICAL 0/0 (proto_version '2', streaming 'on', binary 'true', publication_names '" +
                              argv[3] + "')";
  const teal::ResultHandle started(PQexec(connection, command.c_str()));
  if (PQresultStatus(started.get()) != PGRES_COPY_BOTH) fail(connection, "start");
  if (!eager) teal::limit_receive_window(PQsocket(connection));
  teal::ReadPacer pacer;
  Totals totals;
  while (totals.at <= after) {
    if (PQconsumeInput(connection) == 0) fail(connection, "read");
    const std::size_t read = drop_messages(connection, totals);
    pacer.read(read, Clock::now());
    pollfd socket{PQsocket(connection), POLLIN, 0};
    const bool more = poll(&socket, 1, 0) > 0;
    const auto rest = eager ? std::nullopt : pacer.rest(Clock::now());
    if (rest) {
      (void)poll(nullptr, 0, static_cast<int>(rest->count()));
    } else if (!more) {
      (void)poll(&socket, 1, 100);
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("{\"seconds\": %.4f, \"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", seconds, totals.messages,
              totals.bytes);
  acknowledge(connection, totals.at);
  return 0;
}
