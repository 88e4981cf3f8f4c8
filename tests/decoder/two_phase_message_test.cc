#include "decoder/two_phase_message.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tests/support/pgoutput_builder.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;

const Xid kXid{0x8000'0001};
const Lsn kStart{0x16'0000'1000};
const Lsn kEnd{0x16'0000'1030};
const Timestamp kTime{-7};
const Timestamp kLater{8};

std::vector<TwoPhaseMessage> good(std::string_view gid) {
  return {BeginPrepareMessage{kStart, kEnd, kTime, kXid, gid}, PrepareMessage{kStart, kEnd, kTime, kXid, gid},
          StreamPrepareMessage{kStart, kEnd, kTime, kXid, gid}, CommitPreparedMessage{kStart, kEnd, kTime, kXid, gid},
          RollbackPreparedMessage{kStart, kEnd, kTime, kLater, kXid, gid}};
}

void expect_error(const Bytes& bytes, DecodeErrc code, std::size_t offset) {
  const auto parsed = parse_two_phase_message(bytes);
  ASSERT_TRUE(parsed.has_error()) << "tag " << static_cast<char>(bytes.at(0));
  EXPECT_EQ(parsed.error(), (DecodeError{code, static_cast<char>(bytes.at(0)), offset})) << to_string(parsed.error());
}

TEST(TwoPhaseMessage, ReadsEveryFieldOfEveryKind) {
  const Bytes prepared = P::two_phase(RollbackPreparedMessage{kStart, kEnd, kTime, kLater, kXid, "deal 7"});
  const auto rollback = std::get<RollbackPreparedMessage>(parse_two_phase_message(prepared).value());
  EXPECT_EQ(rollback.prepare_end_lsn, kStart);
  EXPECT_EQ(rollback.rollback_end_lsn, kEnd);
  EXPECT_EQ(rollback.prepare_time, kTime);
  EXPECT_EQ(rollback.rollback_time, kLater);
  EXPECT_EQ(rollback.xid, kXid);
  EXPECT_EQ(rollback.gid, "deal 7");
}

// C6: SQL can't name a transaction "", but the wire could.
TEST(TwoPhaseMessage, C6EveryKindIsReadAndRebuiltByteForByteAlsoWithAnEmptyGid) {
  for (const std::string& gid : {std::string(), std::string("deal 7"), std::string(199, 'x')}) {
    for (const TwoPhaseMessage& message : good(gid)) {
      const Bytes bytes = P::two_phase(message);
      const auto parsed = parse_two_phase_message(bytes);
      ASSERT_TRUE(parsed.has_value()) << to_string(parsed.error());
      EXPECT_EQ(parsed->index(), message.index());
      EXPECT_EQ(P::two_phase(*parsed), bytes) << static_cast<char>(bytes.at(0));
    }
  }
}

TEST(TwoPhaseMessage, C10EveryProperPrefixAndEveryLongerMessageFailsCleanly) {
  for (const TwoPhaseMessage& message : good("deal 7")) {
    const Bytes bytes = P::two_phase(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const Bytes prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      const auto parsed = parse_two_phase_message(prefix);
      ASSERT_TRUE(parsed.has_error()) << static_cast<char>(bytes[0]) << ", prefix of " << size << " bytes";
      const DecodeErrc code = parsed.error().code;
      EXPECT_TRUE(code == DecodeErrc::kTruncated || code == DecodeErrc::kUnterminatedString);
      EXPECT_LE(parsed.error().offset, size);
    }
    Bytes longer = bytes;
    longer.push_back(std::byte{'x'});
    expect_error(longer, DecodeErrc::kTrailingBytes, bytes.size());
  }
}

TEST(TwoPhaseMessage, RefusesMissingPositionsTransactionZeroAndUnknownFlags) {
  expect_error(P::two_phase(BeginPrepareMessage{Lsn{}, kEnd, kTime, kXid, "g"}), DecodeErrc::kBadValue, 1);
  expect_error(P::two_phase(BeginPrepareMessage{kStart, Lsn{}, kTime, kXid, "g"}), DecodeErrc::kBadValue, 9);
  expect_error(P::two_phase(BeginPrepareMessage{kStart, kEnd, kTime, Xid{}, "g"}), DecodeErrc::kBadValue, 25);
  expect_error(P::two_phase(CommitPreparedMessage{Lsn{}, kEnd, kTime, kXid, "g"}), DecodeErrc::kBadValue, 2);
  expect_error(P::two_phase(CommitPreparedMessage{kStart, kEnd, kTime, Xid{}, "g"}), DecodeErrc::kBadValue, 26);
  expect_error(P::two_phase(RollbackPreparedMessage{kStart, Lsn{}, kTime, kLater, kXid, "g"}), DecodeErrc::kBadValue,
               10);
  expect_error(P::two_phase(RollbackPreparedMessage{kStart, kEnd, kTime, kLater, Xid{}, "g"}), DecodeErrc::kBadValue,
               34);
  for (const TwoPhaseMessage& message : good("g")) {
    Bytes bytes = P::two_phase(message);
    if (bytes[0] == std::byte{'b'}) continue;  // has no flags
    bytes[1] = std::byte{1};
    expect_error(bytes, DecodeErrc::kBadValue, 1);
  }
}

TEST(TwoPhaseMessage, C8EveryOtherTagIsUnknown) {
  for (int value = 0; value < 256; ++value) {
    if (std::string_view("bPpKr").find(static_cast<char>(value)) != std::string_view::npos) continue;
    expect_error(Bytes(40, static_cast<std::byte>(value)), DecodeErrc::kUnknownTag, 0);
  }
}

}  // namespace
}  // namespace teal
