#include "decoder/decode_error.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace teal {
namespace {

TEST(DecodeError, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(to_string({DecodeErrc::kTruncated, 'I', 12}), "Insert ('I') is cut off at byte 12");
  EXPECT_EQ(to_string({DecodeErrc::kTrailingBytes, 'C', 26}), "Commit ('C') has bytes left over at byte 26");
  EXPECT_EQ(to_string({DecodeErrc::kUnknownTag, 'S', 0}), "message kind 'S' is not part of this protocol version");
  EXPECT_EQ(to_string({DecodeErrc::kBadValue, 'T', 5}),
            "Truncate ('T') holds a value that the protocol does not allow at byte 5");
  EXPECT_EQ(to_string({DecodeErrc::kUnterminatedString, 'R', 5}),
            "Relation ('R') has a string without its end at byte 5");
  EXPECT_EQ(to_string({DecodeErrc::kUnexpectedMessage, 'B', 0}),
            "Begin ('B') is not allowed at this point of the stream");
  EXPECT_EQ(to_string({DecodeErrc::kUnknownRelation, 'D', 0}),
            "Delete ('D') names a relation that was not announced on this connection");
  EXPECT_EQ(to_string({DecodeErrc::kColumnCount, 'U', 0}),
            "Update ('U') has another number of columns than its relation");
}

TEST(DecodeError, PrintsUnprintableTagsAsNumbers) {
  EXPECT_EQ(to_string({DecodeErrc::kUnknownTag, '\x07', 0}), "message kind 0x07 is not part of this protocol version");
  EXPECT_EQ(to_string({DecodeErrc::kUnknownTag, '\xFE', 0}), "message kind 0xfe is not part of this protocol version");
  EXPECT_EQ(to_string({DecodeErrc::kTruncated, '\0', 0}), "message is cut off at byte 0");
}

TEST(DecodeError, TakingTheValueOfAnErrorIsABug) {
  const Result<int> failed = DecodeError{DecodeErrc::kTruncated, 'I', 1};
  EXPECT_THROW((void)failed.value(), std::logic_error);
}

}  // namespace
}  // namespace teal
