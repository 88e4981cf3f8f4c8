#include "decoder/copy_data.h"

#include <gtest/gtest.h>

#include <variant>

#include "tests/support/pgoutput_builder.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;

const Bytes kPayload = P::insert(RelationId{1}, {test::text("1")});

DecodeError error_of(const Bytes& bytes) {
  const auto parsed = parse_copy_data(bytes);
  EXPECT_TRUE(parsed.has_error());
  return parsed.has_error() ? parsed.error() : DecodeError{};
}

TEST(CopyData, ReadsXLogDataAndPointsToItsPayload) {
  const Bytes bytes = P::xlogdata(Lsn{0x10}, Lsn{0x20}, Timestamp{-3}, kPayload);
  const auto parsed = parse_copy_data(bytes);
  ASSERT_TRUE(parsed.has_value());
  const auto& data = std::get<XLogData>(*parsed);
  EXPECT_EQ(data.start, Lsn{0x10});
  EXPECT_EQ(data.wal_end, Lsn{0x20});
  EXPECT_EQ(data.send_time, Timestamp{-3});
  EXPECT_EQ(data.payload.data(), bytes.data() + 25);
  EXPECT_EQ(data.payload.size(), kPayload.size());
}

TEST(CopyData, ReadsAnXLogDataWithoutPayload) {
  const auto parsed = parse_copy_data(P::xlogdata(Lsn{}, Lsn{}, Timestamp{}, {}));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(std::get<XLogData>(*parsed).payload.empty());
}

TEST(CopyData, ReadsKeepalives) {
  for (const bool reply : {false, true}) {
    const auto parsed = parse_copy_data(P::keepalive(Lsn{7}, Timestamp{8}, reply));
    ASSERT_TRUE(parsed.has_value());
    const auto& keepalive = std::get<PrimaryKeepalive>(*parsed);
    EXPECT_EQ(keepalive.wal_end, Lsn{7});
    EXPECT_EQ(keepalive.send_time, Timestamp{8});
    EXPECT_EQ(keepalive.reply_requested, reply);
  }
}

TEST(CopyData, C10RefusesEveryPrefixOfTheFixedFields) {
  for (const Bytes& whole : {P::xlogdata(Lsn{1}, Lsn{2}, Timestamp{3}, {}), P::keepalive(Lsn{1}, Timestamp{2}, true)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Bytes prefix(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_EQ(error_of(prefix).code, DecodeErrc::kTruncated) << "prefix of " << size << " bytes";
    }
  }
}

TEST(CopyData, RefusesAKeepaliveWithMore) {
  Bytes bytes = P::keepalive(Lsn{1}, Timestamp{2}, true);
  bytes.push_back(std::byte{0});
  EXPECT_EQ(error_of(bytes), (DecodeError{DecodeErrc::kTrailingBytes, 'k', 18}));
}

TEST(CopyData, RefusesAReplyFlagThatIsNoFlag) {
  Bytes bytes = P::keepalive(Lsn{1}, Timestamp{2}, true);
  bytes.back() = std::byte{2};
  EXPECT_EQ(error_of(bytes), (DecodeError{DecodeErrc::kBadValue, 'k', 17}));
}

TEST(CopyData, C8RefusesUnknownKinds) {
  for (const char tag : {'r', 'W', 'B', '\0'}) {
    EXPECT_EQ(error_of({static_cast<std::byte>(tag)}), (DecodeError{DecodeErrc::kUnknownTag, tag, 0}));
  }
}

TEST(StandbyStatusUpdate, IsWrittenAsTheManualSays) {
  const auto bytes = encode({.written = Lsn{0x0102030405060708},
                             .flushed = Lsn{0x11},
                             .applied = Lsn{0x12},
                             .send_time = Timestamp{-2},
                             .reply_requested = true});
  const std::array<int, 34> expected{'r', 1, 2, 3, 4, 5, 6, 7,    8,    0,    0,    0,    0,    0,    0,    0,    0x11,
                                     0,   0, 0, 0, 0, 0, 0, 0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 1};
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(std::to_integer<int>(bytes[i]), expected[i]) << "byte " << i;
  EXPECT_EQ(encode({}).back(), std::byte{0});
}

}  // namespace
}  // namespace teal
