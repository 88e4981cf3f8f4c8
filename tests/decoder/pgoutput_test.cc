#include "decoder/pgoutput.h"

#include <gtest/gtest.h>

#include <memory_resource>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "decoder/change.h"
#include "tests/decoder/message_cases.h"
#include "tests/support/pgoutput_builder.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;
using test::null;
using test::text;
using test::unchanged;

const RelationId kId{0x4005};

struct BadMessage {
  std::string name;
  Bytes bytes;
  DecodeErrc code;
  std::size_t offset;
};

/// `bytes` with the ones from `offset` on replaced.
Bytes patched(Bytes bytes, std::size_t offset, std::initializer_list<int> values) {
  for (const int value : values) bytes.at(offset++) = static_cast<std::byte>(value);
  return bytes;
}

Bytes cut(Bytes bytes, std::size_t size) {
  bytes.resize(size);
  return bytes;
}

void expect_refused(const std::vector<BadMessage>& table) {
  for (const BadMessage& bad : table) {
    std::pmr::monotonic_buffer_resource arena;
    const auto parsed = parse_message(bad.bytes, arena);
    ASSERT_TRUE(parsed.has_error()) << bad.name;
    EXPECT_EQ(parsed.error(), (DecodeError{bad.code, static_cast<char>(bad.bytes.at(0)), bad.offset}))
        << bad.name << ": " << to_string(parsed.error());
  }
}

/// Parses what must be a good message of kind `M`.
template <class M>
class Parsed {
 public:
  explicit Parsed(Bytes bytes) : bytes_(std::move(bytes)), parsed_(parse_message(bytes_, arena_)) {}
  const M* operator->() const { return &std::get<M>(parsed_.value()); }

 private:
  Bytes bytes_;
  std::pmr::monotonic_buffer_resource arena_;
  Result<Message> parsed_;
};

TEST(Pgoutput, ReadsEveryFieldOfEveryGoodMessage) {
  for (const auto& [name, bytes] : test::good_messages()) {
    std::pmr::monotonic_buffer_resource arena;
    const auto parsed = parse_message(bytes, arena);
    ASSERT_TRUE(parsed.has_value()) << name << ": " << to_string(parsed.error());
    EXPECT_EQ(test::rebuild(*parsed), bytes) << name;
  }
}

TEST(PgoutputBegin, ReadsItsFields) {
  const Parsed<BeginMessage> begin(P::begin(Lsn{1}, Timestamp{2}, Xid{3}));
  EXPECT_EQ(begin->final_lsn, Lsn{1});
  EXPECT_EQ(begin->commit_time, Timestamp{2});
  EXPECT_EQ(begin->xid, Xid{3});
}

TEST(PgoutputCommit, ReadsItsFields) {
  const Parsed<CommitMessage> commit(P::commit(Lsn{1}, Lsn{2}, Timestamp{3}));
  EXPECT_EQ(commit->commit_lsn, Lsn{1});
  EXPECT_EQ(commit->end_lsn, Lsn{2});
  EXPECT_EQ(commit->commit_time, Timestamp{3});
}

TEST(PgoutputCommit, C8RejectsUnknownFlags) {
  const Bytes good = P::commit(Lsn{1}, Lsn{2}, Timestamp{3});
  expect_refused({{"flag 1", patched(good, 1, {1}), DecodeErrc::kBadValue, 1},
                  {"flag 128", patched(good, 1, {128}), DecodeErrc::kBadValue, 1}});
}

TEST(PgoutputOrigin, RejectsANameWithoutItsEnd) {
  const Bytes good = P::origin(Lsn{1}, "name");
  expect_refused({{"cut", cut(good, good.size() - 1), DecodeErrc::kUnterminatedString, 9},
                  {"no name", cut(good, 9), DecodeErrc::kUnterminatedString, 9}});
}

