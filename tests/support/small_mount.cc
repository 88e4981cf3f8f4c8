#include "tests/support/small_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

void require(bool done, const std::string& what) {
  if (!done) throw std::runtime_error("can't " + what + " (it needs root): " + std::strerror(errno));
}

}  // namespace

SmallMount::SmallMount(std::uint64_t bytes) : path_(make_scratch_directory("small")) {
  require(::unshare(CLONE_NEWNS) == 0, "take a mount namespace of our own");
  require(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "keep mounts to ourselves");
  const std::optional<UserIds> user = server_user();
  const std::string options = "mode=0700,size=" + std::to_string(bytes) +
                              (user ? ",uid=" + std::to_string(user->uid) + ",gid=" + std::to_string(user->gid) : "");
  require(::mount("tmpfs", path_.c_str(), "tmpfs", MS_NODEV | MS_NOSUID, options.c_str()) == 0,
          "mount " + path_.string());
}

SmallMount::~SmallMount() {
  if (::umount2(path_.c_str(), MNT_DETACH) != 0) {
    std::fprintf(stderr, "a small mount did not go: %s\n", std::strerror(errno));
  }
}

void SmallMount::fill(std::uint64_t left) const {
  const std::uint64_t available = std::filesystem::space(path_).available;
  if (available <= left)
    throw std::runtime_error("the small mount has only " + std::to_string(available) + " bytes left");
  const int file = ::open((path_ / "filler").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  require(file >= 0, "make the filler");
  const int error = ::posix_fallocate(file, 0, static_cast<off_t>(available - left));
  ::close(file);
  errno = error;
  require(error == 0, "fill the small mount");
}

void SmallMount::free() const { std::filesystem::remove(path_ / "filler"); }

}  // namespace teal::test
