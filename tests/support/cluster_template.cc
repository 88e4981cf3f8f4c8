#include "tests/support/cluster_template.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

namespace fs = std::filesystem;

std::mutex identities_mutex;
std::set<int> identities_taken;  // guarded by identities_mutex

/// Holds a lock file; processes and threads that want the same one wait.
class FileLock {
 public:
  explicit FileLock(const fs::path& path) : fd_(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    if (fd_ < 0 || ::flock(fd_, LOCK_EX) != 0) throw std::runtime_error("can't lock " + path.string());
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() { ::close(fd_); }

 private:
  int fd_;
};

fs::path template_root() {
  const char* shared = std::getenv("TEAL_TEST_TEMPLATE");
  fs::path root = shared != nullptr ? fs::path(shared) : scratch_directory() / "template";
  fs::create_directories(root);
  return root;
}

void run_initdb(const PgInstallation& installation, const fs::path& data) {
  const std::optional<UserIds>& user = installation.user;
  fs::create_directory(data);
  if (user && ::chown(data.c_str(), user->uid, user->gid) != 0) {
    throw std::runtime_error("can't give " + data.string() + " to the servers' user");
  }
  SpawnOptions initdb;
  initdb.argv = {installation.bin / "initdb",
                 "--pgdata=" + data.string(),
                 "--username=postgres",
                 "--auth=trust",
                 "--encoding=UTF8",
                 "--locale=C.UTF-8",
                 "--no-sync"};
  initdb.root = installation.root;
  initdb.user = user;
  initdb.stdout_path = initdb.stderr_path = data.string() + ".log";
  if (run_program(initdb, std::chrono::minutes(2)) != 0) {
    throw std::runtime_error("initdb failed: " + read_file(initdb.stderr_path));
  }
}

}  // namespace

fs::path cluster_template(const PgInstallation& installation, int identity) {
  std::string name = installation.root.string() + installation.bin.string() + "_" + std::to_string(identity);
  std::replace(name.begin(), name.end(), '/', '_');
  const fs::path root = template_root();
  const FileLock lock(root / (name + ".lock"));
  const fs::path finished = root / name;
  if (fs::exists(finished)) return finished;
  const fs::path unfinished = root / (name + ".new");
  fs::remove_all(unfinished);
  run_initdb(installation, unfinished);
  fs::rename(unfinished, finished);
  return finished;
}

int take_identity() {
  const std::lock_guard lock(identities_mutex);
  int identity = 0;
  while (identities_taken.contains(identity)) ++identity;
  identities_taken.insert(identity);
  return identity;
}

void give_identity_back(int identity) {
  const std::lock_guard lock(identities_mutex);
  identities_taken.erase(identity);
}

}  // namespace teal::test
