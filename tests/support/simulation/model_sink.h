#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/ledger.h"
#include "engine/transaction_sink.h"
#include "tests/support/simulation/mistake.h"
#include "tests/support/simulation/model_target.h"

namespace teal::test {

/// How a target transaction ends badly.
enum class Breaks {
  kNot,
  kBeforeCommit,  ///< the connection is lost, nothing is there
  kAfterCommit,   ///< the connection is lost, all is there (A10)
  kInCommit,      ///< the connection is lost, the backend goes on for a while (A11)
  kDeadlock,      ///< and the others are what the table of SQLSTATEs knows
  kDiskFull,
  kRightRevoked,
  kCorrupt,
};

/// The Applier's contract and no more: batches end at source commits, the row moves with them, what is not above
/// `applied` is not applied, durable comes later, a refused row stops the link behind what comes before it.
class ModelSink final : public TransactionSink {
 public:
  /// `row` is the progress row, read after the origin was taken.
  ModelSink(ModelTarget& target, const ModelTarget::Row& row, std::mt19937_64& random, Mistake mistake);

  void begin(const TransactionFacts& facts) override;
  void append(TransactionSlice slice) override;
  void ahead(AheadSlice piece) override;
  void commit(Lsn end_lsn) override;
  void flush() override;
  void idle(Lsn wal_end, Timestamp time) override;
  [[nodiscard]] Lsn applied() const override { return row_.applied; }
  [[nodiscard]] Lsn held() const override { return row_.applied; }
  [[nodiscard]] Lsn durable() override;

  /// The next target transaction ends so.
  void break_next(Breaks how) { breaks_ = how; }
  /// What is open is let go and has to be read again.
  void forget_open() { forgets_ = true; }

 private:
  struct Pending {
    std::vector<std::string> rows;
    Ledger counts{};
    Lsn end_lsn{};
    std::optional<std::string> refused{};
    bool known = false;  ///< it was applied before
  };

  void look_alive() const;
  void collect(const TransactionSlice& slice);
  void give_up_ahead();
  void write();
  void write_pending(std::size_t count, Lsn end);
  void write_batch(const ModelTarget::Batch& batch);
  [[noreturn]] void stop_at(const std::string& row);
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  ModelTarget& target_;
  std::mt19937_64& random_;
  Mistake mistake_;
  int life_;
  ModelTarget::Row row_;
  std::optional<Pending> open_;
  std::shared_ptr<AheadTrial> ahead_;  // of `open_`
  std::vector<Pending> ended_;
  Lsn idle_to_;
  Breaks breaks_ = Breaks::kNot;
  bool forgets_ = false;
  bool broken_ = false;  // it has thrown: only destruction may follow
};

}  // namespace teal::test
