#include "engine/spill_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace teal {
namespace {

struct BlockHeader {
  std::uint64_t size;
  std::uint64_t checksum;
};

[[noreturn]] void fail(const std::string& directory, const char* what) {
  throw SpillFailed("spilling to " + directory + ": " + what + ": " + std::generic_category().message(errno));
}

// Some file systems know no nameless files: there the name lives for an instant.
int open_nameless(const std::string& directory) {
  const int nameless = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return nameless;
  std::string name = directory + "/teal-spill-XXXXXX";
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) unlink(name.c_str());
  return named;
}

}  // namespace

SpillFile::SpillFile(const std::string& directory) : directory_(directory), descriptor_(open_nameless(directory)) {
  if (descriptor_ < 0) fail(directory_, "cannot make a file");
}

SpillFile::SpillFile(SpillFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      written_(other.written_),
      read_(other.read_) {}

SpillFile& SpillFile::operator=(SpillFile&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(written_, other.written_);
  std::swap(read_, other.read_);
  return *this;
}

SpillFile::~SpillFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void SpillFile::append(std::span<const std::byte> block) {
  const BlockHeader header{block.size(), XXH3_64bits(block.data(), block.size())};
  const std::uint64_t before = written_;
  try {
    write_all(std::as_bytes(std::span(&header, 1)));
    write_all(block);
  } catch (const SpillFailed&) {
    written_ = before;  // what fits of a block is none
    throw;
  }
}

bool SpillFile::read(std::vector<std::byte>& block) {
  if (read_ == written_) return false;
  BlockHeader header{};
  read_all(std::as_writable_bytes(std::span(&header, 1)));
  // A damaged size must not ask for more than the file has.
  const bool plausible = header.size <= written_ - read_;
  if (plausible) {
    block.resize(header.size);
    read_all(block);
  }
  if (!plausible || XXH3_64bits(block.data(), block.size()) != header.checksum) {
    throw SpillFailed("spilling to " + directory_ + ": what was written reads back differently (checksum)");
  }
  return true;
}

void SpillFile::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t size = pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(written_));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail(directory_, "cannot write");
    written_ += static_cast<std::uint64_t>(size);
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
}

void SpillFile::read_all(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t size = pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(read_));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail(directory_, "cannot read");
    if (size == 0) throw SpillFailed("spilling to " + directory_ + ": the file is shorter than what was written");
    read_ += static_cast<std::uint64_t>(size);
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
}

}  // namespace teal
