#pragma once
#include <chrono>
#include <stop_token>
#include <string_view>

namespace teal {

/// Writes for whoever reads the other end of a file descriptor: a terminal, a file, a program behind a pipe.
///
/// Not std::cout, because a reader may stop reading, or go, and both have to be noticed while nothing is written too:
/// a `teal tail` that waits for ever keeps the server's log for ever. Threads: one. SIGPIPE has to be ignored.
/// Lifetime: the descriptor stays its owner's.
class ReaderOutput {
 public:
  enum class Result {
    kWritten,
    kReaderGone,  ///< nobody will read any more
    kStopped,     ///< a stop was requested while the reader took nothing
    kStalled,     ///< the reader took nothing for `stall_max`
  };

  ReaderOutput(int descriptor, std::chrono::milliseconds stall_max) : descriptor_(descriptor), stall_max_(stall_max) {}

  /// Writes all of `text`; after another result than kWritten, a part of it.
  /// Errors: Stopped(kRefused) when it cannot be written (a full disk).
  [[nodiscard]] Result write(std::string_view text, const std::stop_token& stop);

  /// Whether the reader has gone, without writing anything.
  [[nodiscard]] bool reader_gone() const;

 private:
  int descriptor_;
  std::chrono::milliseconds stall_max_;
};

}  // namespace teal
