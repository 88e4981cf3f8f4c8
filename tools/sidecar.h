#pragma once
#include <cstddef>
#include <memory>
#include <stop_token>
#include <vector>

#include "engine/names.h"
#include "tools/link_run.h"
#include "tools/lock_keeper.h"
#include "tools/run_command.h"
#include "tools/table_joiner.h"
#include "tools/two_sides.h"

namespace teal {

/// What `teal run` does once it has the migration's lock: sets up, copies, and keeps the links running. Threads: one,
/// besides those of the links.
class Sidecar {
 public:
  /// Lifetime: `options` and `lock` outlive it.
  Sidecar(const RunOptions& options, LockKeeper& lock, std::stop_token stop);

  /// Returns whether it did all that it was asked for: with --until-synced, whether that was reached.
  /// Errors: PgError, Stopped: also what stopped the last link that ran.
  bool run();

 private:
  static constexpr std::size_t kUnseenBytes = std::size_t{64} << 20;  // told from here on, and whenever it has doubled

  enum class Outcome { kStopped, kSynced, kLevel, kTextNeeded };
  using LinkRuns = std::vector<std::unique_ptr<LinkRun>>;

  bool has_streamed();
  bool run_forward();
  bool run_both();
  void bring_level();
  Outcome run_links(const std::vector<LinkNames>& links, TwoSides* sides, bool only_until_level = false);
  Outcome watch(LinkRuns& runs, TwoSides* sides, bool only_until_level);
  bool all_synced(LinkRuns& runs, const TableJoiner& joiner);
  void tell_memory(const TwoSides& sides);
  void end(LinkRuns& runs);
  [[nodiscard]] bool done(Outcome outcome) const { return outcome == Outcome::kSynced || !options_.until_synced; }

  const RunOptions& options_;
  LockKeeper& lock_;
  std::stop_token stop_;
  LinkNames names_;      // of the link to green
  ChangedKeys changed_;  // of all links, where both sides are compared
  std::size_t unseen_told_ = kUnseenBytes / 2;
  bool full_told_ = false;
};

}  // namespace teal
