#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/failpoint.h"

namespace teal::test {

/// What processes with TEAL_FAILPOINT_COUNTS=path have passed until now.
/// Errors: std::runtime_error for a file that is not theirs; a missing one means that nothing was passed.
class FailpointCounts {
 public:
  explicit FailpointCounts(const std::filesystem::path& path);

  [[nodiscard]] const FailpointCount& of(std::string_view name) const;
  [[nodiscard]] const FailpointCount& at(std::size_t index) const { return counts_.at(index); }
  /// "commit_sent 3/2041, ...": how often each point killed, and was passed.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<FailpointCount> counts_;
};

}  // namespace teal::test
