#include "tests/support/fake_clock.h"

#include <stdexcept>

#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

// In the directory of the machine's architecture.
std::string library() {
  for (const auto& directory : std::filesystem::directory_iterator("/usr/lib")) {
    const std::filesystem::path found = directory.path() / "faketime" / "libfaketime.so.1";
    if (std::filesystem::exists(found)) return found.string();
  }
  throw std::runtime_error("libfaketime is not installed: tools/setup.sh tests");
}

}  // namespace

std::filesystem::path FakeClock::new_file() { return make_scratch_directory("clock") / "offset"; }

void FakeClock::set(const std::string& offset) const {
  const std::filesystem::path next = file_.string() + ".next";
  write_file(next, offset + "\n");
  std::filesystem::permissions(next, std::filesystem::perms(0644));
  std::filesystem::rename(next, file_);
}

std::vector<std::string> FakeClock::environment() const {
  return {"LD_PRELOAD=" + library(), "FAKETIME_TIMESTAMP_FILE=" + file_.string(), "FAKETIME_NO_CACHE=1",
          "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_RESET=1"};
}

}  // namespace teal::test
