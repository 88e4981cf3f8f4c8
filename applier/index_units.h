#pragma once
#include <cstddef>
#include <functional>
#include <stop_token>
#include <vector>

#include "applier/index_plan.h"

namespace teal {

/// Makes one unit; `job` counts from 0. Called by several threads at a time.
using MakeUnit = std::function<void(const IndexUnit& unit, int job, const std::stop_token& stop)>;

/// Makes all units, `jobs` at a time, in their order as far as those of one table let each other. Adds to `made` how
/// many entries were. Threads: of its own; returns when all have ended. Errors: the first that `make` threw; no more
/// are begun then, and those under way are finished.
void run_index_units(const std::vector<IndexUnit>& units, int jobs, const std::stop_token& stop, const MakeUnit& make,
                     std::size_t& made);

}  // namespace teal
