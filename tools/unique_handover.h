#pragma once
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace teal {

/// A row that is to be written, and the rows that have to give up a unique value first.
struct HandoverRow {
  std::string version;            ///< of the row that it takes the place of; "": none
  std::set<std::string> holders;  ///< versions
};

/// In which order rows are written that hand unique values to each other. Units: places in the list of rows.
struct Handover {
  std::vector<std::vector<std::size_t>> together;  ///< each in one transaction, in this order
  std::vector<std::size_t> held;                   ///< wait, by however many others, for a row that is not among them
  std::vector<std::size_t> circles;                ///< wait for each other, and are too many for one transaction
};

/// `together_max`: rows of one transaction.
[[nodiscard]] Handover plan_handover(std::span<const HandoverRow> rows, std::size_t together_max);

}  // namespace teal
