#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "decoder/decode_error.h"
#include "decoder/frame.h"
#include "decoder/lsn.h"
#include "decoder/message.h"
#include "decoder/relation_cache.h"
#include "decoder/stream_message.h"
#include "decoder/transaction.h"

namespace teal {

struct AssemblerOptions {
  std::string own_origin_prefix;            ///< `teal_<name>_`: origins that start with it are teal's own; "" = none is
  std::size_t slice_bytes_max = 1U << 20U;  ///< a transaction is cut into slices of about this much memory
};

/// Turns the messages of one connection into slices of transactions, in commit order.
/// Rows of own transactions are skipped and counted; their relations are read and rows of control tables kept.
/// A TRUNCATE that names control tables and others becomes two changes, so that no change is both.
/// Threads: one.
/// Errors: the first one ends the stream; the assembler must not be used after it. Besides those of `parse_message`:
/// kUnexpectedMessage, kUnknownRelation, kColumnCount, and kBadValue for a Commit that is not its Begin's; offset 0.
/// Source: PostgreSQL manual, "Logical Streaming Replication Protocol", protocol version 1, and
/// version 2 for what was streamed.
class TransactionAssembler {
 public:
  explicit TransactionAssembler(AssemblerOptions options);

  /// Adds one message. `message` is exactly one pgoutput message, inside `frame`; `lsn` is its XLogData start.
  /// Returns a slice when one is complete: at the commit, or when the open one has reached its size.
  /// Between transactions, the abort of a subtransaction that was never streamed is taken too, and changes nothing:
  /// servers of 18 send it in every protocol version, for a transaction that was rolled back before it was decoded and
  /// whose changes were more than logical_decoding_work_mem.
  [[nodiscard]] Result<std::optional<TransactionSlice>> add(Lsn lsn, std::span<const std::byte> message, Frame frame);

  /// Opens a transaction that was streamed in blocks and has committed, in place of its Begin. What was kept of the
  /// blocks is then given to `add`, tag and body as one message without its xid, in the order of its arrival and
  /// without what was aborted; then comes `commit` with the same message. The slices are those that the transaction
  /// would have made had it been sent at its commit.
  /// Errors: kUnexpectedMessage inside a transaction.
  [[nodiscard]] std::optional<DecodeError> begin(const StreamCommitMessage& streamed);

  /// Opens a transaction that is streamed in blocks and has not ended: its messages are given to `add` as they come.
  /// `from` is its first block's position, which stands for the commit's until `commit` tells that: in all slices but
  /// the last one. Nothing may be aborted of it. For an assembler of its own, see `learn`.
  /// Errors: kUnexpectedMessage inside a transaction.
  [[nodiscard]] std::optional<DecodeError> begin_ahead(Xid xid, Lsn from);

  /// Ends the transaction that `begin` or `begin_ahead` opened, in place of its Commit, and returns its last slice.
  /// Errors: kUnexpectedMessage outside a transaction, kBadValue for what is not the `begin`'s.
  [[nodiscard]] Result<TransactionSlice> commit(const StreamCommitMessage& streamed);

  /// Takes what the transaction has announced that `other` had opened with `begin_ahead`, once it has committed: the
  /// source does not announce it again.
  void learn(const TransactionAssembler& other);

  /// A transaction was begun and not ended: a keepalive's end must not be taken for its end.
  [[nodiscard]] bool in_transaction() const { return open_; }

 private:
  /// Memory for column lists that do not outlive the message: rows that are skipped, messages between transactions.
  struct Scratch {
    std::array<std::byte, 16 * 1024> buffer;
    std::pmr::monotonic_buffer_resource arena{buffer.data(), buffer.size()};
  };

  /// What arrived with a message.
  struct Arrival {
    Lsn lsn;
    Frame& frame;  ///< moved from when the message's bytes are kept
  };
  /// nullopt, or why the message is refused.
  using Refusal = std::optional<DecodeErrc>;

  Refusal take(const BeginMessage& begin, Arrival arrival);
  Refusal take(const OriginMessage& origin, Arrival arrival);
  Refusal take(RelationMessage& relation, Arrival arrival);
  Refusal take(const TypeMessage& type, Arrival arrival);
  Refusal take(const InsertMessage& insert, Arrival arrival);
  Refusal take(const UpdateMessage& update, Arrival arrival);
  Refusal take(const DeleteMessage& deletion, Arrival arrival);
  Refusal take(const TruncateMessage& truncate, Arrival arrival);
  Refusal take(const LogicalMessage& message, Arrival arrival);
  Refusal take(const CommitMessage& commit, Arrival arrival);

  [[nodiscard]] std::optional<DecodeError> refusal_of_abort(std::span<const std::byte> message) const;
  Refusal open_transaction(const BeginMessage& begin);
  Refusal close_transaction(const CommitMessage& commit);
  Refusal take_row(RelationId id, Change change, Arrival arrival);
  void keep_truncate(std::span<const Relation* const> tables, std::uint8_t flags, Lsn lsn);
  const Relation* hold(CachedRelation& cached);
  void count(std::uint64_t changes);
  void start_slice(TransactionFacts facts, bool first, std::size_t rows_expected);

  /// The name in a Type message.
  struct TypeName {
    std::string schema;
    std::string name;
  };

  AssemblerOptions options_;
  RelationCache relations_;
  std::unordered_map<std::uint32_t, TypeName> types_;  // by TypeId, as this connection announced them
  std::unique_ptr<Scratch> scratch_ = std::make_unique<Scratch>();
  bool open_ = false;
  bool ahead_ = false;              ///< it was opened before its commit
  bool rows_seen_ = false;          ///< in the open transaction: an Origin would come too late
  std::uint64_t slice_number_ = 0;  ///< of `slice_`; see CachedRelation::held_by_slice
  TransactionSlice slice_;          ///< meaningful while `open_`
};

}  // namespace teal
