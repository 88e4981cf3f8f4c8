#include "tests/support/fake_clock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

constexpr const char* kLibrary = "other_clock.so";
constexpr const char* kOffset = "offset";

}  // namespace

std::filesystem::path FakeClock::new_directory() {
  std::filesystem::path directory = make_scratch_directory("clock");
  std::filesystem::copy_file(TEAL_TEST_OTHER_CLOCK, directory / kLibrary);
  std::filesystem::permissions(directory / kLibrary, std::filesystem::perms(0644));
  return directory;
}

// In place: servers have the file mapped.
void FakeClock::set(const std::string& offset) const {
  const std::int64_t seconds = std::stoll(offset);
  const int file = ::open((directory_ / kOffset).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const bool written = file >= 0 && ::pwrite(file, &seconds, sizeof(seconds), 0) == sizeof(seconds);
  const int error = errno;
  if (file >= 0) ::close(file);
  if (!written) throw std::system_error(error, std::generic_category(), "set a server's clock");
}

std::vector<std::string> FakeClock::environment() const {
  return {"LD_PRELOAD=" + (directory_ / kLibrary).string(), "TEAL_TEST_CLOCK=" + (directory_ / kOffset).string()};
}

}  // namespace teal::test
