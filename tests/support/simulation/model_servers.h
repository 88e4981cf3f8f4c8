#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "decoder/frame.h"
#include "decoder/lsn.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {

/// What a simulation found that must never be.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A source as teal sees one: transactions in commit order, a slot that remembers what was confirmed, and the bytes of
/// a stream. Source: PostgreSQL's walsender and logical decoding; TRAPS A5 to A9.
class ModelSource {
 public:
  explicit ModelSource(std::mt19937_64& random) : random_(random) {}

  /// One more transaction of some rows, and now and then WAL that is nobody's.
  void commit();
  [[nodiscard]] std::size_t transactions() const { return log_.size(); }
  /// The rows of a transaction, as `rows_of` gives them.
  [[nodiscard]] const std::vector<std::string>& rows(std::size_t transaction) const { return log_[transaction].rows; }

  /// START_REPLICATION: a position below the confirmed one is moved forward without a word.
  void start_stream(Lsn from);
  /// The next COPY message, or nullopt when everything has been sent. Keepalives come at any time: one inside of a
  /// transaction may name an end of WAL beyond it.
  std::optional<Bytes> next_message();

  /// A status update. Errors: Violation when it goes back, or names what was never sent (A9).
  void confirm(Lsn flushed);
  [[nodiscard]] Lsn confirmed() const { return confirmed_; }
  /// The slot's state reaches the disk.
  void checkpoint() { stored_ = confirmed_; }
  /// The slot falls back to what the disk has (A7).
  void crash() { confirmed_ = stored_; }

 private:
  struct Transaction {
    Lsn final_lsn;
    Lsn end_lsn;
    std::vector<std::string> rows;
  };

  void queue_transaction(const Transaction& transaction);
  [[nodiscard]] Bytes data(const Bytes& payload) const;
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  std::mt19937_64& random_;
  std::vector<Transaction> log_;
  Lsn end_{0x1000};
  Lsn confirmed_{0x1000};
  Lsn stored_{0x1000};

  // Of the open stream:
  std::size_t next_ = 0;  ///< transaction to send
  Lsn sent_;
  Lsn acknowledged_;
  bool announced_ = false;  ///< the relation
  std::deque<Bytes> queued_;
};

/// A target as teal sees one: committed batches with their progress row, of which a crash takes those that were not
/// flushed. It checks what it is given: I1 and I3 hold in it, or it throws.
class ModelTarget {
 public:
  struct Row {
    Lsn applied{0x1000};
    Lsn held{0x1000};
  };

  explicit ModelTarget(const ModelSource& source) : source_(source) {}

  /// One target transaction: whole source transactions, and the progress row.
  /// Errors: Violation when one is there already, is missing before them, or is not whole.
  void commit(const std::vector<std::vector<std::string>>& transactions, Row row);
  void flush() { durable_ = batches_.size(); }
  void crash() { batches_.resize(durable_); }

  [[nodiscard]] Row row() const { return batches_.empty() ? Row{} : batches_.back().row; }
  [[nodiscard]] Row durable_row() const { return durable_ == 0 ? Row{} : batches_[durable_ - 1].row; }
  [[nodiscard]] std::size_t transactions() const { return batches_.empty() ? 0 : batches_.back().transactions; }
  [[nodiscard]] std::size_t batches() const { return batches_.size(); }
  [[nodiscard]] std::size_t durable_batches() const { return durable_; }

 private:
  struct Batch {
    Row row;
    std::size_t transactions;  ///< all up to here
  };

  const ModelSource& source_;
  std::vector<Batch> batches_;
  std::size_t durable_ = 0;
};

}  // namespace teal::test
