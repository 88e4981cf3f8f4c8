#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "decoder/copy_data.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {

/// What a simulation found that must never be.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A source as teal sees one: transactions in commit order, a slot that remembers what was confirmed, and the messages
/// of one stream at a time. Source: PostgreSQL's walsender and logical decoding; TRAPS A5 to A9, C5, C9.
class ModelSource {
 public:
  static constexpr const char* kOwnOrigin = "teal_simulation_reverse";

  explicit ModelSource(std::mt19937_64& random) : random_(random) {}

  /// One more transaction of some rows, none, or many, and now and then WAL that is nobody's. Some are teal's own.
  void commit();
  [[nodiscard]] std::size_t transactions() const { return log_.size(); }
  /// How many of them end at or before `lsn`.
  [[nodiscard]] std::size_t transactions_until(Lsn lsn) const;
  /// What of a transaction has to arrive: its rows, none of an own one.
  [[nodiscard]] const std::vector<std::string>& rows(std::size_t transaction) const { return log_[transaction].rows; }
  [[nodiscard]] Lsn end() const { return end_; }

  /// START_REPLICATION: a position below the confirmed one is moved forward without a word. `streaming`: large
  /// transactions may come in blocks, before their turn, between others and with subtransactions that are rolled back.
  void start_stream(Lsn from, bool streaming);
  /// The next COPY message, or nullopt when everything has been sent. Keepalives come at any time: one inside of a
  /// transaction may name an end of WAL beyond it.
  std::optional<Bytes> next_message();

  /// A status update arrives. Errors: Violation when it goes back, or names what was never sent (A9).
  void confirm(const StandbyStatusUpdate& update);
  [[nodiscard]] Lsn confirmed() const { return confirmed_; }
  /// The slot's state reaches the disk.
  void checkpoint() { stored_ = confirmed_; }
  /// The slot falls back to what the disk has (A7).
  void crash() { confirmed_ = stored_; }

 private:
  struct Transaction {
    Lsn final_lsn;
    Lsn end_lsn;
    Xid xid;
    bool own = false;
    std::vector<std::string> rows;  ///< that have to arrive
    std::size_t own_rows = 0;
  };

  void queue_whole(const Transaction& transaction);
  void queue_block(std::size_t transaction);
  void queue_streamed_end(std::size_t transaction);
  void queue_ghost();
  void queue_keepalive(const Transaction& inside);
  void queue_data(const Bytes& payload);
  [[nodiscard]] bool comes_in_blocks(std::size_t transaction) const;
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  std::mt19937_64& random_;
  std::vector<Transaction> log_;
  Lsn end_{0x1000};
  Lsn confirmed_{0x1000};
  Lsn stored_{0x1000};
  std::uint32_t next_xid_ = 1'000;

  // Of the open stream:
  bool streaming_ = false;
  std::size_t next_ = 0;  ///< transaction whose end is to be sent
  Lsn sent_;
  Lsn acknowledged_;
  bool announced_ = false;                            ///< the relation
  bool asked_ = false;                                ///< for a keepalive
  std::map<std::size_t, std::size_t> streamed_rows_;  ///< by transaction: sent in blocks so far
  std::deque<Bytes> queued_;
};

}  // namespace teal::test
