#include "decoder/pgoutput.h"

#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "decoder/byte_reader.h"
#include "decoder/change.h"

namespace teal {
namespace {

constexpr std::size_t kColumnBytesMin = 1;           // kind
constexpr std::size_t kRelationColumnBytesMin = 10;  // flags, the name's zero byte, type, modifier
constexpr std::size_t kRelationIdBytes = 4;

/// `arena.allocate` without the null check and destructor bookkeeping of a container; `T` must be trivial to destroy.
template <class T>
std::span<T> allocate(std::pmr::memory_resource& arena, std::size_t count) {
  static_assert(std::is_trivially_destructible_v<T>);
  return {static_cast<T*>(arena.allocate(count * sizeof(T), alignof(T))), count};
}

/// Checks a count before anything is allocated for it; 0 after an error.
std::size_t checked_count(ByteReader& reader, std::size_t offset, std::int64_t count, std::int64_t count_max,
                          std::size_t item_bytes_min) {
  if (count < 0 || count > count_max) {
    reader.fail(DecodeErrc::kBadValue, offset);
    return 0;
  }
  if (static_cast<std::size_t>(count) > reader.remaining() / item_bytes_min) {
    reader.fail(DecodeErrc::kTruncated, offset);
    return 0;
  }
  return static_cast<std::size_t>(count);
}

std::size_t read_column_count(ByteReader& reader, std::size_t item_bytes_min) {
  const std::size_t offset = reader.position();
  return checked_count(reader, offset, reader.i16(), kColumnCountMax, item_bytes_min);
}

/// The wire spells the namespace pg_catalog as "".
std::string_view read_schema(ByteReader& reader) {
  const std::string_view schema = reader.cstring();
  return schema.empty() ? "pg_catalog" : schema;
}

ColumnValue read_column(ByteReader& reader) {
  const std::size_t offset = reader.position();
  const std::uint8_t kind = reader.u8();
  switch (kind) {
    case 't':
    case 'b': {
      const auto value = reader.sized_bytes();
      return {value.data(), static_cast<std::uint32_t>(value.size()), static_cast<ColumnKind>(kind)};
    }
    case 'n':
    case 'u':
      return {nullptr, 0, static_cast<ColumnKind>(kind)};
    default:
      reader.fail(DecodeErrc::kBadValue, offset);
      return {};
  }
}

TupleView read_tuple(ByteReader& reader, std::pmr::memory_resource& arena) {
  const std::size_t count = read_column_count(reader, kColumnBytesMin);
  if (count == 0) return {};
  const std::span<ColumnValue> columns = allocate<ColumnValue>(arena, count);
  // A local cursor stays in registers: stores to the arena cannot alias it.
  ByteReader local = reader;
  for (ColumnValue& column : columns) {
    std::construct_at(&column, read_column(local));
  }
  reader = local;
  return columns;
}

/// The marker and tuple of a new row.
TupleView read_new_tuple(ByteReader& reader, std::size_t marker_offset, std::uint8_t marker,
                         std::pmr::memory_resource& arena) {
  if (marker != 'N') {
    reader.fail(DecodeErrc::kBadValue, marker_offset);
    return {};
  }
  return read_tuple(reader, arena);
}

OldTupleKind old_tuple_kind(std::uint8_t marker) {
  if (marker == 'K') return OldTupleKind::kKey;
  if (marker == 'O') return OldTupleKind::kFull;
  return OldTupleKind::kNone;
}

BeginMessage read_begin(ByteReader& reader) {
  BeginMessage message;
  message.final_lsn = reader.lsn();
  message.commit_time = reader.timestamp();
  message.xid = Xid{reader.u32()};
  return message;
}

CommitMessage read_commit(ByteReader& reader) {
  CommitMessage message;
  reader.flags(0);
  message.commit_lsn = reader.lsn();
  message.end_lsn = reader.lsn();
  message.commit_time = reader.timestamp();
  return message;
}

OriginMessage read_origin(ByteReader& reader) {
  OriginMessage message;
  message.commit_lsn = reader.lsn();
  message.name = reader.cstring();
  return message;
}

ReplicaIdentity read_replica_identity(ByteReader& reader) {
  const std::size_t offset = reader.position();
  const std::uint8_t identity = reader.u8();
  if (identity != 'd' && identity != 'n' && identity != 'f' && identity != 'i') {
    reader.fail(DecodeErrc::kBadValue, offset);
    return ReplicaIdentity::kDefault;
  }
  return static_cast<ReplicaIdentity>(identity);
}

RelationMessage read_relation(ByteReader& reader) {
  RelationMessage message;
  Relation& relation = message.relation;
  relation.id = RelationId{reader.u32()};
  relation.schema = read_schema(reader);
  relation.name = reader.cstring();
  relation.replica_identity = read_replica_identity(reader);
  const std::size_t count = read_column_count(reader, kRelationColumnBytesMin);
  relation.columns.reserve(count);
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    Column& column = relation.columns.emplace_back();
    column.identity = reader.flags(1) != 0;
    column.name = reader.cstring();
    column.type = TypeId{reader.u32()};
    column.type_modifier = reader.i32();
  }
  return message;
}

TypeMessage read_type(ByteReader& reader) {
  TypeMessage message;
  message.id = TypeId{reader.u32()};
  message.schema = read_schema(reader);
  message.name = reader.cstring();
  return message;
}

InsertMessage read_insert(ByteReader& reader, std::pmr::memory_resource& arena) {
  InsertMessage message;
  message.relation = RelationId{reader.u32()};
  const std::size_t offset = reader.position();
  const std::uint8_t marker = reader.u8();
  message.new_tuple = read_new_tuple(reader, offset, marker, arena);
  return message;
}

UpdateMessage read_update(ByteReader& reader, std::pmr::memory_resource& arena) {
  UpdateMessage message;
  message.relation = RelationId{reader.u32()};
  std::size_t offset = reader.position();
  std::uint8_t marker = reader.u8();
  message.old_kind = old_tuple_kind(marker);
  if (message.old_kind != OldTupleKind::kNone) {
    message.old_tuple = read_tuple(reader, arena);
    offset = reader.position();
    marker = reader.u8();
  }
  message.new_tuple = read_new_tuple(reader, offset, marker, arena);
  return message;
}

DeleteMessage read_delete(ByteReader& reader, std::pmr::memory_resource& arena) {
  DeleteMessage message;
  message.relation = RelationId{reader.u32()};
  const std::size_t offset = reader.position();
  message.old_kind = old_tuple_kind(reader.u8());
  if (message.old_kind == OldTupleKind::kNone) reader.fail(DecodeErrc::kBadValue, offset);
  message.old_tuple = read_tuple(reader, arena);
  return message;
}

TruncateMessage read_truncate(ByteReader& reader, std::pmr::memory_resource& arena) {
  TruncateMessage message;
  const std::size_t offset = reader.position();
  const std::int32_t announced = reader.i32();
  if (announced == 0) reader.fail(DecodeErrc::kBadValue, offset);
  message.flags = reader.flags(kTruncateCascade | kTruncateRestartIdentity);
  const std::size_t count = checked_count(reader, offset, announced, INT32_MAX, kRelationIdBytes);
  if (!reader.ok()) return message;
  const std::span<RelationId> relations = allocate<RelationId>(arena, count);
  for (RelationId& relation : relations) std::construct_at(&relation, RelationId{reader.u32()});
  message.relations = relations;
  return message;
}

LogicalMessage read_logical_message(ByteReader& reader) {
  LogicalMessage message;
  message.transactional = reader.flags(1) != 0;
  message.lsn = reader.lsn();
  message.prefix = reader.cstring();
  message.content = reader.sized_bytes();
  return message;
}

template <class M>
Result<Message> finished(const ByteReader& reader, M message) {
  if (const auto error = reader.finish()) return *error;
  return Result<Message>(boost::system::in_place_value, std::in_place_type<M>, std::move(message));
}

}  // namespace

Result<Message> parse_message(std::span<const std::byte> bytes, std::pmr::memory_resource& arena) {
  ByteReader reader(bytes);
  switch (reader.tag()) {
    case InsertMessage::kTag:
      return finished(reader, read_insert(reader, arena));
    case UpdateMessage::kTag:
      return finished(reader, read_update(reader, arena));
    case DeleteMessage::kTag:
      return finished(reader, read_delete(reader, arena));
    case BeginMessage::kTag:
      return finished(reader, read_begin(reader));
    case CommitMessage::kTag:
      return finished(reader, read_commit(reader));
    case OriginMessage::kTag:
      return finished(reader, read_origin(reader));
    case RelationMessage::kTag:
      return finished(reader, read_relation(reader));
    case TypeMessage::kTag:
      return finished(reader, read_type(reader));
    case TruncateMessage::kTag:
      return finished(reader, read_truncate(reader, arena));
    case LogicalMessage::kTag:
      return finished(reader, read_logical_message(reader));
    default:
      reader.fail(DecodeErrc::kUnknownTag, 0);
      return *reader.finish();
  }
}

}  // namespace teal
