#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace teal::test {

/// Finds COMMITs in what a client sends to a server, however the bytes are cut into pieces.
/// Knows the frame of each message, so that a COMMIT inside a row or a text is none.
/// Source: PostgreSQL manual, "Message Formats".
class CommitScanner {
 public:
  /// Takes bytes up to the end of the first message that executes a COMMIT (its Query, or the Execute after its Parse),
  /// else all of them. Returns how many; `found` says which.
  std::size_t take(std::string_view bytes, bool& found);

 private:
  static constexpr std::size_t kBodyKept = 256;  // more than a COMMIT has

  std::size_t take_header(std::string_view bytes);
  bool end_message();
  [[nodiscard]] std::size_t header_size() const { return started_ ? 5 : 4; }

  bool started_ = false;          ///< the packets without a type byte are over
  bool commit_prepared_ = false;  ///< a Parse of COMMIT came
  std::string header_;
  std::string body_;  ///< its beginning
  std::size_t body_left_ = 0;
};

}  // namespace teal::test
