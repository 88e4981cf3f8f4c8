#include "applier/gathered.h"

#include <utility>

namespace teal {

void Gathered::add(TransactionSlice slice, std::uint64_t changes_before) {
  rows_ += slice.changes.size();
  bytes_ += slice.bytes;
  pieces_.push_back({std::move(slice), changes_before});
}

void Gathered::end(Ended ended) {
  ended.pieces = pieces_.size();
  ended_.push_back(ended);
}

void Gathered::drop_ended(std::size_t count) {
  const std::size_t dropped = first_piece(count);
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(dropped));
  ended_.erase(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(count));
  for (Ended& ended : ended_) ended.pieces -= dropped;
  recount();
}

void Gathered::drop_open() {
  pieces_.clear();
  recount();
}

void Gathered::clear() {
  pieces_.clear();
  ended_.clear();
  recount();
}

void Gathered::set_facts(const TransactionFacts& facts) {
  for (Piece& piece : pieces_) piece.slice.facts = facts;
}

Gathered::Run Gathered::first_run(const RunLimit& limit) const {
  Run run;
  std::size_t rows = 0;
  while (run.end < ended_.size() && run.size() < limit.transactions) {
    for (std::size_t i = first_piece(run.end); i < ended_[run.end].pieces; ++i) rows += pieces_[i].slice.changes.size();
    if (run.size() > 0 && rows > limit.rows) break;
    ++run.end;
  }
  return run;
}

void Gathered::recount() {
  rows_ = 0;
  bytes_ = 0;
  for (const Piece& piece : pieces_) {
    rows_ += piece.slice.changes.size();
    bytes_ += piece.slice.bytes;
  }
}

}  // namespace teal
