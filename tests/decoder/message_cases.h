#pragma once
// Good messages of every kind, and the way back from a parsed message to its bytes: a message that is rebuilt byte for
// byte was read field for field.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "decoder/message.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {

struct GoodMessage {
  std::string name;
  Bytes bytes;
};

inline std::vector<GoodMessage> good_messages() {
  using P = PgoutputBuilder;
  const RelationId id{0x4005};
  const Relation item =
      make_relation(id, "public", "item", {key("id"), column("note"), {"n", TypeId{1700}, 655366, false}});
  const Relation full = make_relation(id, "pg_catalog", "log", {key("line", kText)}, ReplicaIdentity::kFull);
  const Relation bare = make_relation(RelationId{UINT32_MAX}, "s", "t", {}, ReplicaIdentity::kNothing);
  const Relation indexed = make_relation(id, "Σ\"x.y", "e\nmoji🙂", {key("\xFF%\\")}, ReplicaIdentity::kIndex);
  const TupleToBuild wide(1600, text("v"));
  return {
      {"begin", P::begin(Lsn{0x16'B374'D848}, Timestamp{-5}, Xid{UINT32_MAX})},
      {"commit", P::commit(Lsn{1}, Lsn{UINT64_MAX}, Timestamp{INT64_MAX})},
      {"origin", P::origin(Lsn{9}, "teal_demo_blue_to_green")},
      {"origin without a position or name", P::origin(Lsn{}, "")},
      {"relation", P::relation(item)},
      {"relation in pg_catalog, full identity", P::relation(full)},
      {"relation without columns", P::relation(bare)},
      {"relation with odd names", P::relation(indexed)},
      {"type", P::type(TypeId{0x4001}, "public", "mood")},
      {"type in pg_catalog", P::type(TypeId{1}, "pg_catalog", "t")},
      {"insert of every column kind", P::insert(id, {text("1"), null(), unchanged(), binary({"\0\1", 2})})},
      {"insert of empty values", P::insert(id, {text(""), binary("")})},
      {"insert without columns", P::insert(id, {})},
      {"insert of 1600 columns", P::insert(id, wide)},
      {"insert of a large value", P::insert(id, {text(std::string(70'000, 'x'))})},
      {"update", P::update(id, {text("1"), unchanged()})},
      {"update with old key", P::update_key(id, {text("1"), null()}, {text("2"), unchanged()})},
      {"update with old row", P::update_full(id, {text("1"), text("a")}, {text("1"), null()})},
      {"delete by key", P::delete_key(id, {text("1"), null()})},
      {"delete by row", P::delete_full(id, {text("1"), text("a")})},
      {"truncate", P::truncate({id})},
      {"truncate of several, all flags", P::truncate({id, RelationId{2}, RelationId{3}}, 3)},
      {"transactional message", P::message(true, Lsn{4}, "prefix", "content")},
      {"empty message", P::message(false, Lsn{}, "", "")},
  };
}

inline TupleToBuild tuple_to_build(TupleView tuple) {
  TupleToBuild columns;
  for (const ColumnValue& column : tuple) {
    columns.push_back({column.kind, column.has_value() ? std::string(column.text()) : std::string()});
  }
  return columns;
}

/// The bytes that `parsed` was read from.
inline Bytes rebuild(const Message& parsed) {
  using P = PgoutputBuilder;
  struct Rebuild {
    Bytes operator()(const BeginMessage& m) const { return P::begin(m.final_lsn, m.commit_time, m.xid); }
    Bytes operator()(const CommitMessage& m) const { return P::commit(m.commit_lsn, m.end_lsn, m.commit_time); }
    Bytes operator()(const OriginMessage& m) const { return P::origin(m.commit_lsn, m.name); }
    Bytes operator()(const RelationMessage& m) const { return P::relation(m.relation); }
    Bytes operator()(const TypeMessage& m) const { return P::type(m.id, m.schema, m.name); }
    Bytes operator()(const InsertMessage& m) const { return P::insert(m.relation, tuple_to_build(m.new_tuple)); }
    Bytes operator()(const UpdateMessage& m) const {
      const TupleToBuild old_tuple = tuple_to_build(m.old_tuple);
      const TupleToBuild new_tuple = tuple_to_build(m.new_tuple);
      if (m.old_kind == OldTupleKind::kKey) return P::update_key(m.relation, old_tuple, new_tuple);
      if (m.old_kind == OldTupleKind::kFull) return P::update_full(m.relation, old_tuple, new_tuple);
      return P::update(m.relation, new_tuple);
    }
    Bytes operator()(const DeleteMessage& m) const {
      const TupleToBuild old_tuple = tuple_to_build(m.old_tuple);
      return m.old_kind == OldTupleKind::kKey ? P::delete_key(m.relation, old_tuple)
                                              : P::delete_full(m.relation, old_tuple);
    }
    Bytes operator()(const TruncateMessage& m) const {
      return P::truncate({m.relations.begin(), m.relations.end()}, m.flags);
    }
    Bytes operator()(const LogicalMessage& m) const {
      const std::string content(reinterpret_cast<const char*>(m.content.data()), m.content.size());
      return P::message(m.transactional, m.lsn, m.prefix, content);
    }
  };
  return std::visit(Rebuild{}, parsed);
}

}  // namespace teal::test
