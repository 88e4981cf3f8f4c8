#include "tests/support/pgoutput_builder.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>
#include <variant>

namespace teal::test {
namespace {

/// Appends big-endian fields.
class Writer {
 public:
  explicit Writer(char tag) { u8(static_cast<std::uint8_t>(tag)); }

  Writer& u8(std::uint8_t value) { return big_endian(value, 1); }
  Writer& u16(std::size_t value) { return big_endian(value, 2); }
  Writer& u32(std::size_t value) { return big_endian(value, 4); }
  Writer& u64(std::uint64_t value) { return big_endian(value, 8); }
  Writer& lsn(Lsn value) { return u64(value.value); }
  Writer& time(Timestamp value) { return u64(static_cast<std::uint64_t>(value.us)); }
  Writer& raw(std::string_view value) {
    for (const char c : value) out_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Writer& name(std::string_view value) { return raw(value).u8(0); }
  Writer& tuple(char marker, const TupleToBuild& columns) {
    u8(static_cast<std::uint8_t>(marker)).u16(columns.size());
    for (const ColumnToBuild& column : columns) {
      u8(static_cast<std::uint8_t>(column.kind));
      if (column.kind == ColumnKind::kText || column.kind == ColumnKind::kBinary) {
        u32(column.value.size()).raw(column.value);
      }
    }
    return *this;
  }
  Bytes done() { return std::move(out_); }

 private:
  Writer& big_endian(std::uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) out_.push_back(static_cast<std::byte>(value >> (8U * i)));
    return *this;
  }

