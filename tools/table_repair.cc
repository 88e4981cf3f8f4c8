#include "tools/table_repair.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/unique_handover.h"

namespace teal {
namespace {

constexpr int kTries = 3;
constexpr std::chrono::milliseconds kPause{50};
constexpr std::size_t kReasons = 10;
// Rows that change unique values among each other go in one transaction, if that is not too large.
constexpr std::size_t kTogether = 2'000;
constexpr std::size_t kTogetherBytes = std::size_t{256} << 20;

// How many of the first fit: at least one, however large it is.
std::size_t fitting(std::span<const std::size_t> sizes, std::size_t most) {
  std::size_t count = 1;
  for (std::size_t bytes = sizes.front(); count < sizes.size() && bytes + sizes[count] <= most; ++count)
    bytes += sizes[count];
  return count;
}

}  // namespace

void TableRepairOutcome::refuse(const std::string& reason) {
  ++refused;
  if (reasons.size() < kReasons) reasons.insert(reason);
}

TableRepairOutcome TableRepair::run(std::vector<RepairRow> rows) {
  try {
    write_all(std::move(rows));
  } catch (const PgError& error) {
    outcome_.stopped = error.what();
  } catch (const Interrupted& stopped) {
    outcome_.stopped = stopped.what();
  }
  return std::move(outcome_);
}

void TableRepair::write_all(std::vector<RepairRow> rows) {
  std::vector<RepairRow> deletes;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(deletes),
               [](const RepairRow& row) { return row.right.empty(); });
  std::erase_if(rows, [](const RepairRow& row) { return row.right.empty(); });
  write_in_batches(rows);
  // Before other rows are deleted: a row that takes the place of one of them comes in the same transaction.
  if (!deferred_.empty()) hand_over(deletes);
  write_in_batches(deletes);
  for (const Deferred& one : std::exchange(deferred_, {})) outcome_.refuse(one.reason);
}

void TableRepair::write_in_batches(std::span<const RepairRow> rows) {
  in_fitting_parts(rows, [this](std::span<const RepairRow> part) { narrow(part); });
}

// Each row is measured once: the server reads all of its values for that.
void TableRepair::in_fitting_parts(std::span<const RepairRow> rows, const Use& use) {
  while (!rows.empty()) {
    std::span<const RepairRow> measured = rows.first(std::min(rows.size(), limits_.rows));
    rows = rows.subspan(measured.size());
    const std::vector<std::size_t> all = repair_.row_bytes(table_, measured, RepairWay::kInPlace);
    for (std::span<const std::size_t> sizes = all; !sizes.empty();) {
      const std::size_t count = fitting(sizes, limits_.bytes);
      use(measured.first(count));
      measured = measured.subspan(count);
      sizes = sizes.subspan(count);
    }
  }
}

// What cannot be taken apart is held in memory as a whole.
bool TableRepair::fits_together(std::span<const RepairRow> rows) {
  std::size_t bytes = 0;
  for (auto rest = rows; rows.size() > 1 && !rest.empty();) {
    const std::span<const RepairRow> some = rest.first(std::min(rest.size(), limits_.rows));
    for (const std::size_t size : repair_.row_bytes(table_, some, RepairWay::kAnew)) bytes += size;
    rest = rest.subspan(some.size());
  }
  return bytes <= kTogetherBytes;
}

void TableRepair::narrow(std::span<const RepairRow> rows) {
  if (attempt(rows, RepairWay::kInPlace)) return;
  if (rows.size() == 1) {
    deferred_.push_back({rows.front(), reason_});
    return;
  }
  narrow(rows.first(rows.size() / 2));
  narrow(rows.subspan(rows.size() / 2));
}

// False: the server refused one of them, or somebody has what one of them needs. One such row is left for the next
// round.
bool TableRepair::attempt(std::span<const RepairRow> rows, RepairWay way) {
  for (int i = 1;; ++i) {
    if (limits_.stop.stop_requested()) throw Interrupted("the repair was stopped; run it again to go on");
    try {
      const RepairAttempt done = repair_.write(table_, rows, way);
      outcome_.written += done.written;
      outcome_.left += done.left;
      return true;
    } catch (const RowsRefused& error) {
      reason_ = error.what();
      return false;
    } catch (const PgError& error) {
      if (error.error_class() != ErrorClass::kRetry || limits_.stop.stop_requested()) throw;
      if (i == kTries && rows.size() == 1) {
        ++outcome_.left;
        return true;
      }
      if (i == kTries) {
        reason_ = error.what();
        return false;
      }
    }
    pause_for(kPause, limits_.stop);
  }
}

// Takes those of `deletes` that hold what another row needs.
void TableRepair::hand_over(std::vector<RepairRow>& deletes) {
  const std::vector<Deferred> deferred = std::exchange(deferred_, {});
  std::vector<RepairRow> rows;
  rows.reserve(deferred.size());
  for (const Deferred& one : deferred) rows.push_back(one.row);
  std::vector<HandoverRow> wanted;
  in_fitting_parts(rows, [&](std::span<const RepairRow> part) {
    for (auto& holders : repair_.holders(table_, part)) {
      wanted.push_back({rows[wanted.size()].wrong, std::move(holders)});
    }
  });
  std::set<std::string> held;
  for (const HandoverRow& row : wanted) held.insert(row.holders.begin(), row.holders.end());
  std::erase_if(deletes, [&](const RepairRow& row) {
    if (!held.contains(row.wrong)) return false;
    rows.push_back(row);
    wanted.push_back({row.wrong, {}});
    return true;
  });
  const Handover plan = plan_handover(wanted, kTogether);
  for (const std::vector<std::size_t>& group : plan.together) {
    std::vector<RepairRow> together;
    together.reserve(group.size());
    for (const std::size_t place : group) together.push_back(rows[place]);
    if (!fits_together(together)) {
      reason_ = std::to_string(group.size()) + " rows of " + table_.compared.display_name +
                " wait for unique values of each other, and take more than " + std::to_string(kTogetherBytes >> 20) +
                " MiB";
    } else if (attempt(together, RepairWay::kAnew)) {
      continue;
    }
    for (std::size_t i = 0; i < group.size(); ++i) outcome_.refuse(reason_);
  }
  for (const std::size_t place : plan.held) outcome_.refuse(deferred[place].reason);
  for (std::size_t i = 0; i < plan.circles.size(); ++i) {
    outcome_.refuse("more than " + std::to_string(kTogether) + " rows of " + table_.compared.display_name +
                    " wait for unique values of each other");
  }
}

}  // namespace teal
