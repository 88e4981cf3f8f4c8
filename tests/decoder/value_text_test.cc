#include "decoder/value_text.h"

#include <gtest/gtest.h>

#include <string_view>

namespace teal {
namespace {

std::string show(std::uint32_t type, std::string_view bytes, ColumnKind kind = ColumnKind::kBinary) {
  return value_text(TypeId{type},
                    {reinterpret_cast<const std::byte*>(bytes.data()), static_cast<std::uint32_t>(bytes.size()), kind});
}

using namespace std::string_view_literals;

TEST(ValueText, D12IntegersKeepTheirDigits) {
  EXPECT_EQ(show(20, "\x00\x20\x00\x00\x00\x00\x00\x01"sv), "9007199254740993");
  EXPECT_EQ(show(20, "\x80\x00\x00\x00\x00\x00\x00\x00"sv), "-9223372036854775808");
  EXPECT_EQ(show(23, "\xff\xff\xff\xff"sv), "-1");
  EXPECT_EQ(show(21, "\x7f\xff"sv), "32767");
}

TEST(ValueText, TextUuidAndBooleansAreAsPostgresWritesThem) {
  EXPECT_EQ(show(25, "a b"), "a b");
  EXPECT_EQ(show(16, "\x01"sv), "t");
  EXPECT_EQ(show(2950, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"sv),
            "00112233-4455-6677-8899-aabbccddeeff");
}

TEST(ValueText, WhatIsNotKnownIsShownAsItsBytes) {
  EXPECT_EQ(show(1184, "\x00\x01"sv), "\\x0001");
  EXPECT_EQ(show(23, "\x00\x01"sv), "\\x0001") << "an integer of another size";
  EXPECT_EQ(show(20, "", ColumnKind::kNull), "NULL");
  EXPECT_EQ(show(20, "", ColumnKind::kUnchangedToast), "unchanged");
  EXPECT_EQ(show(20, "12", ColumnKind::kText), "12");
}

}  // namespace
}  // namespace teal
