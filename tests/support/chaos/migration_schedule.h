#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/chaos/draw.h"
#include "tests/support/fault_proxy.h"

namespace teal::test {

/// The parts of a migration whose failpoints a streaming link does not pass.
enum class MigrationPhase { kSetUp, kCopy, kJoin };

/// Which of them passes a failpoint that is not steady.
[[nodiscard]] MigrationPhase phase_of(std::string_view failpoint);

/// A connection that is cut with the `number`-th COMMIT that green is sent.
struct DrawnCut {
  CommitCut when = CommitCut::kBefore;
  int number = 1;
};

/// One death of teal on a migration's way.
struct MigrationKill {
  std::size_t failpoint = 0;  ///< of kFailpoints
  int pass = 1;               ///< at which it kills
  std::optional<DrawnCut> cut;
  std::chrono::milliseconds next_lives{0};  ///< zero: whoever comes after it is killed by the next of these only
};

/// All that was drawn for one migration.
struct MigrationPlan {
  std::vector<MigrationKill> kills;  ///< in the order of a migration's life
  bool by_init = false;              ///< `teal init` sets up, else `teal run`
  bool schema = false;               ///< teal makes green's tables, where it can
  int copy_jobs = 1;
  std::vector<std::size_t> workloads;         ///< all that there are, shuffled: who is copied, who joins, who stays out
  bool killed_when_done = false;              ///< SIGKILL before `teal finish`, else SIGTERM
  std::chrono::milliseconds finish_lives{0};  ///< until SIGKILL; zero: it is not killed
  std::uint64_t seed = 0;                     ///< of the workloads

  [[nodiscard]] std::string text() const;
};

/// An endless list of migrations, the same for the same seed. Failpoints come in turn, so that each is there within
/// some migrations.
class MigrationSchedule {
 public:
  /// `workloads`: how many there are to choose from.
  MigrationSchedule(std::uint64_t seed, std::size_t workloads);
  [[nodiscard]] MigrationPlan next();

 private:
  MigrationKill draw_kill(std::size_t failpoint);

  Draw draw_;
  std::size_t workloads_;
  std::vector<std::size_t> failpoints_;  ///< shuffled
  std::size_t failpoints_drawn_ = 0;
};

}  // namespace teal::test
