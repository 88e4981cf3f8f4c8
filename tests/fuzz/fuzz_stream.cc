// Streamed transactions: the messages around blocks, and every message inside of one.
#include <variant>

#include "decoder/stream_message.h"
#include "tests/fuzz/fuzz_support.h"

namespace teal::fuzz {
namespace {

using P = test::PgoutputBuilder;

constexpr std::size_t kMemoryPerByte = 64;

test::Bytes rebuilt(const StreamMessage& message) {
  struct Rebuild {
    test::Bytes operator()(const StreamStartMessage& m) const { return P::stream_start(m.xid, m.first_segment); }
    test::Bytes operator()(const StreamStopMessage&) const { return P::stream_stop(); }
    test::Bytes operator()(const StreamCommitMessage& m) const { return P::stream_commit(m); }
    test::Bytes operator()(const StreamAbortMessage& m) const { return P::stream_abort(m); }
    test::Bytes operator()(const StreamedMessage& m) const { return P::streamed(m.subxid, test::without_xid(m)); }
  };
  return std::visit(Rebuild{}, message);
}

/// What a block's message is without its xid, when it is one.
test::Bytes check_at(const test::Bytes& message, StreamPlace place) {
  const BoundedMemory bounded(message.size(), kMemoryPerByte);
  const auto parsed = parse_stream_message(message, place);
  if (parsed.has_error()) {
    require_error_fits(parsed.error(), message.size());
    return {};
  }
  require(place != StreamPlace::kInTransaction, "nothing of streaming may stand inside a transaction");
  require(rebuilt(*parsed) == message, "a message is understood byte for byte");
  const auto* const streamed = std::get_if<StreamedMessage>(&*parsed);
  return streamed != nullptr ? test::without_xid(*streamed) : test::Bytes{};
}

}  // namespace
}  // namespace teal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using teal::StreamPlace;
  const teal::test::Bytes message = teal::fuzz::message_of(data, size, "SEcARYOIUDTM");
  teal::fuzz::check_at(message, StreamPlace::kBetween);
  teal::fuzz::check_at(message, StreamPlace::kInTransaction);
  teal::fuzz::check_ordinary_message(teal::fuzz::check_at(message, StreamPlace::kInBlock));
  return 0;
}
