#pragma once
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "decoder/lsn.h"
#include "engine/ledger.h"
#include "tests/support/simulation/model_source.h"

namespace teal::test {

/// A target as teal sees one: committed batches with their progress row, of which a crash takes those that were not
/// flushed. It checks what it is given: I1, I2, I3 and A8 hold in it, or it throws.
class ModelTarget {
 public:
  struct Row {
    Lsn applied{0x1000};
    Lsn held{0x1000};
    Ledger ledger{};
  };
  /// One target transaction: whole source transactions, and the progress row.
  struct Batch {
    std::vector<std::vector<std::string>> transactions;
    Row row;
  };

  explicit ModelTarget(const ModelSource& source) : source_(source) {}

  /// Errors: Violation when a transaction is there already, is missing before or among them, or is not whole; when the
  /// row goes back, goes beyond them, or has a ledger that does not tell what is there.
  void commit(const Batch& batch);
  /// The COMMIT has failed after `pg_replication_origin_xact_setup`: nothing is there, and the origin's own position
  /// has moved all the same (A1).
  void fail_commit(const Batch& batch) { origin_ = std::max(origin_, batch.row.applied); }
  /// The COMMIT was sent, its connection is lost, and its backend is not done with it: until `end_commit` it holds the
  /// origin (A11).
  void leave_commit(Batch batch) { in_flight_ = std::move(batch); }
  void end_commit(bool committed);
  [[nodiscard]] bool origin_is_held() const { return in_flight_.has_value(); }
  [[nodiscard]] Lsn origin() const { return origin_; }

  void flush() { durable_ = committed_.size(); }
  /// Takes what was not flushed, and every session.
  void crash();
  /// A restore, or a failover to a standby that lagged: takes some of what was flushed, too.
  void lose_flushed();
  /// Changes with each crash: a session of before is dead.
  [[nodiscard]] int life() const { return life_; }

  /// The target refuses `row` until the operator has mended that, or has said that it is passed over.
  void refuse(std::string row) { refused_ = std::move(row); }
  [[nodiscard]] const std::optional<std::string>& refused() const { return refused_; }
  void mend() { refused_.reset(); }
  void pass_over();
  [[nodiscard]] bool passes_over(const std::string& row) const { return passed_over_.contains(row); }

  [[nodiscard]] Row row() const { return committed_.empty() ? Row{} : committed_.back().row; }
  [[nodiscard]] Row durable_row() const { return durable_ == 0 ? Row{} : committed_[durable_ - 1].row; }
  /// Source transactions that are there: all up to this number, and no others.
  [[nodiscard]] std::size_t transactions() const { return committed_.empty() ? 0 : committed_.back().transactions; }

 private:
  struct Committed {
    Row row;
    std::size_t transactions;  ///< all up to here
    std::size_t rows;          ///< of these
  };

  void check(const Committed& next) const;

  const ModelSource& source_;
  std::vector<Committed> committed_;
  std::size_t durable_ = 0;
  std::optional<Batch> in_flight_;
  Lsn origin_;
  int life_ = 0;
  std::optional<std::string> refused_;
  std::set<std::string> passed_over_;
};

}  // namespace teal::test
