#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace teal {

/// What was spilled cannot be written or read back: no space, no directory, damage, or more than the cap allows.
/// Nothing is lost by it: the source still has everything, and the next session asks it to keep large transactions.
class SpillFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Blocks of bytes on disk, each with a checksum: appended first, then read once from the beginning.
/// The file has mode 0600 and no name, so that nothing is left of it however the process ends. It is never flushed:
/// what it holds is worth nothing after a crash.
/// Threads: one. Errors: SpillFailed, with the directory and the system's reason.
/// Source: open(2), O_TMPFILE; the checksum is XXH3.
class SpillFile {
 public:
  explicit SpillFile(const std::string& directory);
  SpillFile(SpillFile&& other) noexcept;
  SpillFile& operator=(SpillFile&& other) noexcept;
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  ~SpillFile();

  void append(std::span<const std::byte> block);
  /// Reads the next block into `block`. Returns false at the end.
  [[nodiscard]] bool read(std::vector<std::byte>& block);

  /// On disk, headers included.
  [[nodiscard]] std::uint64_t bytes() const { return written_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  void write_all(std::span<const std::byte> bytes);
  void read_all(std::span<std::byte> bytes);

  std::string directory_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
  std::uint64_t read_ = 0;
};

}  // namespace teal
