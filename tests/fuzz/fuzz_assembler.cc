// A whole stream, as a receiver meets it: ordinary, streamed and prepared transactions into the assembler.
// Input: a byte of choices, then messages, each behind its length in two bytes; the last may be shorter than it says.
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include "tests/fuzz/fuzz_support.h"
#include "tests/support/stream_replay.h"

// libFuzzer's own, for the mutator below. Source: its documentation, "Structure-aware fuzzing".
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace teal::fuzz {
namespace {

using test::Bytes;

constexpr std::size_t kLengthBytes = 2;
constexpr std::size_t kMessageBytesMax = 0xFFFF;
// A transaction is a Begin and a Commit, 44 bytes, and becomes a slice with room for some rows.
constexpr std::size_t kMemoryPerByte = 512;
constexpr std::size_t kMemoryToBeginWith = 32 * 1024;  // the assembler's own

struct Stream {
  std::uint8_t choices = 0;
  std::vector<Bytes> messages;
};

Stream stream_of(std::span<const std::byte> input) {
  Stream stream;
  if (input.empty()) return stream;
  stream.choices = std::to_integer<std::uint8_t>(input[0]);
  input = input.subspan(1);
  while (input.size() >= kLengthBytes) {
    const auto announced = std::to_integer<std::size_t>(input[0]) << 8U | std::to_integer<std::size_t>(input[1]);
    const auto message = input.subspan(kLengthBytes, std::min(announced, input.size() - kLengthBytes));
    stream.messages.emplace_back(message.begin(), message.end());
    input = input.subspan(kLengthBytes + message.size());
  }
  return stream;
}

Bytes input_of(const Stream& stream) {
  Bytes input{static_cast<std::byte>(stream.choices)};
  for (const Bytes& message : stream.messages) {
    input.push_back(static_cast<std::byte>(message.size() >> 8U));
    input.push_back(static_cast<std::byte>(message.size() & 0xFFU));
    input.insert(input.end(), message.begin(), message.end());
  }
  return input;
}

/// Reads all that `tuple` points to.
std::size_t weight(TupleView tuple) {
  std::size_t sum = tuple.size();
  for (const ColumnValue& column : tuple) {
    for (const char c : column.text()) sum += static_cast<unsigned char>(c);
  }
  return sum;
}

std::size_t check_change(const Change& change) {
  require(change.relation != nullptr, "a change has a relation");
  if (change.op == ChangeOp::kTruncate) {
    require(!change.truncated.empty(), "a TRUNCATE has tables");
    std::size_t sum = 0;
    for (const Relation* table : change.truncated) sum += table->name.size();
    return sum;
  }
  const std::size_t columns = change.relation->columns.size();
  require(change.op == ChangeOp::kDelete || change.new_tuple.size() == columns, "a new row has its relation's columns");
  require(change.old_kind == OldTupleKind::kNone || change.old_tuple.size() == columns, "and an old one");
  return weight(change.old_tuple) + weight(change.new_tuple);
}

/// Takes slices as a link does, and looks at their rows only when the stream is over.
class Taker {
 public:
  void take(TransactionSlice slice) {
    require(slice.first == !open_, "a transaction begins with its first slice");
    open_ = !slice.last;
    require(!slice.last || slice.end_lsn > slice.facts.final_lsn, "it ends after its commit record");
    require(slice.counts.own <= slice.counts.received, "own changes were received");
    require(!slice.facts.own || slice.counts.own == slice.counts.received, "all of an own transaction's are own");
    slices_.push_back(std::move(slice));
  }
  /// Every byte of every row; the assembler may be gone.
  [[nodiscard]] std::size_t weigh() const {
    std::size_t sum = 0;
    for (const TransactionSlice& slice : slices_) {
      for (const Change& change : slice.changes) sum += check_change(change);
    }
    return sum;
  }

 private:
  bool open_ = false;
  std::vector<TransactionSlice> slices_;
};

void check(std::span<const std::byte> input) {
  const BoundedMemory bounded(input.size(), kMemoryPerByte, kMemoryToBeginWith);
  const Stream stream = stream_of(input);
  Taker taker;
  {
    const AssemblerOptions options{.own_origin_prefix = (stream.choices & 1U) != 0 ? "teal_" : "",
                                   .slice_bytes_max = (stream.choices & 2U) != 0 ? 2'000U : 1U << 20U};
    const int protocol = (stream.choices & 4U) != 0 ? 4 : 1;
    test::StreamReplay replay(protocol, options, [&](TransactionSlice slice) { taker.take(std::move(slice)); });
    try {
      Lsn lsn{1};
      for (const Bytes& message : stream.messages) {
        replay.add(lsn, message);
        lsn.value += 8;
      }
    } catch (const std::runtime_error&) {  // the stream is refused, and ends there
    }
  }
  [[maybe_unused]] const volatile std::size_t weight = taker.weigh();
}

/// Changes the stream by whole messages, or one message by its bytes.
void mutate(Stream& stream, std::uint32_t random) {
  const auto below = [&](std::size_t limit) {
    random = random * 1'664'525U + 1'013'904'223U;
    return (random >> 8U) % limit;
  };
  std::vector<Bytes>& messages = stream.messages;
  if (messages.empty()) return;
  const std::size_t at = below(messages.size());
  const auto place = messages.begin() + static_cast<std::ptrdiff_t>(at);
  switch (below(8)) {
    case 0:
      messages.erase(place);
      break;
    case 1:
      messages.insert(messages.begin() + static_cast<std::ptrdiff_t>(below(messages.size() + 1)), Bytes(messages[at]));
      break;
    case 2:
      std::swap(messages[at], messages[below(messages.size())]);
      break;
    case 3:
      stream.choices = static_cast<std::uint8_t>(below(8));
      break;
    default: {
      Bytes& message = messages[at];
      const std::size_t size = message.size();
      message.resize(std::min(size + 16, kMessageBytesMax));
      auto* const bytes = reinterpret_cast<std::uint8_t*>(message.data());
      message.resize(LLVMFuzzerMutate(bytes, std::min(size, message.size()), message.size()));
    }
  }
}

}  // namespace
}  // namespace teal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  teal::fuzz::check(input);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned int seed) {
  if (seed % 8 == 0) return LLVMFuzzerMutate(data, size, size_max);
  teal::fuzz::Stream stream = teal::fuzz::stream_of(std::as_bytes(std::span(data, size)));
  teal::fuzz::mutate(stream, seed);
  const teal::test::Bytes changed = teal::fuzz::input_of(stream);
  if (changed.size() > size_max) return LLVMFuzzerMutate(data, size, size_max);
  std::transform(changed.begin(), changed.end(), data, [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return changed.size();
}
