#include "engine/spill_buffer.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace teal {
namespace {

constexpr std::size_t kBlockBytes = 256U << 10U;
constexpr std::uint64_t kSegmentBytes = 1U << 20U;
constexpr std::uint64_t kSegmentsMax = 64;  // each is an open file

}  // namespace

SpillBuffer::SpillBuffer(std::string directory, std::uint64_t bytes_max)
    : directory_(std::move(directory)),
      bytes_max_(bytes_max),
      segment_bytes_(std::max(kSegmentBytes, bytes_max / kSegmentsMax)) {}

void SpillBuffer::write(std::span<const std::byte> bytes) {
  if (this->bytes() + bytes.size() > bytes_max_) {
    throw SpillFailed("spilling to " + directory_ + ": what waits needs more than apply.spill_bytes_max leaves (" +
                      std::to_string(bytes_max_) + " bytes)");
  }
  while (!bytes.empty()) {
    if (written_.size() == kBlockBytes) write_block();
    const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), kBlockBytes - written_.size()));
    written_.insert(written_.end(), part.begin(), part.end());
    bytes = bytes.subspan(part.size());
  }
}

void SpillBuffer::write_block() {
  if (segments_.empty() || segments_.back().bytes() >= segment_bytes_) segments_.emplace_back(directory_);
  segments_.back().append(written_);
  written_.clear();
  look_at_disk();
}

void SpillBuffer::read(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    if (read_at_ == read_.size()) read_block();
    const std::size_t size = std::min(bytes.size(), read_.size() - read_at_);
    std::memcpy(bytes.data(), &read_[read_at_], size);
    read_at_ += size;
    bytes = bytes.subspan(size);
  }
}

void SpillBuffer::read_block() {
  read_at_ = 0;
  while (!segments_.empty()) {
    if (segments_.front().read(read_)) return;
    segments_.pop_front();
    look_at_disk();
  }
  read_.clear();
  std::swap(read_, written_);
}

void SpillBuffer::look_at_disk() {
  on_disk_ = 0;
  for (const SpillFile& segment : segments_) on_disk_ += segment.bytes();
}

void SpillBuffer::clear() {
  segments_.clear();
  look_at_disk();
  written_.clear();
  read_.clear();
  read_at_ = 0;
}

}  // namespace teal