  Bytes out_;
};

/// On the wire pg_catalog is "".
std::string_view wire_schema(std::string_view schema) { return schema == "pg_catalog" ? "" : schema; }

struct WriteTwoPhase {
  template <class M>
  static Bytes prepare(Writer writer, const M& m) {
    return writer.lsn(m.prepare_lsn).lsn(m.end_lsn).time(m.prepare_time).u32(m.xid.value).name(m.gid).done();
  }
  Bytes operator()(const BeginPrepareMessage& m) const { return prepare(Writer('b'), m); }
  Bytes operator()(const PrepareMessage& m) const { return prepare(std::move(Writer('P').u8(0)), m); }
  Bytes operator()(const StreamPrepareMessage& m) const { return prepare(std::move(Writer('p').u8(0)), m); }
  Bytes operator()(const CommitPreparedMessage& m) const {
    Writer writer('K');
    writer.u8(0).lsn(m.commit_lsn).lsn(m.end_lsn).time(m.commit_time);
    return writer.u32(m.xid.value).name(m.gid).done();
  }
  Bytes operator()(const RollbackPreparedMessage& m) const {
    Writer writer('r');
    writer.u8(0).lsn(m.prepare_end_lsn).lsn(m.rollback_end_lsn).time(m.prepare_time).time(m.rollback_time);
    return writer.u32(m.xid.value).name(m.gid).done();
  }
};

constexpr std::size_t kXLogDataHeaderBytes = 25;

}  // namespace

ColumnToBuild text(std::string_view value) { return {ColumnKind::kText, std::string(value)}; }
ColumnToBuild binary(std::string_view value) { return {ColumnKind::kBinary, std::string(value)}; }
ColumnToBuild null() { return {ColumnKind::kNull, {}}; }
ColumnToBuild unchanged() { return {ColumnKind::kUnchangedToast, {}}; }

Column key(std::string_view name, TypeId type) { return {std::string(name), type, -1, true}; }
Column column(std::string_view name, TypeId type) { return {std::string(name), type, -1, false}; }

Relation make_relation(RelationId id, std::string_view schema, std::string_view name, std::vector<Column> columns,
                       ReplicaIdentity replica_identity) {
  return {id, std::string(schema), std::string(name), replica_identity, std::move(columns)};
}

Bytes PgoutputBuilder::begin(Lsn final_lsn, Timestamp commit_time, Xid xid) {
  return Writer('B').lsn(final_lsn).time(commit_time).u32(xid.value).done();
}

Bytes PgoutputBuilder::commit(Lsn commit_lsn, Lsn end_lsn, Timestamp commit_time) {
  return Writer('C').u8(0).lsn(commit_lsn).lsn(end_lsn).time(commit_time).done();
}

Bytes PgoutputBuilder::origin(Lsn commit_lsn, std::string_view name) {
  return Writer('O').lsn(commit_lsn).name(name).done();
}

Bytes PgoutputBuilder::relation(const Relation& relation) {
  Writer writer('R');
  writer.u32(relation.id.value).name(wire_schema(relation.schema)).name(relation.name);
  writer.u8(static_cast<std::uint8_t>(relation.replica_identity)).u16(relation.columns.size());
  for (const Column& column : relation.columns) {
    writer.u8(column.identity ? 1 : 0).name(column.name).u32(column.type.value);
    writer.u32(static_cast<std::uint32_t>(column.type_modifier));
  }
  return writer.done();
}

Bytes PgoutputBuilder::type(TypeId id, std::string_view schema, std::string_view name) {
  return Writer('Y').u32(id.value).name(wire_schema(schema)).name(name).done();
}

Bytes PgoutputBuilder::insert(RelationId id, const TupleToBuild& new_tuple) {
  return Writer('I').u32(id.value).tuple('N', new_tuple).done();
}

Bytes PgoutputBuilder::update(RelationId id, const TupleToBuild& new_tuple) {
  return Writer('U').u32(id.value).tuple('N', new_tuple).done();
}

Bytes PgoutputBuilder::update_key(RelationId id, const TupleToBuild& old_key, const TupleToBuild& new_tuple) {
  return Writer('U').u32(id.value).tuple('K', old_key).tuple('N', new_tuple).done();
}

Bytes PgoutputBuilder::update_full(RelationId id, const TupleToBuild& old_row, const TupleToBuild& new_tuple) {
  return Writer('U').u32(id.value).tuple('O', old_row).tuple('N', new_tuple).done();
}

Bytes PgoutputBuilder::delete_key(RelationId id, const TupleToBuild& old_key) {
  return Writer('D').u32(id.value).tuple('K', old_key).done();
}

Bytes PgoutputBuilder::delete_full(RelationId id, const TupleToBuild& old_row) {
  return Writer('D').u32(id.value).tuple('O', old_row).done();
}

Bytes PgoutputBuilder::truncate(const std::vector<RelationId>& ids, std::uint8_t flags) {
  Writer writer('T');
  writer.u32(ids.size()).u8(flags);
  for (const RelationId id : ids) writer.u32(id.value);
  return writer.done();
}

Bytes PgoutputBuilder::message(bool transactional, Lsn lsn, std::string_view prefix, std::string_view content) {
  return Writer('M').u8(transactional ? 1 : 0).lsn(lsn).name(prefix).u32(content.size()).raw(content).done();
}

Bytes PgoutputBuilder::stream_start(Xid xid, bool first_segment) {
  return Writer('S').u32(xid.value).u8(first_segment ? 1 : 0).done();
}

Bytes PgoutputBuilder::stream_stop() { return Writer('E').done(); }

Bytes PgoutputBuilder::stream_commit(const StreamCommitMessage& message) {
  Writer writer('c');
  writer.u32(message.xid.value).u8(0).lsn(message.commit_lsn).lsn(message.end_lsn).time(message.commit_time);
  return writer.done();
}

Bytes PgoutputBuilder::stream_abort(const StreamAbortMessage& message) {
  Writer writer('A');
  writer.u32(message.xid.value).u32(message.subxid.value);
  if (message.record) writer.lsn(message.record->lsn).time(message.record->time);
  return writer.done();
}

Bytes PgoutputBuilder::streamed(Xid subxid, const Bytes& message) {
  if (message.at(0) == std::byte{'O'}) return message;
  Bytes out = Writer(static_cast<char>(message[0])).u32(subxid.value).done();
  out.insert(out.end(), message.begin() + 1, message.end());
  return out;
}

Bytes PgoutputBuilder::two_phase(const TwoPhaseMessage& message) { return std::visit(WriteTwoPhase{}, message); }

Bytes PgoutputBuilder::xlogdata(Lsn start, Lsn wal_end, Timestamp send_time, const Bytes& payload) {
  Bytes out = Writer('w').lsn(start).lsn(wal_end).time(send_time).done();
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Bytes PgoutputBuilder::keepalive(Lsn wal_end, Timestamp send_time, bool reply_requested) {
  return Writer('k').lsn(wal_end).time(send_time).u8(reply_requested ? 1 : 0).done();
}

Bytes without_xid(const StreamedMessage& message) {
  Bytes bytes(message.body.size() + 1, static_cast<std::byte>(message.tag));
  std::copy(message.body.begin(), message.body.end(), bytes.begin() + 1);
  return bytes;
}

Frame frame_of(const Bytes& bytes) {
  Frame frame = Frame::of_size(bytes.size());
  std::copy(bytes.begin(), bytes.end(), frame.writable_bytes().begin());
  return frame;
}

std::vector<Bytes> transaction(const TransactionToBuild& facts, const std::vector<Bytes>& body) {
  std::vector<Bytes> messages;
  messages.push_back(PgoutputBuilder::begin(facts.final_lsn, facts.commit_time, facts.xid));
  if (facts.origin) messages.push_back(PgoutputBuilder::origin(facts.origin->lsn, facts.origin->name));
  messages.insert(messages.end(), body.begin(), body.end());
  messages.push_back(PgoutputBuilder::commit(facts.final_lsn, facts.end(), facts.commit_time));
  return messages;
}

std::vector<TransactionSlice> feed(TransactionAssembler& assembler, const std::vector<Bytes>& messages, Lsn start) {
  std::vector<TransactionSlice> slices;
  Lsn lsn = start;
  for (const Bytes& message : messages) {
    Frame frame = frame_of(PgoutputBuilder::xlogdata(lsn, lsn, Timestamp{}, message));
    const std::span<const std::byte> payload = frame.bytes().subspan(kXLogDataHeaderBytes);
    auto added = assembler.add(lsn, payload, std::move(frame));
    if (added.has_error()) throw std::runtime_error(to_string(added.error()));
    if (added->has_value()) slices.push_back(*std::move(*added));
    lsn.value += 8;
  }
  return slices;
}

TransactionSlice slice_of(const TransactionToBuild& facts, const std::vector<Relation>& relations,
                          const std::vector<Bytes>& rows, AssemblerOptions options) {
  std::vector<Bytes> body;
  body.reserve(relations.size() + rows.size());
  for (const Relation& relation : relations) {
    for (const Column& column : relation.columns) {
      if (!column.type_name.empty())
        body.push_back(PgoutputBuilder::type(column.type, column.type_schema, column.type_name));
    }
    body.push_back(PgoutputBuilder::relation(relation));
  }
  body.insert(body.end(), rows.begin(), rows.end());
  TransactionAssembler assembler(std::move(options));
  std::vector<TransactionSlice> slices = feed(assembler, transaction(facts, body));
  if (slices.size() != 1) throw std::runtime_error("not one slice: raise slice_bytes_max or use feed");
  return std::move(slices.front());
}

}  // namespace teal::test
