#pragma once
// Builds what a PostgreSQL source sends, so that tests read as SQL does and no test holds hex by hand:
//
//   using P = PgoutputBuilder;
//   const Relation item = make_relation(RelationId{1}, "public", "item", {key("id"), column("note")});
//   TransactionSlice slice = slice_of({.end_lsn = Lsn{0x2000}}, {item},
//                                     {P::insert(item.id, {text("1"), null()}),
//                                      P::delete_key(item.id, {text("2"), null()})});
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decoder/change.h"
#include "decoder/frame.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/relation.h"
#include "decoder/stream_message.h"
#include "decoder/transaction.h"
#include "decoder/transaction_assembler.h"
#include "decoder/tuple.h"
#include "decoder/two_phase_message.h"

namespace teal::test {

using Bytes = std::vector<std::byte>;

/// One column of a tuple to build; made by the four functions below.
struct ColumnToBuild {
  ColumnKind kind = ColumnKind::kNull;
  std::string value;
};
using TupleToBuild = std::vector<ColumnToBuild>;

[[nodiscard]] ColumnToBuild text(std::string_view value);
[[nodiscard]] ColumnToBuild binary(std::string_view value);
[[nodiscard]] ColumnToBuild null();
/// Unchanged TOAST: the value was not sent.
[[nodiscard]] ColumnToBuild unchanged();

inline constexpr TypeId kInt4{23};
inline constexpr TypeId kText{25};

/// A column of the replica identity.
[[nodiscard]] Column key(std::string_view name, TypeId type = kInt4);
[[nodiscard]] Column column(std::string_view name, TypeId type = kText);
[[nodiscard]] Relation make_relation(RelationId id, std::string_view schema, std::string_view name,
                                     std::vector<Column> columns,
                                     ReplicaIdentity replica_identity = ReplicaIdentity::kDefault);

/// Messages of pgoutput, protocol version 1 to 4, and the envelopes around them; fields in the wire's order.
struct PgoutputBuilder {
  static Bytes begin(Lsn final_lsn, Timestamp commit_time, Xid xid);
  static Bytes commit(Lsn commit_lsn, Lsn end_lsn, Timestamp commit_time);
  static Bytes origin(Lsn commit_lsn, std::string_view name);
  static Bytes relation(const Relation& relation);
  static Bytes type(TypeId id, std::string_view schema, std::string_view name);
  static Bytes insert(RelationId id, const TupleToBuild& new_tuple);
  /// An UPDATE whose identity did not change: no old image.
  static Bytes update(RelationId id, const TupleToBuild& new_tuple);
  /// 'K': columns outside the identity are `null()`.
  static Bytes update_key(RelationId id, const TupleToBuild& old_key, const TupleToBuild& new_tuple);
  /// 'O': REPLICA IDENTITY FULL.
  static Bytes update_full(RelationId id, const TupleToBuild& old_row, const TupleToBuild& new_tuple);
  static Bytes delete_key(RelationId id, const TupleToBuild& old_key);
  static Bytes delete_full(RelationId id, const TupleToBuild& old_row);
  static Bytes truncate(const std::vector<RelationId>& ids, std::uint8_t flags = 0);
  static Bytes message(bool transactional, Lsn lsn, std::string_view prefix, std::string_view content);

  static Bytes stream_start(Xid xid, bool first_segment);
  static Bytes stream_stop();
  static Bytes stream_commit(const StreamCommitMessage& message);
  static Bytes stream_abort(const StreamAbortMessage& message);
  /// `message` as it comes inside a block: the xid after the tag, but for Origin.
  static Bytes streamed(Xid subxid, const Bytes& message);
  static Bytes two_phase(const TwoPhaseMessage& message);

  static Bytes xlogdata(Lsn start, Lsn wal_end, Timestamp send_time, const Bytes& payload);
  static Bytes keepalive(Lsn wal_end, Timestamp send_time, bool reply_requested);
};

/// A message of a block as protocol 1 has it: tag and body, without its xid.
[[nodiscard]] Bytes without_xid(const StreamedMessage& message);

/// Owns a copy of `bytes`, as a received COPY message is owned.
[[nodiscard]] Frame frame_of(const Bytes& bytes);

/// What Begin, Origin and Commit say.
struct TransactionToBuild {
  Xid xid{700};
  Lsn final_lsn{0x1000};
  Lsn end_lsn{};  ///< 0/0: a little after `final_lsn`
  Timestamp commit_time{1'000'000};
  std::optional<Origin> origin{};

  [[nodiscard]] Lsn end() const { return end_lsn.valid() ? end_lsn : Lsn{final_lsn.value + 0x30}; }
};

/// Begin, Origin where there is one, `body`, Commit.
[[nodiscard]] std::vector<Bytes> transaction(const TransactionToBuild& facts, const std::vector<Bytes>& body);

/// Runs `messages` through `assembler`, each in an XLogData frame of its own, at `start`, `start` + 8, ...
/// Errors: std::runtime_error with the decode error's text.
[[nodiscard]] std::vector<TransactionSlice> feed(TransactionAssembler& assembler, const std::vector<Bytes>& messages,
                                                 Lsn start = Lsn{0x800});

/// A whole transaction as the receiver would hand it over: announces `relations` and the types that they name, then
/// sends `rows`. Errors: std::runtime_error when it does not decode, or not to one slice.
[[nodiscard]] TransactionSlice slice_of(const TransactionToBuild& facts, const std::vector<Relation>& relations,
                                        const std::vector<Bytes>& rows, AssemblerOptions options = {});

}  // namespace teal::test
