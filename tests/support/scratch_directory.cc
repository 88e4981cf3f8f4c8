#include "tests/support/scratch_directory.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/child_process.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> exists = false;

class OwnDirectory {
 public:
  OwnDirectory() : owner_(::getpid()) {
    const char* base = std::getenv("TEAL_TEST_DIR");
    // Not TMPDIR: that may be closed to the servers' user, or too long for a socket's path.
    std::string name = fs::path(base != nullptr ? base : "/tmp") / "teal-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("can't make the directory " + name);
    path_ = name;
    fs::permissions(path_, static_cast<fs::perms>(0755));
    exists = true;
  }
  OwnDirectory(const OwnDirectory&) = delete;
  OwnDirectory& operator=(const OwnDirectory&) = delete;
  ~OwnDirectory() {
    std::error_code ignored;
    if (::getpid() == owner_) fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  pid_t owner_;
  fs::path path_;
};

}  // namespace

const fs::path& scratch_directory() {
  static const OwnDirectory directory;
  return directory.path();
}

fs::path make_scratch_directory(std::string_view prefix) {
  static std::atomic<int> counter = 0;
  fs::path path = scratch_directory() / (std::string(prefix) + std::to_string(++counter));
  fs::create_directory(path);
  return path;
}

void remove_tree(const fs::path& path) {
  wait_until("the directory " + path.string() + " is gone", std::chrono::seconds(10), [&path] {
    std::error_code error;
    fs::remove_all(path, error);
    return !error;
  });
}

void clean_up_on_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    if (::sigwait(&signals, &signal) != 0) return;
    kill_all_children();
    if (exists) remove_tree(scratch_directory());
    ::_exit(128 + signal);
  }).detach();
}

std::string read_file(const fs::path& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("can't write " + path.string());
}

}  // namespace teal::test
