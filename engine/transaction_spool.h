#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decoder/frame.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "engine/spill_file.h"

namespace teal {

struct SpoolOptions {
  std::string directory;
  std::uint64_t bytes_max = 0;  ///< on disk, of all open transactions together
};

/// A message of a transaction that has committed, as the decoder takes it.
struct SpooledMessage {
  Lsn lsn;
  Frame frame;  ///< exactly one message, in the form of protocol 1
};

/// The messages of one committed transaction in the order in which they came, without those of subtransactions that
/// were rolled back. Reads a block at a time. Threads: one. Errors: SpillFailed.
class SpooledTransaction {
 public:
  SpooledTransaction(SpillFile file, std::vector<Xid> aborted);

  /// nullopt at the end.
  [[nodiscard]] std::optional<SpooledMessage> next();
  [[nodiscard]] std::uint64_t bytes() const { return file_.bytes(); }

 private:
  SpillFile file_;
  std::vector<Xid> aborted_;  // sorted
  std::vector<std::byte> block_;
  std::size_t at_ = 0;
};

/// Where the changes of transactions that the source streams while they are open wait until it says how they ended.
/// Messages of one transaction arrive in blocks, `start` to `stop`; blocks of several take turns.
/// Units: memory is one block (256 KiB), or the largest message, plus four bytes per subtransaction that was rolled
/// back; the rest is on disk.
/// Threads: one. Errors: SpillFailed, also when `bytes_max` would be passed; Stopped(kData) for messages out of order.
/// Source: PostgreSQL manual, "Logical Streaming Replication Protocol", streamed transactions.
class TransactionSpool {
 public:
  explicit TransactionSpool(SpoolOptions options) : options_(std::move(options)) {}

  /// `first`: it is the transaction's first block on this connection. A later one whose beginning is not here stops the
  /// link: what is missing would be missing on the target without a word.
  void start(Xid transaction, bool first);
  void stop();
  /// Between `start` and `stop`.
  [[nodiscard]] bool in_block() const { return open_ != nullptr; }

  /// Adds a message: its tag and what follows the xid. `xid` is the (sub)transaction's that made it.
  void add(Xid xid, Lsn lsn, std::byte tag, std::span<const std::byte> body);
  /// The subtransaction was rolled back, or all of it when both are the same.
  void abort(Xid transaction, Xid subtransaction);
  /// The transaction has committed: hands out its messages and forgets it. nullopt when it is not known.
  [[nodiscard]] std::optional<SpooledTransaction> take(Xid transaction);

  /// That are open, with a block at least.
  [[nodiscard]] std::size_t transactions() const { return transactions_.size(); }
  /// On disk.
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  struct Open {
    SpillFile file;
    std::vector<Xid> aborted;
  };

  void write_block();

  SpoolOptions options_;
  std::map<std::uint32_t, Open> transactions_;
  Open* open_ = nullptr;
  std::vector<std::byte> block_;
};

}  // namespace teal
