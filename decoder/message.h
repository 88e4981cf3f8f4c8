#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/relation.h"
#include "decoder/tuple.h"

// The messages of pgoutput, protocol version 1: fields in the wire's order, names as in the manual, `kTag` the first
// byte. Lifetime of every view: the message's bytes; of TupleView and of Truncate's list: the parser's arena.
// Source: PostgreSQL manual, "Logical Replication Message Formats".

namespace teal {

/// A transaction opens.
struct BeginMessage {
  static constexpr char kTag = 'B';
  Lsn final_lsn;  ///< of the commit record
  Timestamp commit_time;
  Xid xid;
};

/// The transaction was made elsewhere; follows Begin at once.
struct OriginMessage {
  static constexpr char kTag = 'O';
  Lsn commit_lsn;  ///< on the server where it was made; 0/0 when not known
  std::string_view name;
};

/// A table's shape, sent before its first row and again after it changed.
struct RelationMessage {
  static constexpr char kTag = 'R';
  Relation relation;
};

/// A type that is not built in, sent before the Relation that uses it. A domain comes with the name of its base type.
struct TypeMessage {
  static constexpr char kTag = 'Y';
  TypeId id;
  std::string_view schema;  ///< never empty: the wire's "" (pg_catalog) is spelled out
  std::string_view name;
};

struct InsertMessage {
  static constexpr char kTag = 'I';
  RelationId relation;
  TupleView new_tuple;
};

struct UpdateMessage {
  static constexpr char kTag = 'U';
  RelationId relation;
  OldTupleKind old_kind = OldTupleKind::kNone;
  TupleView old_tuple;
  TupleView new_tuple;
};

struct DeleteMessage {
  static constexpr char kTag = 'D';
  RelationId relation;
  OldTupleKind old_kind = OldTupleKind::kKey;  ///< never kNone
  TupleView old_tuple;
};

struct TruncateMessage {
  static constexpr char kTag = 'T';
  std::uint8_t flags = 0;                 ///< kTruncateCascade, kTruncateRestartIdentity
  std::span<const RelationId> relations;  ///< never empty
};

/// What `pg_logical_emit_message` wrote; inside a transaction or between two.
struct LogicalMessage {
  static constexpr char kTag = 'M';
  bool transactional = false;
  Lsn lsn;
  std::string_view prefix;
  std::span<const std::byte> content;
};

/// The transaction ends.
struct CommitMessage {
  static constexpr char kTag = 'C';
  Lsn commit_lsn;  ///< start of the commit record, equal to Begin's `final_lsn`
  Lsn end_lsn;     ///< end of the commit record
  Timestamp commit_time;
};

using Message = std::variant<BeginMessage, OriginMessage, RelationMessage, TypeMessage, InsertMessage, UpdateMessage,
                             DeleteMessage, TruncateMessage, LogicalMessage, CommitMessage>;

}  // namespace teal
