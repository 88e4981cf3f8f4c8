#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "applier/initial_copy.h"
#include "tools/progress_line.h"

namespace teal {

/// Shows a copy under way on stderr, with rate and estimated time left, see ProgressLine. Units: the estimate compares
/// bytes sent with the tables' size on disk, so it is rough.
class CopyProgress {
 public:
  CopyProgress(const CopyCounters& counters, const std::vector<CopyTable>& tables, bool quiet);
  CopyProgress(const CopyProgress&) = delete;
  CopyProgress& operator=(const CopyProgress&) = delete;
  ~CopyProgress() = default;

 private:
  [[nodiscard]] std::string text(double seconds) const;

  const CopyCounters& counters_;
  const std::uint64_t bytes_expected_;
  const std::size_t tables_;
  ProgressLine line_;  // last: its thread reads the others
};

}  // namespace teal
