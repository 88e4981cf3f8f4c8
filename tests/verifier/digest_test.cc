#include "verifier/digest.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

Digest digest_of(std::initializer_list<std::string_view> rows) {
  DigestSum sum;
  for (const std::string_view row : rows) sum.add(row);
  return sum.digest();
}

TEST(DigestSum, IsTheSameWhateverTheOrder) {
  EXPECT_EQ(digest_of({"(1,a)", "(2,b)", "(3,c)"}), digest_of({"(3,c)", "(1,a)", "(2,b)"}));
}

TEST(DigestSum, TellsHowOftenARowIsThere) {
  EXPECT_NE(digest_of({"(1)", "(1)"}), digest_of({"(1)"}));
  EXPECT_NE(digest_of({"(1)", "(1)", "(2)"}), digest_of({"(1)", "(2)", "(2)"}));
}

TEST(DigestSum, K4ValuesThatWereSwappedBetweenRowsDiffer) {
  EXPECT_NE(digest_of({"(1,a)", "(2,b)"}), digest_of({"(1,b)", "(2,a)"}));
}

TEST(DigestSum, NoRowsAreWhatTheServerSaysOfNone) { EXPECT_EQ(DigestSum().digest(), Digest{}); }

}  // namespace
}  // namespace teal
