#include "decoder/byte_reader.h"

#include <gtest/gtest.h>

#include <string_view>

namespace teal {
namespace {

using namespace std::string_view_literals;

ByteReader reader_of(std::string_view bytes) { return ByteReader(std::as_bytes(std::span(bytes))); }

TEST(ByteReader, ReadsBigEndianFields) {
  ByteReader reader = reader_of(
      "I\xFF\x80\x01\xFF\xFF\xFF\xFE\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
      "\x00\x00\x00\x16\xB3\x74\xD8\x48\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv);
  EXPECT_EQ(reader.tag(), 'I');
  EXPECT_EQ(reader.u8(), 255);
  EXPECT_EQ(reader.i16(), -32767);
  EXPECT_EQ(reader.i32(), -2);
  EXPECT_EQ(reader.u32(), 0x8000'0000U);
  EXPECT_EQ(reader.i64(), 1);
  EXPECT_EQ(reader.lsn(), Lsn{0x16'B374'D848});
  EXPECT_EQ(reader.timestamp(), Timestamp{-1});
  EXPECT_EQ(reader.finish(), std::nullopt);
}

TEST(ByteReader, ReadsStringsWithoutTheirZeroByte) {
  ByteReader reader = reader_of("id\0\0rest"sv);
  EXPECT_EQ(reader.cstring(), "id");
  EXPECT_EQ(reader.cstring(), "");
  EXPECT_EQ(reader.position(), 4U);
  EXPECT_EQ(reader.remaining(), 4U);
}

TEST(ByteReader, ReturnsViewsIntoItsBytes) {
  const std::string_view bytes = "\0\0\0\x02xyz"sv;
  ByteReader reader = reader_of(bytes);
  const auto sized = reader.sized_bytes();
  EXPECT_EQ(static_cast<const void*>(sized.data()), bytes.data() + 4);
  EXPECT_EQ(sized.size(), 2U);
  EXPECT_EQ(reader.bytes(1).size(), 1U);
  EXPECT_EQ(reader.finish(), std::nullopt);
}

TEST(ByteReader, RefusesEveryFieldThatDoesNotFit) {
  const auto refuses = [](auto read) {
    for (std::size_t size = 0; size < 8; ++size) {
      ByteReader reader = reader_of("\0\0\0\0\0\0\0\0"sv.substr(0, size));
      while (reader.ok()) read(reader);
      EXPECT_LE(reader.finish()->offset, size);
      EXPECT_EQ(reader.finish()->code, DecodeErrc::kTruncated);
    }
  };
  refuses([](ByteReader& reader) { (void)reader.u8(); });
  refuses([](ByteReader& reader) { (void)reader.i16(); });
  refuses([](ByteReader& reader) { (void)reader.i32(); });
  refuses([](ByteReader& reader) { (void)reader.u32(); });
  refuses([](ByteReader& reader) { (void)reader.i64(); });
  refuses([](ByteReader& reader) { (void)reader.lsn(); });
  refuses([](ByteReader& reader) { (void)reader.flags(0); });
  refuses([](ByteReader& reader) { (void)reader.bytes(9); });
}

TEST(ByteReader, RefusesAStringWithoutItsEnd) {
  ByteReader reader = reader_of("Iabc"sv);
  (void)reader.tag();
  EXPECT_EQ(reader.cstring(), "");
  EXPECT_EQ(reader.finish(), (DecodeError{DecodeErrc::kUnterminatedString, 'I', 1}));
}

TEST(ByteReader, RefusesANegativeLength) {
  ByteReader reader = reader_of("I\xFF\xFF\xFF\xFF"sv);
  (void)reader.tag();
  EXPECT_TRUE(reader.sized_bytes().empty());
  EXPECT_EQ(reader.finish(), (DecodeError{DecodeErrc::kBadValue, 'I', 1}));
}

TEST(ByteReader, RefusesALengthPastTheEnd) {
  ByteReader reader = reader_of("I\x7F\xFF\xFF\xFFx"sv);
  (void)reader.tag();
  EXPECT_TRUE(reader.sized_bytes().empty());
  EXPECT_EQ(reader.finish(), (DecodeError{DecodeErrc::kTruncated, 'I', 5}));
}

TEST(ByteReader, RefusesTransactionZeroAndFlagsThatAreNotAllowed) {
  ByteReader good = reader_of("\x80\0\0\x01\x03"sv);
  EXPECT_EQ(good.xid(), Xid{0x8000'0001});
  EXPECT_EQ(good.flags(3), 3);
  EXPECT_EQ(good.finish(), std::nullopt);
  ByteReader zero = reader_of("S\0\0\0\0"sv);
  (void)zero.tag();
  (void)zero.xid();
  EXPECT_EQ(zero.finish(), (DecodeError{DecodeErrc::kBadValue, 'S', 1}));
  ByteReader flags = reader_of("C\x04"sv);
  (void)flags.tag();
  (void)flags.flags(3);
  EXPECT_EQ(flags.finish(), (DecodeError{DecodeErrc::kBadValue, 'C', 1}));
}

TEST(ByteReader, KeepsTheFirstErrorAndReadsZeroAfterIt) {
  ByteReader reader = reader_of("I\x01\x02\x03"sv);
  (void)reader.tag();
  EXPECT_EQ(reader.i32(), 0);
  EXPECT_EQ(reader.u8(), 0) << "bytes that are left must not be read after an error";
  reader.fail(DecodeErrc::kBadValue, 99);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.finish(), (DecodeError{DecodeErrc::kTruncated, 'I', 1}));
}

TEST(ByteReader, ReportsLeftovers) {
  ByteReader reader = reader_of("Iab"sv);
  (void)reader.tag();
  (void)reader.u8();
  EXPECT_EQ(reader.finish(), (DecodeError{DecodeErrc::kTrailingBytes, 'I', 2}));
}

TEST(ByteReader, RefusesAnEmptyMessage) {
  ByteReader reader(std::span<const std::byte>{});
  EXPECT_EQ(reader.tag(), '\0');
  EXPECT_EQ(reader.finish(), (DecodeError{DecodeErrc::kTruncated, '\0', 0}));
}

}  // namespace
}  // namespace teal
