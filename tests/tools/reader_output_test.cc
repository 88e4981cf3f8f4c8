#include "tools/reader_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <string>

#include "engine/pg_error.h"

namespace teal {
namespace {

using Result = ReaderOutput::Result;
using std::chrono::milliseconds;

constexpr milliseconds kLong{60'000};
constexpr std::size_t kMoreThanAPipeHolds = 500'000;

class Pipe {
 public:
  Pipe() {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(::pipe(ends_), 0);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_reader();
    ::close(ends_[1]);
  }
  void close_reader() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    ends_[0] = -1;
  }
  std::string read(std::size_t bytes) {
    std::string text;
    std::string part(65536, '\0');
    while (text.size() < bytes) {
      const ssize_t size = ::read(ends_[0], part.data(), part.size());
      if (size <= 0) break;
      text.append(part, 0, static_cast<std::size_t>(size));
    }
    return text;
  }
  [[nodiscard]] int writer() const { return ends_[1]; }

 private:
  int ends_[2] = {-1, -1};
};

TEST(ReaderOutput, WritesMoreThanAPipeHolds) {
  Pipe pipe;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + "\n";
  auto read = std::async(std::launch::async, [&] { return pipe.read(text.size()); });
  ReaderOutput output(pipe.writer(), kLong);
  EXPECT_EQ(output.write(text, {}), Result::kWritten);
  EXPECT_EQ(read.get(), text);
}

TEST(ReaderOutput, NoticesAReaderThatHasGoneWithAndWithoutWriting) {
  Pipe pipe;
  ReaderOutput output(pipe.writer(), kLong);
  EXPECT_FALSE(output.reader_gone());
  pipe.close_reader();
  EXPECT_TRUE(output.reader_gone());
  EXPECT_EQ(output.write("x", {}), Result::kReaderGone);
}

TEST(ReaderOutput, GivesUpOnAReaderThatTakesNothing) {
  Pipe pipe;
  ReaderOutput output(pipe.writer(), milliseconds(1));
  EXPECT_EQ(output.write(std::string(kMoreThanAPipeHolds, 'x'), {}), Result::kStalled);
}

TEST(ReaderOutput, EndsByAStopWhileTheReaderTakesNothing) {
  Pipe pipe;
  std::stop_source stop;
  stop.request_stop();
  ReaderOutput output(pipe.writer(), kLong);
  EXPECT_EQ(output.write(std::string(kMoreThanAPipeHolds, 'x'), stop.get_token()), Result::kStopped);
}

TEST(ReaderOutput, SaysThatADiskIsFull) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  ReaderOutput output(full, kLong);
  EXPECT_THROW((void)output.write("x", {}), Stopped);
  ::close(full);
}

TEST(ReaderOutput, AFileIsAlwaysThere) {
  const int null = ::open("/dev/null", O_WRONLY);
  ASSERT_GE(null, 0);
  ReaderOutput output(null, kLong);
  EXPECT_FALSE(output.reader_gone());
  EXPECT_EQ(output.write("x", {}), Result::kWritten);
  ::close(null);
}

}  // namespace
}  // namespace teal