TEST(PgoutputRelation, ReadsItsFields) {
  Relation announced = test::make_relation(kId, "public", "item", {test::key("id"), test::column("note")});
  announced.columns[1].type_modifier = 24;
  const Parsed<RelationMessage> parsed(P::relation(announced));
  const Relation& relation = parsed->relation;
  EXPECT_EQ(relation.id, kId);
  EXPECT_EQ(relation.schema, "public");
  EXPECT_EQ(relation.name, "item");
  EXPECT_EQ(relation.replica_identity, ReplicaIdentity::kDefault);
  ASSERT_EQ(relation.columns.size(), 2U);
  EXPECT_EQ(relation.columns[0].name, "id");
  EXPECT_EQ(relation.columns[0].type, test::kInt4);
  EXPECT_EQ(relation.columns[0].type_modifier, -1);
  EXPECT_TRUE(relation.columns[0].identity);
  EXPECT_EQ(relation.columns[1].name, "note");
  EXPECT_EQ(relation.columns[1].type_modifier, 24);
  EXPECT_FALSE(relation.columns[1].identity);
}

TEST(PgoutputRelation, SpellsOutPgCatalog) {
  const Parsed<RelationMessage> parsed(P::relation(test::make_relation(kId, "", "t", {})));
  EXPECT_EQ(parsed->relation.schema, "pg_catalog");
}

