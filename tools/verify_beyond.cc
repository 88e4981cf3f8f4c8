#include "tools/verify_beyond.h"

#include <iterator>

#include "tools/progress_line.h"
#include "tools/verify_sequences.h"
#include "verifier/beyond_rows.h"

namespace teal {

BeyondRows look_beyond(const Config& config, const VerifierOptions& options, const std::vector<ComparedTable>& tables,
                       bool all_unique, bool quiet) {
  BeyondRows beyond{.looked = true};
  if (options.compare.stop.stop_requested()) {
    beyond.findings.push_back({.weight = FindingWeight::kUnchecked,
                               .table = "",
                               .side = "",
                               .text = "it was stopped before anything but rows was looked at"});
    return beyond;
  }
  BeyondRowsOptions look{.blue = options.blue,
                         .green = options.green,
                         .settle = {.pass_markers = options.compare.pass_markers,
                                    .patience = options.compare.patience,
                                    .keys_max = options.compare.differences_max},
                         .all_unique = all_unique,
                         .stop = options.compare.stop};
  LookProgress progress;
  const ProgressLine line(
      [&](double) {
        return "verify: unique rules and foreign keys, " + std::to_string(progress.done.load()) + " of " +
               std::to_string(progress.all.load());
      },
      quiet);
  beyond.findings = look_beyond_rows(look, tables, progress);
  std::vector<VerifyFinding> sequences =
      check_verified_sequences(config, options.blue, options.green, tables, options.compare.stop);
  beyond.findings.insert(beyond.findings.end(), std::make_move_iterator(sequences.begin()),
                         std::make_move_iterator(sequences.end()));
  return beyond;
}

}  // namespace teal
