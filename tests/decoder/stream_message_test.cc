#include "decoder/stream_message.h"

#include <gtest/gtest.h>

#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "decoder/pgoutput.h"
#include "tests/decoder/message_cases.h"
#include "tests/support/pgoutput_builder.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;

constexpr StreamPlace kPlaces[] = {StreamPlace::kBetween, StreamPlace::kInBlock, StreamPlace::kInTransaction};
const Xid kXid{0x8000'0001};
const StreamCommitMessage kCommit{kXid, Lsn{0x16'0000'1000}, Lsn{0x16'0000'1030}, Timestamp{-7}};
const StreamAbortMessage::Record kRecord{Lsn{0x16'0000'2000}, Timestamp{8}};

/// Copies the bytes, so that nothing may be read outside of them unseen.
class Parsed {
 public:
  Parsed(Bytes bytes, StreamPlace place) : bytes_(std::move(bytes)), parsed_(parse_stream_message(bytes_, place)) {}
  template <class M>
  const M& as() const {
    return std::get<M>(parsed_.value());
  }
  [[nodiscard]] bool has_error() const { return parsed_.has_error(); }
  [[nodiscard]] DecodeError error() const { return parsed_.error(); }

 private:
  Bytes bytes_;
  Result<StreamMessage> parsed_;
};

void expect_error(const Bytes& bytes, StreamPlace place, DecodeErrc code, std::size_t offset) {
  const Parsed parsed(bytes, place);
  ASSERT_TRUE(parsed.has_error()) << "tag " << static_cast<char>(bytes.at(0));
  EXPECT_EQ(parsed.error(), (DecodeError{code, static_cast<char>(bytes.at(0)), offset})) << to_string(parsed.error());
}

TEST(StreamMessage, ReadsAStart) {
  const Parsed first(P::stream_start(kXid, true), StreamPlace::kBetween);
  EXPECT_EQ(first.as<StreamStartMessage>().xid, kXid);
  EXPECT_TRUE(first.as<StreamStartMessage>().first_segment);
  const Parsed later(P::stream_start(kXid, false), StreamPlace::kBetween);
  EXPECT_FALSE(later.as<StreamStartMessage>().first_segment);
}

TEST(StreamMessage, ReadsAStop) {
  const Parsed parsed(P::stream_stop(), StreamPlace::kInBlock);
  (void)parsed.as<StreamStopMessage>();
}

TEST(StreamMessage, ReadsACommit) {
  const Parsed parsed(P::stream_commit(kCommit), StreamPlace::kBetween);
  EXPECT_EQ(parsed.as<StreamCommitMessage>().xid, kXid);
  EXPECT_EQ(parsed.as<StreamCommitMessage>().commit_lsn, kCommit.commit_lsn);
  EXPECT_EQ(parsed.as<StreamCommitMessage>().end_lsn, kCommit.end_lsn);
  EXPECT_EQ(parsed.as<StreamCommitMessage>().commit_time, kCommit.commit_time);
}

TEST(StreamMessage, ReadsAnAbortOfASubtransactionAndOfTheWhole) {
  const Parsed part(P::stream_abort({kXid, Xid{9}, {}}), StreamPlace::kBetween);
  EXPECT_EQ(part.as<StreamAbortMessage>().xid, kXid);
  EXPECT_EQ(part.as<StreamAbortMessage>().subxid, Xid{9});
  EXPECT_FALSE(part.as<StreamAbortMessage>().whole_transaction());
  EXPECT_FALSE(part.as<StreamAbortMessage>().record.has_value());
  const Parsed whole(P::stream_abort({kXid, kXid, {}}), StreamPlace::kBetween);
  EXPECT_TRUE(whole.as<StreamAbortMessage>().whole_transaction());
}

TEST(StreamMessage, ReadsTheAbortRecordOfProtocolFour) {
  const Parsed parsed(P::stream_abort({kXid, Xid{9}, kRecord}), StreamPlace::kBetween);
  ASSERT_TRUE(parsed.as<StreamAbortMessage>().record.has_value());
  EXPECT_EQ(parsed.as<StreamAbortMessage>().record->lsn, kRecord.lsn);
  EXPECT_EQ(parsed.as<StreamAbortMessage>().record->time, kRecord.time);
}

// What a spool keeps, tag and body, has to be the message as protocol 1 has it, byte for byte.
TEST(StreamMessage, TakesEveryMessageOfABlockApartIntoItsXidAndAnOrdinaryMessage) {
  const std::string_view in_blocks = "RYOIUDTM";
  for (const auto& [name, bytes] : test::good_messages()) {
    const auto tag = static_cast<char>(bytes.at(0));
    if (in_blocks.find(tag) == std::string_view::npos) continue;
    const Parsed parsed(P::streamed(kXid, bytes), StreamPlace::kInBlock);
    ASSERT_FALSE(parsed.has_error()) << name;
    const auto& message = parsed.as<StreamedMessage>();
    EXPECT_EQ(message.tag, tag) << name;
    EXPECT_EQ(message.subxid, tag == 'O' ? Xid{0} : kXid) << name;
    EXPECT_EQ(test::without_xid(message), bytes) << name;
  }
}

TEST(StreamMessage, C10EveryProperPrefixFailsCleanly) {
  const std::vector<std::pair<Bytes, StreamPlace>> good = {
      {P::stream_start(kXid, true), StreamPlace::kBetween},
      {P::stream_stop(), StreamPlace::kInBlock},
      {P::stream_commit(kCommit), StreamPlace::kBetween},
      {P::stream_abort({kXid, Xid{9}, {}}), StreamPlace::kBetween},
      {P::stream_abort({kXid, Xid{9}, kRecord}), StreamPlace::kBetween},
  };
  constexpr std::size_t kAbortWithoutRecordBytes = 9;
  for (const auto& [bytes, place] : good) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      if (bytes[0] == std::byte{'A'} && size == kAbortWithoutRecordBytes) continue;
      const Parsed parsed(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)), place);
      ASSERT_TRUE(parsed.has_error()) << static_cast<char>(bytes[0]) << ", prefix of " << size << " bytes";
      EXPECT_EQ(parsed.error().code, DecodeErrc::kTruncated);
      EXPECT_LE(parsed.error().offset, size);
    }
    Bytes longer = bytes;
    longer.push_back(std::byte{0});
    const bool short_abort = bytes.size() == kAbortWithoutRecordBytes;
    expect_error(longer, place, short_abort ? DecodeErrc::kTruncated : DecodeErrc::kTrailingBytes, bytes.size());
  }
}

