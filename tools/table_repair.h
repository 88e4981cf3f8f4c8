#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "applier/row_repair.h"

namespace teal {

/// Bounds of one transaction of a repair.
struct RepairLimits {
  std::size_t rows = 500;
  std::size_t bytes = std::size_t{4} << 20;  ///< of values as text
  std::stop_token stop;
};

/// What became of a table's rows.
struct TableRepairOutcome {
  RepairCounts written;
  std::uint64_t left = 0;  ///< were not what was compared any more, or locked
  std::uint64_t refused = 0;
  std::set<std::string> reasons;  ///< why these were refused; a few
  std::string stopped;            ///< why it went no further, while rows were left; "": it came to its end

  void refuse(const std::string& reason);
};

/// Repairs one table's rows, in transactions of bounded size. Where the server refuses some of a transaction's rows,
/// they are singled out. What a unique rule refused is written together with the rows that hold its values, as long as
/// these are to be written too. Threads: one.
class TableRepair {
 public:
  TableRepair(RowRepair& repair, const RepairTable& table, RepairLimits limits)
      : repair_(repair), table_(table), limits_(std::move(limits)) {}

  /// A server that is not to be reached any more, or a stop, ends it: that is in the outcome.
  [[nodiscard]] TableRepairOutcome run(std::vector<RepairRow> rows);

 private:
  struct Deferred {
    RepairRow row;
    std::string reason;
  };

  using Use = std::function<void(std::span<const RepairRow>)>;

  void write_all(std::vector<RepairRow> rows);
  void write_in_batches(std::span<const RepairRow> rows);
  void in_fitting_parts(std::span<const RepairRow> rows, const Use& use);
  [[nodiscard]] bool fits_together(std::span<const RepairRow> rows);
  void narrow(std::span<const RepairRow> rows);
  [[nodiscard]] bool attempt(std::span<const RepairRow> rows, RepairWay way);
  void hand_over(std::vector<RepairRow>& deletes);

  RowRepair& repair_;
  const RepairTable& table_;
  RepairLimits limits_;
  TableRepairOutcome outcome_;
  std::vector<Deferred> deferred_;
  std::string reason_;  // of the attempt that was refused last
};

}  // namespace teal
