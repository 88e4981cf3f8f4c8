#include "decoder/lsn.h"

#include <gtest/gtest.h>

#include <string>

namespace teal {
namespace {

TEST(Lsn, PrintsTheServersNotation) {
  EXPECT_EQ(to_string(Lsn{}), "0/0");
  EXPECT_EQ(to_string(Lsn{0x16'B374'D848}), "16/B374D848");
  EXPECT_EQ(to_string(Lsn{0x1'0000'000A}), "1/A");
  EXPECT_EQ(to_string(Lsn{UINT64_MAX}), "FFFFFFFF/FFFFFFFF");
}

TEST(Lsn, ReadsWhatItPrints) {
  for (const std::uint64_t value : {0ULL, 1ULL, 0xFFFF'FFFFULL, 0x1'0000'0000ULL, 0x16'B374'D848ULL, ~0ULL}) {
    EXPECT_EQ(parse_lsn(to_string(Lsn{value})), Lsn{value});
  }
}

TEST(Lsn, ReadsLowerCaseAndLeadingZeros) { EXPECT_EQ(parse_lsn("00000016/b374d848"), Lsn{0x16'B374'D848}); }

TEST(Lsn, RefusesWhatTheServerWouldNotPrint) {
  for (const char* text : {"", "/", "0", "0/", "/0", "1/2/3", "g/0", "0/g", "-1/0", "+1/0", "0x1/0", " 1/0", "1/0 ",
                           "123456789/0", "0/123456789", "1 /0"}) {
    EXPECT_EQ(parse_lsn(text), std::nullopt) << "'" << text << "'";
  }
}

TEST(Lsn, IsInvalidOnlyAtZero) {
  EXPECT_FALSE(Lsn{}.valid());
  EXPECT_TRUE(Lsn{1}.valid());
}

TEST(Lsn, CountsBytesForwardOnly) {
  EXPECT_EQ(bytes_between(Lsn{10}, Lsn{25}), 15U);
  EXPECT_EQ(bytes_between(Lsn{25}, Lsn{10}), 0U);
  EXPECT_EQ(bytes_between(Lsn{10}, Lsn{10}), 0U);
}

}  // namespace
}  // namespace teal
