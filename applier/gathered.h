#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/transaction.h"

namespace teal {

/// What the sink of a link was given and has not let go of yet: slices, and where source transactions end among them.
/// Threads: one.
class Gathered {
 public:
  struct Piece {
    TransactionSlice slice;
    std::uint64_t changes_before = 0;  ///< see BatchPlan::SliceFacts
  };

  /// The end of a source transaction.
  struct Ended {
    std::size_t pieces = 0;  ///< up to and including this transaction; counted by `end`
    Lsn end_lsn;
    Timestamp commit_time;
    Timestamp fresh_at;    ///< as in ProgressRow
    Lsn seen = {};         ///< TransactionFacts::seen
    CommitMark sent = {};  ///< the last one up to here that had changes
    bool own = false;      ///< written by teal itself: no row of it is applied
  };

  /// Transactions that have ended, by their index in `ended`; half open.
  struct Run {
    std::size_t first = 0;
    std::size_t end = 0;
    [[nodiscard]] std::size_t size() const { return end - first; }
  };
  struct RunLimit {
    std::size_t transactions = SIZE_MAX;
    std::size_t rows = SIZE_MAX;
  };

  void add(TransactionSlice slice, std::uint64_t changes_before);
  void end(Ended ended);
  /// Lets go of the first `count` transactions that have ended.
  void drop_ended(std::size_t count);
  /// Lets go of the slices of one that has not ended. None may have ended.
  void drop_open();
  /// Lets go of everything.
  void clear();
  /// Of one that has not ended, and that was not known to: its facts. Nothing else may be there.
  void set_facts(const TransactionFacts& facts);

  /// Of the transactions that have ended the first ones, as many as `limit` has room for, and one at least.
  [[nodiscard]] Run first_run(const RunLimit& limit) const;

  [[nodiscard]] std::span<const Piece> pieces() const { return pieces_; }
  [[nodiscard]] std::span<const Ended> ended() const { return ended_; }
  /// Index of the first slice of the transaction.
  [[nodiscard]] std::size_t first_piece(std::size_t transaction) const {
    return transaction == 0 ? 0 : ended_[transaction - 1].pieces;
  }
  /// Of the transaction that ended there.
  [[nodiscard]] const TransactionFacts& facts(const Ended& ended) const {
    return pieces_[ended.pieces - 1].slice.facts;
  }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void recount();

  std::vector<Piece> pieces_;
  std::vector<Ended> ended_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace teal