TEST(StreamMessage, C10AStreamedMessageCutInsideItsXidFailsCleanly) {
  const Bytes whole = P::streamed(kXid, P::insert(RelationId{1}, {test::text("1")}));
  for (std::size_t size = 1; size < 5; ++size) {
    expect_error(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), StreamPlace::kInBlock,
                 DecodeErrc::kTruncated, 1);
  }
}

TEST(StreamMessage, RefusesTransactionZeroAndUnknownFlags) {
  expect_error(P::stream_start(Xid{0}, true), StreamPlace::kBetween, DecodeErrc::kBadValue, 1);
  expect_error(P::stream_commit({}), StreamPlace::kBetween, DecodeErrc::kBadValue, 1);
  expect_error(P::stream_abort({Xid{0}, kXid, {}}), StreamPlace::kBetween, DecodeErrc::kBadValue, 1);
  expect_error(P::stream_abort({kXid, Xid{0}, {}}), StreamPlace::kBetween, DecodeErrc::kBadValue, 5);
  expect_error(P::streamed(Xid{0}, P::truncate({RelationId{1}})), StreamPlace::kInBlock, DecodeErrc::kBadValue, 1);
  Bytes start = P::stream_start(kXid, true);
  start.back() = std::byte{2};
  expect_error(start, StreamPlace::kBetween, DecodeErrc::kBadValue, 5);
  Bytes commit = P::stream_commit(kCommit);
  commit[5] = std::byte{1};
  expect_error(commit, StreamPlace::kBetween, DecodeErrc::kBadValue, 5);
}

// Which kinds may stand where. Every byte that is in no list is unknown everywhere.
TEST(StreamMessage, C8RefusesEveryOtherKindAtEveryPlace) {
  const std::string_view in_block = "ERYOIUDTM";
  const std::string_view between = "ScA";
  const std::string_view known = "BCDIMORTUYSEcAbPKrp";
  for (const StreamPlace place : kPlaces) {
    const std::string_view taken = place == StreamPlace::kInBlock   ? in_block
                                   : place == StreamPlace::kBetween ? between
                                                                    : std::string_view();
    for (int value = 0; value < 256; ++value) {
      const auto tag = static_cast<char>(value);
      if (taken.find(tag) != std::string_view::npos) continue;
      const bool is_known = known.find(tag) != std::string_view::npos;
      const auto code = is_known ? DecodeErrc::kUnexpectedMessage : DecodeErrc::kUnknownTag;
      expect_error(Bytes(40, static_cast<std::byte>(value)), place, code, 0);
    }
  }
}

TEST(StreamMessage, SaysWhichKindsAreItsOwn) {
  for (int value = 0; value < 256; ++value) {
    const auto tag = static_cast<char>(value);
    EXPECT_EQ(is_stream_tag(tag), std::string_view("SEcA").find(tag) != std::string_view::npos) << value;
  }
}

TEST(StreamMessage, C10RefusesAnEmptyMessageEverywhere) {
  for (const StreamPlace place : kPlaces) {
    const Parsed parsed(Bytes{}, place);
    ASSERT_TRUE(parsed.has_error());
    EXPECT_EQ(parsed.error(), (DecodeError{DecodeErrc::kTruncated, '\0', 0}));
  }
}

}  // namespace
}  // namespace teal
