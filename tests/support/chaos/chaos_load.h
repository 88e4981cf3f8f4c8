#pragma once
#include <string>
#include <vector>

namespace teal::test {

/// What applications do while a ChaosRun breaks things. Threads: one calls.
class ChaosLoad {
 public:
  ChaosLoad() = default;
  ChaosLoad(const ChaosLoad&) = delete;
  ChaosLoad& operator=(const ChaosLoad&) = delete;
  virtual ~ChaosLoad() = default;

  /// For a lull: writers end the transaction at hand and begin no other.
  virtual void pause_writers(bool paused) = 0;
  /// What applications saw that must not be.
  [[nodiscard]] virtual std::vector<std::string> violations() const = 0;
};

}  // namespace teal::test
