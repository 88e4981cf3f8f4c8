#pragma once
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tools/cutover_sides.h"

namespace teal {

/// What is in a cutover's way, and what it would take.
struct CutoverFindings {
  std::vector<std::string> obstacles;  ///< each with what to do
  std::vector<std::string> notes;
  double pause_ms = 0;  ///< what the pause would take, about
};

/// Looks at everything that a cutover needs and does, without an effect that anybody could notice: markers go through
/// the links, and each pooler's file is replaced by itself. Errors: PgError when a connection breaks.
[[nodiscard]] CutoverFindings check_cutover(const CutoverPlan& plan, CutoverSides& sides, bool unverified,
                                            const std::stop_token& stop);

}  // namespace teal
