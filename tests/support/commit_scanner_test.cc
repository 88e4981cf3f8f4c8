#include "tests/support/commit_scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace teal::test {
namespace {

std::string length(std::size_t bytes) {
  return {'\0', '\0', static_cast<char>(bytes >> 8U), static_cast<char>(bytes & 0xffU)};
}
std::string packet(const std::string& body) { return length(body.size() + 4) + body; }
std::string message(char type, const std::string& body) { return type + packet(body); }
std::string query(const std::string& sql) { return message('Q', sql + '\0'); }
std::string parse(const std::string& sql) { return message('P', '\0' + sql + '\0' + std::string(2, '\0')); }
std::string execute() { return message('E', std::string(5, '\0')); }
const std::string kStartup = packet(std::string("\0\3\0\0", 4) + "user" + '\0' + "x" + '\0' + '\0');
const std::string kSslRequest = packet("\x04\xd2\x16\x2f");

/// Where COMMITs end, when the bytes arrive in pieces of that size.
std::vector<std::size_t> commits(const std::string& bytes, std::size_t piece) {
  CommitScanner scanner;
  std::vector<std::size_t> ends;
  for (std::size_t from = 0; from < bytes.size(); from += piece) {
    std::string_view rest = std::string_view(bytes).substr(from, piece);
    std::size_t at = from;
    while (!rest.empty()) {
      bool found = false;
      const std::size_t taken = scanner.take(rest, found);
      at += taken;
      rest.remove_prefix(taken);
      if (found) ends.push_back(at);
    }
  }
  return ends;
}

TEST(CommitScanner, FindsTheMessageThatCommitsHoweverItIsCut) {
  const std::string before = kSslRequest + kStartup + query("BEGIN") + query("SELECT 'COMMIT'");
  const std::string simple = before + query("COMMIT");
  const std::string extended = simple + parse("COMMIT") + message('B', std::string(8, '\0')) + execute();
  const std::string all = extended + message('S', "") + parse("SELECT 1") + execute() + query("BEGIN; COMMIT");
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U, 10'000U}) {
    EXPECT_EQ(commits(all, piece), (std::vector{simple.size(), extended.size(), all.size()})) << piece;
  }
}

TEST(CommitScanner, IsNotFooledByRowsTextsOrAParseThatIsNotExecuted) {
  std::string long_text(5000, 'x');
  long_text += " COMMIT";
  const std::string bytes = kStartup + message('d', query("COMMIT")) + query(long_text) + parse("COMMIT") +
                            parse("SELECT 1") + execute() + query("COMMIT PREPARED 'x'");
  EXPECT_EQ(commits(bytes, 11), std::vector<std::size_t>());
}

}  // namespace
}  // namespace teal::test
