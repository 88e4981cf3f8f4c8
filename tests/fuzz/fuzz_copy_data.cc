// The envelope: XLogData and keepalives.
#include <variant>

#include "decoder/copy_data.h"
#include "tests/fuzz/fuzz_support.h"

namespace teal::fuzz {
namespace {

constexpr std::size_t kMemoryPerByte = 64;

test::Bytes rebuilt(const CopyData& data) {
  using P = test::PgoutputBuilder;
  if (const auto* const keepalive = std::get_if<PrimaryKeepalive>(&data)) {
    return P::keepalive(keepalive->wal_end, keepalive->send_time, keepalive->reply_requested);
  }
  const auto& wal = std::get<XLogData>(data);
  return P::xlogdata(wal.start, wal.wal_end, wal.send_time, {wal.payload.begin(), wal.payload.end()});
}

void check(const test::Bytes& message) {
  const BoundedMemory bounded(message.size(), kMemoryPerByte);
  const auto parsed = parse_copy_data(message);
  if (parsed.has_error()) return require_error_fits(parsed.error(), message.size());
  require(rebuilt(*parsed) == message, "an envelope is understood byte for byte");
}

}  // namespace
}  // namespace teal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  teal::fuzz::check(teal::fuzz::message_of(data, size, "wk"));
  return 0;
}
