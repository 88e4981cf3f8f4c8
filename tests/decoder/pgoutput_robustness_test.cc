// What holds for messages of every kind: C8 and C10 of the trap list.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory_resource>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decoder/pgoutput.h"
#include "decoder/transaction_assembler.h"
#include "tests/decoder/message_cases.h"
#include "tests/support/random_seed.h"

namespace teal {
namespace {

using test::Bytes;

/// Copies to the heap's end, where the address sanitizer sees a read past the last byte.
Bytes exact_copy(const Bytes& bytes, std::size_t size) {
  return Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
}

/// Counts what a parser asks for, and gives it.
class CountingResource : public std::pmr::memory_resource {
 public:
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    bytes_ += bytes;
    return arena_.allocate(bytes, alignment);
  }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::monotonic_buffer_resource arena_;
  std::size_t bytes_ = 0;
};

TEST(PgoutputRobustness, C10EveryProperPrefixOfEveryGoodMessageFailsCleanly) {
  for (const auto& [name, bytes] : test::good_messages()) {
    // Every length of short messages; a sample of the long ones.
    for (std::size_t size = 0; size < bytes.size(); size += size < 2'000 ? 1 : 997) {
      std::pmr::monotonic_buffer_resource arena;
      const Bytes prefix = exact_copy(bytes, size);
      const auto parsed = parse_message(prefix, arena);
      ASSERT_TRUE(parsed.has_error()) << name << ", prefix of " << size << " bytes";
      const DecodeError error = parsed.error();
      EXPECT_TRUE(error.code == DecodeErrc::kTruncated || error.code == DecodeErrc::kUnterminatedString)
          << name << ": " << to_string(error);
      EXPECT_EQ(error.tag, size == 0 ? '\0' : static_cast<char>(bytes[0])) << name;
      EXPECT_LE(error.offset, size) << name;
    }
  }
}

TEST(PgoutputRobustness, C10EveryGoodMessagePlusOneByteHasTrailingBytes) {
  for (const auto& [name, bytes] : test::good_messages()) {
    for (const int extra : {0, 78, 255}) {
      Bytes longer = bytes;
      longer.push_back(static_cast<std::byte>(extra));
      std::pmr::monotonic_buffer_resource arena;
      const auto parsed = parse_message(longer, arena);
      ASSERT_TRUE(parsed.has_error()) << name;
      EXPECT_EQ(parsed.error(), (DecodeError{DecodeErrc::kTrailingBytes, static_cast<char>(bytes[0]), bytes.size()}))
          << name;
    }
  }
}

TEST(PgoutputRobustness, C8EveryOtherTagIsUnknown) {
  const std::set<char> known{'B', 'C', 'D', 'I', 'M', 'O', 'R', 'T', 'U', 'Y'};
  for (int value = 0; value < 256; ++value) {
    const auto tag = static_cast<char>(value);
    if (known.contains(tag)) continue;
    std::pmr::monotonic_buffer_resource arena;
    const auto parsed = parse_message(Bytes(40, static_cast<std::byte>(value)), arena);
    ASSERT_TRUE(parsed.has_error()) << value;
    EXPECT_EQ(parsed.error(), (DecodeError{DecodeErrc::kUnknownTag, tag, 0}));
  }
}

TEST(PgoutputRobustness, C8StreamingAndTwoPhaseKindsAreUnknownInProtocolOne) {
  for (const char tag : {'S', 'E', 'c', 'A', 'b', 'P', 'K', 'r', 'p'}) {
    std::pmr::monotonic_buffer_resource arena;
    const auto parsed = parse_message(Bytes{static_cast<std::byte>(tag)}, arena);
    ASSERT_TRUE(parsed.has_error());
    EXPECT_EQ(parsed.error().code, DecodeErrc::kUnknownTag) << tag;
  }
}

TEST(PgoutputRobustness, RowMessagesTakeMemoryFromTheArenaOnly) {
  CountingResource arena;
  const Bytes bytes = test::PgoutputBuilder::update_key(RelationId{1}, {test::text("1")}, {test::text("2")});
  ASSERT_TRUE(parse_message(bytes, arena).has_value());
  EXPECT_EQ(arena.bytes(), 2 * sizeof(ColumnValue));
}

/// Changes one to four bytes, or cuts, or appends, or doubles a piece.
Bytes mutated(Bytes bytes, std::mt19937_64& random) {
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  const std::size_t edits = 1 + below(4);
  for (std::size_t i = 0; i < edits && !bytes.empty(); ++i) {
    const std::size_t at = below(bytes.size());
    const auto position = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<std::byte>(random());
        break;
      case 1:
        bytes[at] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 2:
        bytes[at] = below(2) == 0 ? std::byte{0} : std::byte{0xFF};
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.insert(position, static_cast<std::byte>(random()));
        break;
      default:
        bytes.erase(position);
        break;
    }
  }
  return bytes;
}

TEST(PgoutputRobustness, C10TenThousandMutatedMessagesNeverCrashNorTakeUnboundedMemory) {
  const std::uint64_t seed = test::random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto good = test::good_messages();
  for (int i = 0; i < 10'000; ++i) {
    const Bytes bytes = mutated(good[random() % good.size()].bytes, random);
    CountingResource arena;
    const auto parsed = parse_message(bytes, arena);
    // A column takes at least one byte on the wire, and a relation id four.
    EXPECT_LE(arena.bytes(), bytes.size() * sizeof(ColumnValue));
    if (parsed.has_error()) {
      EXPECT_LE(parsed.error().offset, bytes.size());
    } else {
      EXPECT_FALSE(test::rebuild(*parsed).empty());  // reads every byte that the result points to
    }
  }
}

/// Adds `bytes`; false once the stream is refused.
bool accepts(TransactionAssembler& assembler, const Bytes& bytes, std::vector<TransactionSlice>& slices) {
  Frame frame = test::frame_of(bytes);
  const auto message = frame.bytes();
  auto added = assembler.add(Lsn{1}, message, std::move(frame));
  if (added.has_error()) return false;
  if (added->has_value()) slices.push_back(*std::move(*added));
  return true;
}

TEST(AssemblerRobustness, C10AThousandMutatedStreamsNeverCrashNorEndATransactionWithoutItsCommit) {
  const std::uint64_t seed = test::random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto good = test::good_messages();
  for (int stream = 0; stream < 1'000; ++stream) {
    TransactionAssembler assembler({.own_origin_prefix = "teal_demo_", .slice_bytes_max = 4096});
    std::vector<TransactionSlice> slices;
    std::size_t commits = 0;
    bool accepted = accepts(assembler, test::PgoutputBuilder::begin(Lsn{1}, Timestamp{}, Xid{1}), slices);
    for (int i = 0; i < 50 && accepted; ++i) {
      Bytes bytes = good[random() % good.size()].bytes;
      if (random() % 8 == 0) bytes = mutated(std::move(bytes), random);
      accepted = accepts(assembler, bytes, slices);
      if (accepted && bytes.at(0) == std::byte{'C'}) ++commits;
    }
    std::size_t ends = 0;
    for (const TransactionSlice& slice : slices) {
      ends += slice.last ? 1U : 0U;
      for (const Change& change : slice.changes) {
        EXPECT_TRUE(change.op == ChangeOp::kTruncate || change.op == ChangeOp::kDelete ||
                    change.new_tuple.size() == change.relation->columns.size());
      }
    }
    EXPECT_EQ(ends, commits);
  }
}

}  // namespace
}  // namespace teal
