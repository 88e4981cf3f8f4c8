#include "tools/tail_printer.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace teal {

std::string TailPrinter::lines_of(const TransactionSlice& slice) {
  std::string lines;
  if (slice.first) open_changes_ = 0;
  for (const Change& change : slice.changes) {
    const std::string line = line_of(slice.facts.xid, change);
    if (line.empty()) continue;
    if (open_changes_ == 0) lines += tail_begin(format_, slice.facts);
    lines += line;
    ++open_changes_;
    ++changes_;
  }
  if (slice.last && open_changes_ > 0) {
    lines += tail_commit(format_, slice.facts, slice.end_lsn, open_changes_);
    ++transactions_;
  }
  return lines;
}

std::string TailPrinter::line_of(Xid xid, const Change& change) const {
  if (change.op != ChangeOp::kTruncate) {
    return selects(*change.relation) ? tail_row(format_, xid, change, types_of_(*change.relation)) : "";
  }
  std::vector<const Relation*> shown;
  std::copy_if(change.truncated.begin(), change.truncated.end(), std::back_inserter(shown),
               [this](const Relation* relation) { return selects(*relation); });
  return shown.empty() ? "" : tail_truncate(format_, xid, change, shown);
}

}  // namespace teal
