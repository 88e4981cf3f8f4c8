#include "verifier/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/pg_error.h"
#include "tests/support/scratch_directory.h"

namespace teal {
namespace {

using testing::HasSubstr;

constexpr std::size_t kFirstBytes = 25;
const JournalScope kScope{.migration = "shop", .blue = "1 2", .green = "3 4", .hashed = "by the servers"};

class Journal : public testing::Test {
 protected:
  [[nodiscard]] std::string read() const { return test::read_file(file_); }
  void write(const std::string& text) const { test::write_file(file_, text); }

  std::string refusal(const JournalScope& scope = kScope) const {
    try {
      const VerifyJournal journal(file_, scope, "later");
    } catch (const Stopped& stopped) {
      EXPECT_EQ(stopped.code(), StopCode::kUsage);
      return stopped.what();
    }
    return "";
  }

  /// One table of three ranges, whose second was found equal.
  void fill() const {
    VerifyJournal journal(file_, kScope, "now");
    journal.cut("t", {{std::nullopt, KeyValues{"a", "\xff\n"}},
                      {KeyValues{"a", "\xff\n"}, KeyValues{"b", ""}},
                      {KeyValues{"b", ""}, std::nullopt}});
    journal.found_equal("t", 1, 42);
  }

  std::string file_ = test::make_scratch_directory("journal") / "state";
};

TEST_F(Journal, K8KeepsRangesAndWhichWereEqual) {
  fill();
  const VerifyJournal journal(file_, kScope, "later");
  EXPECT_TRUE(journal.goes_on());
  EXPECT_EQ(journal.begun(), "now");
  EXPECT_EQ(journal.ranges("other"), nullptr);
  ASSERT_NE(journal.ranges("t"), nullptr);
  const std::vector<JournalRange>& ranges = *journal.ranges("t");
  ASSERT_EQ(ranges.size(), 3U);
  EXPECT_EQ(ranges[0].range, (KeyRange{std::nullopt, KeyValues{"a", "\xff\n"}}));
  EXPECT_EQ(ranges[2].range, (KeyRange{KeyValues{"b", ""}, std::nullopt}));
  EXPECT_FALSE(ranges[0].equal_rows);
  EXPECT_EQ(ranges[1].equal_rows, 42U);
  EXPECT_EQ(std::filesystem::status(file_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(Journal, K8KillAtAnyByteLosesOneLineAtMost) {
  fill();
  const std::string whole = read();
  const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t end = 0; end < whole.size(); ++end) {
    if (end > 0 && end < kFirstBytes) continue;  // nothing tells yet whose file that is
    write(whole.substr(0, end));
    VerifyJournal journal(file_, kScope, "later");
    EXPECT_EQ(journal.ranges("t") != nullptr, end >= last) << end;
    journal.cut("u", {{}});
  }
  EXPECT_THAT(read(), HasSubstr("\"u\"")) << "and goes on behind it";
}

TEST_F(Journal, K8IsOfUseUntilAllThatWasWantedIsEqual) {
  {
    VerifyJournal journal(file_, kScope, "now");
    journal.want("shop.a", "a1");
    journal.want("shop.b", "b1");
    EXPECT_FALSE(journal.complete());
    journal.cut("a1", {{}});
    journal.found_equal("a1", 0, 7);
    EXPECT_FALSE(journal.complete()) << "nobody has come to the other one";
  }
  VerifyJournal journal(file_, kScope, "later");
  EXPECT_FALSE(journal.complete());
  journal.cut("b1", {{std::nullopt, KeyValues{"5"}}, {KeyValues{"5"}, std::nullopt}});
  journal.found_equal("b1", 1, 8);
  EXPECT_FALSE(journal.complete());
  journal.found_equal("b1", 0, 9);
  EXPECT_TRUE(journal.complete());
  journal.want("shop.b", "b2");
  EXPECT_FALSE(journal.complete()) << "it was made anew";
  EXPECT_EQ(journal.rows_taken_over(), 0U);
  static_cast<void>(journal.ranges("b1"));
  EXPECT_EQ(journal.rows_taken_over(), 17U);
}

TEST_F(Journal, IsRefusedForAnythingElse) {
  fill();
  JournalScope other = kScope;
  other.green = "5 6";
  EXPECT_THAT(refusal(other), HasSubstr("green was another database"));
  other = kScope;
  other.migration = "sales";
  EXPECT_THAT(refusal(other), HasSubstr("of the migration shop"));
  other = kScope;
  other.hashed = "by teal";
  EXPECT_THAT(refusal(other), HasSubstr("hashed by the servers, and are now by teal"));
  EXPECT_EQ(refusal(), "");
  const VerifyJournal first(file_, kScope, "later");
  EXPECT_THAT(refusal(), HasSubstr("another comparison uses it"));
}

TEST_F(Journal, FilesThatAreNoneOrAreDamagedAreRefusedAndLeftAlone) {
  for (const char* text : {"a file of somebody else's", "a file\nof somebody else's\n", "0123456789abcdef"}) {
    write(text);
    EXPECT_THAT(refusal(), HasSubstr("is no such file")) << text;
    EXPECT_EQ(read(), text);
  }
  write("");
  fill();
  std::string text = read();
  text[text.find("\"cut\"") + 1] = 'k';
  write(text);
  EXPECT_THAT(refusal(), HasSubstr("it is damaged"));
  EXPECT_EQ(read(), text);
}

}  // namespace
}  // namespace teal
