#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "engine/spill_file.h"

namespace teal {

/// Bytes that wait on disk: what was written first is read first, and gives its space back. What is read back soon
/// never gets there. Units: memory is two blocks of 256 KiB. The disk has what was not read yet, and of what was, less
/// than a segment: 1 MiB, or a 64th of `bytes_max`. Threads: one. Errors: SpillFailed; after a failed `write` only what
/// was written wholly before it may be read, after a failed `read` nothing, until `clear`.
class SpillBuffer {
 public:
  SpillBuffer(std::string directory, std::uint64_t bytes_max);

  /// Errors: SpillFailed, also when more than `bytes_max` would wait.
  void write(std::span<const std::byte> bytes);
  /// Fills `bytes`; as much was written and not read yet.
  void read(std::span<std::byte> bytes);
  /// Forgets everything, also that something had failed.
  void clear();

  /// From now on. What waits stays.
  void set_bytes_max(std::uint64_t bytes_max) { bytes_max_ = bytes_max; }
  /// On disk or on its way there.
  [[nodiscard]] std::uint64_t bytes() const { return on_disk_ + written_.size(); }

 private:
  void write_block();
  void read_block();
  void look_at_disk();

  std::string directory_;
  std::uint64_t bytes_max_;
  std::uint64_t segment_bytes_;
  std::uint64_t on_disk_ = 0;
  std::deque<SpillFile> segments_;  // the first is read from, the last written to
  std::vector<std::byte> written_;  // not on disk yet
  std::vector<std::byte> read_;     // not on disk any more, from read_at_ on
  std::size_t read_at_ = 0;
};

}  // namespace teal