// Layout: 'R', id 1-4, "s" 5-6, "t" 7-8, identity 9, count 10-11, flags 12, "c" 13-14, type, modifier.
TEST(PgoutputRelation, C8C10RejectsBadCountsFlagsAndNames) {
  const Bytes good = P::relation(test::make_relation(kId, "s", "t", {test::key("c")}));
  ASSERT_EQ(good.size(), 23U);
  expect_refused(
      {{"identity", patched(good, 9, {'x'}), DecodeErrc::kBadValue, 9},
       {"negative count", patched(good, 10, {0xFF, 0xFF}), DecodeErrc::kBadValue, 10},
       {"1601 columns", patched(good, 10, {0x06, 0x41}), DecodeErrc::kBadValue, 10},
       {"count that cannot fit", patched(good, 10, {0x06, 0x40}), DecodeErrc::kTruncated, 10},
       {"one column too many", patched(good, 10, {0, 2}), DecodeErrc::kTruncated, 10},
       {"one column too few", patched(good, 10, {0, 0}), DecodeErrc::kTrailingBytes, 12},
       {"column flag", patched(good, 12, {2}), DecodeErrc::kBadValue, 12},
       {"column name swallows the rest", patched(good, 13, {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'}),
        DecodeErrc::kUnterminatedString, 13},
       {"schema without end", patched(cut(good, 7), 6, {'s'}), DecodeErrc::kUnterminatedString, 5},
       {"cut in type", cut(good, 17), DecodeErrc::kTruncated, 10}});
}

TEST(PgoutputType, ReadsItsFieldsAndSpellsOutPgCatalog) {
  const Parsed<TypeMessage> type(P::type(TypeId{7}, "", "mood"));
  EXPECT_EQ(type->id, TypeId{7});
  EXPECT_EQ(type->schema, "pg_catalog");
  EXPECT_EQ(type->name, "mood");
}

TEST(PgoutputInsert, PointsIntoTheMessage) {
  const Bytes bytes = P::insert(kId, {text("ab")});
  std::pmr::monotonic_buffer_resource arena;
  const auto parsed = parse_message(bytes, arena);
  ASSERT_TRUE(parsed.has_value());
  const TupleView tuple = std::get<InsertMessage>(*parsed).new_tuple;
  ASSERT_EQ(tuple.size(), 1U);
  EXPECT_EQ(tuple[0].data, bytes.data() + bytes.size() - 2);
}

TEST(PgoutputInsert, C1KeepsNullEmptyAndUnchangedApart) {
  const Parsed<InsertMessage> insert(P::insert(kId, {null(), text(""), unchanged(), test::binary("")}));
  const TupleView tuple = insert->new_tuple;
  ASSERT_EQ(tuple.size(), 4U);
  EXPECT_EQ(tuple[0].kind, ColumnKind::kNull);
  EXPECT_EQ(tuple[1].kind, ColumnKind::kText);
  EXPECT_EQ(tuple[2].kind, ColumnKind::kUnchangedToast);
  EXPECT_EQ(tuple[3].kind, ColumnKind::kBinary);
  EXPECT_FALSE(tuple[0].has_value());
  EXPECT_TRUE(tuple[1].has_value());
  EXPECT_FALSE(tuple[2].has_value());
}

// Layout: 'I', id 1-4, 'N' 5, count 6-7, 't' 8, length 9-12, value 13-15.
TEST(PgoutputInsert, C10RejectsTupleCutInsideColumnLength) {
  const Bytes good = P::insert(kId, {text("abc")});
  ASSERT_EQ(good.size(), 16U);
  expect_refused({{"no length", cut(good, 9), DecodeErrc::kTruncated, 9},
                  {"half a length", cut(good, 11), DecodeErrc::kTruncated, 9},
                  {"no value", cut(good, 13), DecodeErrc::kTruncated, 13},
                  {"half a value", cut(good, 15), DecodeErrc::kTruncated, 13}});
}

TEST(PgoutputInsert, C8C10RejectsBadMarkersCountsAndLengths) {
  const Bytes good = P::insert(kId, {text("abc")});
  expect_refused({{"marker O", patched(good, 5, {'O'}), DecodeErrc::kBadValue, 5},
                  {"marker 0", patched(good, 5, {0}), DecodeErrc::kBadValue, 5},
                  {"65535 columns", patched(good, 6, {0xFF, 0xFF}), DecodeErrc::kBadValue, 6},
                  {"32768 columns", patched(good, 6, {0x80, 0}), DecodeErrc::kBadValue, 6},
                  {"1601 columns", patched(good, 6, {0x06, 0x41}), DecodeErrc::kBadValue, 6},
                  {"1600 columns in 8 bytes", patched(good, 6, {0x06, 0x40}), DecodeErrc::kTruncated, 6},
                  {"kind", patched(good, 8, {'x'}), DecodeErrc::kBadValue, 8},
                  {"length -1", patched(good, 9, {0xFF, 0xFF, 0xFF, 0xFF}), DecodeErrc::kBadValue, 9},
                  {"length INT32_MIN", patched(good, 9, {0x80, 0, 0, 0}), DecodeErrc::kBadValue, 9},
                  {"length INT32_MAX", patched(good, 9, {0x7F, 0xFF, 0xFF, 0xFF}), DecodeErrc::kTruncated, 13},
                  {"length one short", patched(good, 9, {0, 0, 0, 2}), DecodeErrc::kTrailingBytes, 15}});
}

// An identity column's null in 'K' is not a NULL of the row, so the two old images stay distinct kinds.
TEST(PgoutputUpdate, C3TellsOldKeyFromOldRowFromNone) {
  EXPECT_EQ(Parsed<UpdateMessage>(P::update(kId, {text("1")}))->old_kind, OldTupleKind::kNone);
  EXPECT_EQ(Parsed<UpdateMessage>(P::update_key(kId, {text("1")}, {text("2")}))->old_kind, OldTupleKind::kKey);
  EXPECT_EQ(Parsed<UpdateMessage>(P::update_full(kId, {text("1")}, {text("2")}))->old_kind, OldTupleKind::kFull);
}

TEST(PgoutputUpdate, KeepsOldAndNewTuplesApart) {
  const Parsed<UpdateMessage> update(P::update_key(kId, {text("1"), null()}, {text("2"), unchanged()}));
  ASSERT_EQ(update->old_tuple.size(), 2U);
  ASSERT_EQ(update->new_tuple.size(), 2U);
  EXPECT_EQ(update->old_tuple[0].text(), "1");
  EXPECT_EQ(update->old_tuple[1].kind, ColumnKind::kNull);
  EXPECT_EQ(update->new_tuple[0].text(), "2");
  EXPECT_EQ(update->new_tuple[1].kind, ColumnKind::kUnchangedToast);
}

// Layout: 'U', id 1-4, 'K' 5, count 6-7, 'n' 8, 'N' 9, count 10-11, 'n' 12.
TEST(PgoutputUpdate, RejectsBadMarkers) {
  const Bytes good = P::update_key(kId, {null()}, {null()});
  ASSERT_EQ(good.size(), 13U);
  expect_refused({{"first", patched(good, 5, {'X'}), DecodeErrc::kBadValue, 5},
                  {"old key twice", patched(good, 9, {'K'}), DecodeErrc::kBadValue, 9},
                  {"new tuple first", patched(good, 5, {'N'}), DecodeErrc::kTrailingBytes, 9},
                  {"old key alone", cut(good, 9), DecodeErrc::kTruncated, 9},
                  {"old key count", patched(good, 6, {0xFF, 0xFF}), DecodeErrc::kBadValue, 6}});
}

TEST(PgoutputDelete, C3TellsOldKeyFromOldRow) {
  EXPECT_EQ(Parsed<DeleteMessage>(P::delete_key(kId, {text("1")}))->old_kind, OldTupleKind::kKey);
  EXPECT_EQ(Parsed<DeleteMessage>(P::delete_full(kId, {text("1")}))->old_kind, OldTupleKind::kFull);
}

TEST(PgoutputDelete, RejectsANewTuple) {
  const Bytes good = P::delete_key(kId, {null()});
  const Bytes two_tuples = patched(P::update_key(kId, {null()}, {null()}), 0, {'D'});
  expect_refused({{"marker N", patched(good, 5, {'N'}), DecodeErrc::kBadValue, 5},
                  {"two tuples", two_tuples, DecodeErrc::kTrailingBytes, 9}});
}

// One message lists every table of the command.
TEST(PgoutputTruncate, J1ReadsAllTablesAndFlags) {
  const Parsed<TruncateMessage> truncate(P::truncate({RelationId{1}, RelationId{2}}, kTruncateRestartIdentity));
  EXPECT_EQ(truncate->flags, kTruncateRestartIdentity);
  ASSERT_EQ(truncate->relations.size(), 2U);
  EXPECT_EQ(truncate->relations[0], RelationId{1});
  EXPECT_EQ(truncate->relations[1], RelationId{2});
}

// Layout: 'T', count 1-4, flags 5, ids from 6.
TEST(PgoutputTruncate, C8C10RejectsBadCountsAndFlags) {
  const Bytes good = P::truncate({RelationId{1}, RelationId{2}});
  ASSERT_EQ(good.size(), 14U);
  expect_refused({{"no table", P::truncate({}), DecodeErrc::kBadValue, 1},
                  {"negative", patched(good, 1, {0xFF, 0xFF, 0xFF, 0xFF}), DecodeErrc::kBadValue, 1},
                  {"two thousand million", patched(good, 1, {0x7F, 0xFF, 0xFF, 0xFF}), DecodeErrc::kTruncated, 1},
                  {"one too many", patched(good, 1, {0, 0, 0, 3}), DecodeErrc::kTruncated, 1},
                  {"one too few", patched(good, 1, {0, 0, 0, 1}), DecodeErrc::kTrailingBytes, 10},
                  {"flag 4", patched(good, 5, {4}), DecodeErrc::kBadValue, 5}});
}

// C7
TEST(PgoutputMessage, ReadsItsFields) {
  const Parsed<LogicalMessage> message(P::message(true, Lsn{5}, "prefix", {"a\0b", 3}));
  EXPECT_TRUE(message->transactional);
  EXPECT_EQ(message->lsn, Lsn{5});
  EXPECT_EQ(message->prefix, "prefix");
  EXPECT_EQ(message->content.size(), 3U);
}

// Layout: 'M', flags 1, lsn 2-9, "p" 10-11, length 12-15, content 16.
TEST(PgoutputMessage, C8C10RejectsBadFlagsAndLengths) {
  const Bytes good = P::message(true, Lsn{5}, "p", "c");
  ASSERT_EQ(good.size(), 17U);
  expect_refused({{"flag", patched(good, 1, {2}), DecodeErrc::kBadValue, 1},
                  {"prefix without end", patched(cut(good, 12), 11, {'x'}), DecodeErrc::kUnterminatedString, 10},
                  {"negative length", patched(good, 12, {0x80}), DecodeErrc::kBadValue, 12},
                  {"length past the end", patched(good, 15, {2}), DecodeErrc::kTruncated, 16}});
}

}  // namespace
}  // namespace teal
