#pragma once
#include <cstdint>
#include <thread>
#include <vector>

#include "applier/initial_copy.h"

namespace teal {

/// Shows a copy under way on stderr, with rate and estimated time left: a line that is redrawn on a terminal, a new
/// line every ten seconds elsewhere, nothing when `quiet`. Ends with the object. Units: the estimate compares bytes
/// sent with the tables' size on disk, so it is rough.
class CopyProgress {
 public:
  CopyProgress(const CopyCounters& counters, const std::vector<CopyTable>& tables, bool quiet);
  ~CopyProgress();
  CopyProgress(const CopyProgress&) = delete;
  CopyProgress& operator=(const CopyProgress&) = delete;

 private:
  void show(const std::stop_token& stop);
  [[nodiscard]] std::string line(double seconds) const;

  const CopyCounters& counters_;
  std::uint64_t bytes_expected_ = 0;
  std::size_t tables_ = 0;
  bool terminal_ = false;
  std::jthread thread_;
};

}  // namespace teal
