#pragma once
#include <cstdint>
#include <filesystem>

namespace teal::test {

/// A file system in memory that is soon full, for the servers' user. It is mounted where only this process and the
/// children that it starts from then on can see it, and is gone with them however they end: make it before a server.
/// Threads: the one that starts the servers.
/// Errors: std::runtime_error, also when we are not root.
class SmallMount {
 public:
  explicit SmallMount(std::uint64_t bytes);
  SmallMount(const SmallMount&) = delete;
  SmallMount& operator=(const SmallMount&) = delete;
  ~SmallMount();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Takes the space that is free, but for `left` bytes. Once.
  void fill(std::uint64_t left) const;
  /// Gives back what `fill` took.
  void free() const;

 private:
  std::filesystem::path path_;
};

}  // namespace teal::test
