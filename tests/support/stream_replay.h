#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/stream_message.h"
#include "decoder/transaction.h"
#include "decoder/transaction_assembler.h"
#include "decoder/two_phase_message.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {

/// That a test has met what it is about.
struct StreamCounts {
  std::size_t blocks = 0;
  std::size_t streamed_commits = 0;
  std::size_t aborted_transactions = 0;
  std::size_t aborted_subtransactions = 0;
  std::size_t discarded = 0;      ///< messages that an abort took back
  std::size_t stray_aborts = 0;   ///< of subtransactions of what was never streamed: 18 sends such
  std::size_t abort_records = 0;  ///< aborts with their record's position, as `streaming 'parallel'` sends them
  std::size_t prepared = 0;
  std::size_t prepared_commits = 0;
  std::size_t prepared_rollbacks = 0;
};

/// What a receiver of protocols 1 to 4 does, in its shortest form: what was streamed or prepared stays in memory, each
/// message for itself, until its commit, and is then given to the assembler.
/// Threads: one. Errors: std::runtime_error for what the decoder refuses, and for blocks and ends of transactions that
/// were not announced, or announced twice.
class StreamReplay {
 public:
  using Take = std::function<void(TransactionSlice)>;

  /// With `protocol` 1 the assembler gets everything as it comes.
  StreamReplay(int protocol, AssemblerOptions options, Take take)
      : protocol_(protocol), assembler_(std::move(options)), take_(std::move(take)) {}

  /// One pgoutput message, as it arrived.
  void add(Lsn lsn, const Bytes& bytes);

  /// Nothing is open: neither a block, nor a transaction, nor one that waits for its end.
  [[nodiscard]] bool at_rest() const;

  [[nodiscard]] const StreamCounts& counts() const { return counts_; }

 private:
  struct Kept {
    Xid subxid;
    Lsn lsn;
    Bytes message;  ///< of protocol 1
  };
  using Messages = std::vector<Kept>;

  [[nodiscard]] StreamPlace place() const;
  void add_to_assembler(Lsn lsn, const Bytes& bytes);
  void announce();
  void replay(const StreamCommitMessage& facts, const Messages& messages);

  void take(Lsn lsn, const StreamStartMessage& start);
  void take(Lsn lsn, const StreamStopMessage& stop);
  void take(Lsn lsn, const StreamCommitMessage& commit);
  void take(Lsn lsn, const StreamAbortMessage& abort);
  void take(Lsn lsn, const StreamedMessage& message);
  void take(const BeginPrepareMessage& begin);
  void take(const PrepareMessage& prepare);
  void take(const StreamPrepareMessage& prepare);
  void take(const CommitPreparedMessage& commit);
  void take(const RollbackPreparedMessage& rollback);

  int protocol_;
  TransactionAssembler assembler_;
  Take take_;
  std::optional<Xid> block_;                  ///< whose block is open
  std::map<Xid, Messages> streamed_;          ///< by top-level transaction
  std::optional<std::string> preparing_;      ///< between BeginPrepare and Prepare
  std::map<std::string, Messages> prepared_;  ///< by gid, without the relations that it announced
  // Relations that a Prepare has announced. They count from there on, whatever becomes of it: the next transaction that
  // the assembler opens is given them first. (Blocks announce what they use for themselves.)
  std::vector<Bytes> announced_;
  StreamCounts counts_;
};

}  // namespace teal::test
