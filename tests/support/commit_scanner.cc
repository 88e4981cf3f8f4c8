#include "tests/support/commit_scanner.h"

#include <algorithm>

namespace teal::test {
namespace {

constexpr std::uint32_t kSslRequest = 80877103;
constexpr std::uint32_t kGssRequest = 80877104;

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8U | static_cast<unsigned char>(byte);
  return value;
}

std::string_view text_at(std::string_view body, std::size_t from) {
  return from > body.size() ? std::string_view() : body.substr(from, body.find('\0', from) - from);
}

bool is_commit(std::string_view sql) { return sql == "COMMIT" || sql.ends_with("; COMMIT"); }

}  // namespace

std::size_t CommitScanner::take(std::string_view bytes, bool& found) {
  found = false;
  std::size_t taken = 0;
  while (taken < bytes.size() && !found) {
    if (header_.size() < header_size()) {
      taken += take_header(bytes.substr(taken));
    } else {
      const std::size_t count = std::min(body_left_, bytes.size() - taken);
      body_ += bytes.substr(taken, std::min(count, kBodyKept - std::min(kBodyKept, body_.size())));
      body_left_ -= count;
      taken += count;
    }
    if (header_.size() == header_size() && body_left_ == 0) found = end_message();
  }
  return taken;
}

std::size_t CommitScanner::take_header(std::string_view bytes) {
  const std::size_t count = std::min(header_size() - header_.size(), bytes.size());
  header_ += bytes.substr(0, count);
  if (header_.size() == header_size()) {
    const std::uint32_t length = big_endian(std::string_view(header_).substr(header_size() - 4));
    body_left_ = std::max<std::uint32_t>(length, 4) - 4;
  }
  return count;
}

// Returns whether the message that ends here makes the server commit.
bool CommitScanner::end_message() {
  bool commits = false;
  if (!started_) {
    const std::uint32_t code = big_endian(body_);
    started_ = code != kSslRequest && code != kGssRequest;
  } else if (header_[0] == 'Q') {
    commits = is_commit(text_at(body_, 0));
  } else if (header_[0] == 'P') {
    commit_prepared_ = is_commit(text_at(body_, text_at(body_, 0).size() + 1));
  } else if (header_[0] == 'E') {
    commits = commit_prepared_;
    commit_prepared_ = false;
  }
  header_.clear();
  body_.clear();
  return commits;
}

}  // namespace teal::test
