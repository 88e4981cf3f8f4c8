#include "tests/support/failpoint_counts.h"

#include <cstring>
#include <stdexcept>

#include "tests/support/scratch_directory.h"

namespace teal::test {

FailpointCounts::FailpointCounts(const std::filesystem::path& path) : counts_(kFailpoints.size()) {
  const std::string bytes = read_file(path);
  const std::size_t expected = counts_.size() * sizeof(FailpointCount);
  if (!bytes.empty() && bytes.size() != expected) throw std::runtime_error(path.string() + " has no failpoint counts");
  std::memcpy(counts_.data(), bytes.data(), bytes.size());
}

const FailpointCount& FailpointCounts::of(std::string_view name) const {
  for (std::size_t i = 0; i < kFailpoints.size(); ++i) {
    if (kFailpoints[i].name == name) return counts_[i];
  }
  throw std::runtime_error("no failpoint " + std::string(name));
}

std::string FailpointCounts::text() const {
  std::string text;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::string(kFailpoints[i].name) + " " + std::to_string(counts_[i].killed) + "/" +
            std::to_string(counts_[i].passed);
  }
  return text;
}

}  // namespace teal::test
