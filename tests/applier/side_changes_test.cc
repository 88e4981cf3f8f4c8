// What a side's stream tells of its applications' changes, for the link that writes to that side.
#include "applier/side_changes.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "engine/pg_error.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBytesMax = 10'000;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id", kText), column("name")});
const Relation kFull =
    make_relation(RelationId{2}, "public", "whole", {key("id", kText), key("name")}, ReplicaIdentity::kFull);
const Relation kProgress =
    make_relation(RelationId{3}, "teal", "progress", {key("migration", kText), key("link", kText), column("applied")});

std::optional<KeyShape> shape(const Relation& relation) {
  return make_key_shape(relation, relation.schema, relation.name, {"id"});
}

TableHash table_of(const Relation& relation) { return shape(relation)->table; }

KeyHash key_of(const Relation& relation, const std::string& id) {
  const ColumnValue values[] = {
      {reinterpret_cast<const std::byte*>(id.data()), static_cast<std::uint32_t>(id.size()), ColumnKind::kText}, {}};
  return key_hash(*shape(relation), values);
}

class SideChangesTest : public testing::Test {
 protected:
  static TransactionToBuild at(std::uint64_t position) {
    return {Xid{static_cast<std::uint32_t>(position)}, Lsn{position * 0x100}, Lsn{position * 0x100 + 0x10},
            Timestamp{static_cast<std::int64_t>(position)}};
  }
  TransactionFacts commit(std::uint64_t position, const std::vector<Bytes>& rows) {
    TransactionSlice slice = slice_of(at(position), {kItem, kFull, kProgress}, rows);
    side_.slice(slice);
    return slice.facts;
  }
  TransactionFacts echo(std::uint64_t position, const ColumnToBuild& applied,
                        const std::string& link = "green_to_blue") {
    TransactionSlice slice =
        slice_of(at(position), {kProgress}, {P::update(kProgress.id, {text("shop"), text(link), applied})});
    slice.facts.own = true;
    side_.slice(slice);
    return slice.facts;
  }
  std::optional<UnseenVersions> unseen(const Relation& relation, const std::string& id, Lsn after = {}) {
    return SideChanges::read(side_, other_, [&](const LocalChanges& changes, const LocalChanges&) {
      return changes.unseen(key_of(relation, id), table_of(relation), after);
    });
  }
  std::size_t known() {
    return SideChanges::read(side_, other_,
                             [](const LocalChanges& changes, const LocalChanges&) { return changes.size(); });
  }

  SideChanges side_{"green_to_blue", shape, kBytesMax};
  SideChanges other_{"blue_to_green", shape, kBytesMax};
};

TEST_F(SideChangesTest, G3TimesNeverGoBackAndWhatWasSeenComesFromTheEcho) {
  EXPECT_EQ(commit(9, {P::insert(kItem.id, {text("a"), text("x")})}).effective_time, Timestamp{9});
  echo(10, text("0/500"));
  TransactionSlice earlier = slice_of(at(11), {kItem}, {P::insert(kItem.id, {text("b"), text("x")})});
  earlier.facts.commit_time = Timestamp{3};
  side_.slice(earlier);
  EXPECT_EQ(earlier.facts.effective_time, Timestamp{9});
  EXPECT_EQ(earlier.facts.seen, Lsn{0x500});
  EXPECT_EQ(unseen(kItem, "b")->last.seen, Lsn{0x500});
  EXPECT_EQ(unseen(kItem, "a")->last.seen, Lsn{});
}

// The progress row takes its time from the last transaction of a batch, and a new session begins with it.
TEST_F(SideChangesTest, G3EchoHasTheTimeThatTheSideIsAt) {
  commit(9, {P::insert(kItem.id, {text("a"), text("x")})});
  EXPECT_EQ(echo(10, text("0/500")).effective_time, Timestamp{9});
}

TEST_F(SideChangesTest, I7IsFullUntilItMayForget) {
  std::uint64_t position = 1;
  for (; !side_.full(); ++position)
    commit(position, {P::insert(kItem.id, {text(std::to_string(position)), text("x")})});
  EXPECT_GE(side_.bytes(), kBytesMax);
  EXPECT_GT(position, 50U);
  EXPECT_FALSE(other_.full());
  side_.forget(Lsn{position * 0x100});
  EXPECT_FALSE(side_.full());
  EXPECT_EQ(known(), 0U);
}

TEST_F(SideChangesTest, EchoOfTheOtherLinkIsNoneAndBinaryOnesAreRead) {
  echo(1, text("0/500"), "blue_to_green");
  EXPECT_EQ(commit(2, {P::insert(kItem.id, {text("a"), text("x")})}).seen, Lsn{});
  echo(3, binary(std::string("\0\0\0\1\0\0\0\2", 8)));
  EXPECT_EQ(commit(4, {P::insert(kItem.id, {text("b"), text("x")})}).seen, Lsn{0x1'0000'0002});
}

TEST_F(SideChangesTest, EchoThatCannotBeReadStopsTheLink) { EXPECT_THROW(echo(1, text("nowhere")), Stopped); }

TEST_F(SideChangesTest, E5KeyThatChangesIsARowThatGoesAndOneThatComes) {
  commit(1, {P::update_key(kItem.id, {text("a"), null()}, {text("b"), text("x")})});
  EXPECT_TRUE(unseen(kItem, "a")->removed);
  EXPECT_FALSE(unseen(kItem, "b")->removed);
  EXPECT_TRUE(unseen(kItem, "b"));
}

TEST_F(SideChangesTest, C2ToastedKeyThatDidNotChangeIsTakenFromTheOldImage) {
  commit(1, {P::update_full(kFull.id, {text("a"), text("old")}, {unchanged(), text("new")})});
  EXPECT_TRUE(unseen(kFull, "a"));
  EXPECT_FALSE(unseen(kFull, "a")->removed);
}

TEST_F(SideChangesTest, DeleteAndTruncateLeaveVersionsLikeAnyOther) {
  commit(1, {P::insert(kItem.id, {text("a"), text("x")}), P::delete_key(kItem.id, {text("a"), null()})});
  EXPECT_TRUE(unseen(kItem, "a")->removed);
  commit(2, {P::truncate({kItem.id})});
  EXPECT_TRUE(unseen(kItem, "never there")->removed);
  EXPECT_FALSE(unseen(kFull, "never there"));
  commit(3, {P::insert(kItem.id, {text("a"), text("y")})});
  EXPECT_FALSE(unseen(kItem, "a")->removed);
  EXPECT_FALSE(unseen(kItem, "a", Lsn{0x310})) << "covered";
}

TEST_F(SideChangesTest, A7SessionThatBeginsEarlierEntersNothingTwice) {
  commit(1, {P::insert(kItem.id, {text("a"), text("x")})});
  commit(2, {P::insert(kItem.id, {text("b"), text("x")})});
  side_.begin_session(Lsn{0x100}, Timestamp{}, Lsn{});
  commit(1, {P::insert(kItem.id, {text("a"), text("x")})});
  EXPECT_EQ(known(), 2U);
  EXPECT_EQ(side_.oldest()->lsn, Lsn{0x100});
}

// A source sends again what it has not seen acknowledged, so that its last commit can be compared.
TEST_F(SideChangesTest, A7WhatComesFromBeforeTheSessionsBeginIsNotEntered) {
  side_.begin_session(Lsn{0x200}, Timestamp{5}, Lsn{0x700});
  commit(1, {P::insert(kItem.id, {text("a"), text("x")})});
  EXPECT_FALSE(unseen(kItem, "a"));
  EXPECT_FALSE(side_.oldest());
  EXPECT_EQ(commit(2, {P::insert(kItem.id, {text("b"), text("x")})}).effective_time, Timestamp{5});
  EXPECT_EQ(side_.oldest()->lsn, Lsn{0x200}) << "nothing below the slot's position is needed again";
}

// A server that crashed gives positions again that were not flushed: what an earlier session passed says nothing.
TEST_F(SideChangesTest, SessionHasToPassAgainWhatAnEarlierOnePassed) {
  side_.passed(Lsn{0x900});
  EXPECT_TRUE(side_.wait_passed(Lsn{0x900}, milliseconds(0), {}));
  side_.begin_session(Lsn{0x100}, Timestamp{}, Lsn{});
  EXPECT_FALSE(side_.wait_passed(Lsn{0x900}, milliseconds(0), {}));
}

TEST_F(SideChangesTest, WaitingEndsWhenTheStreamPassesAndWhenItIsTimeToStop) {
  std::jthread reader([this] { side_.passed(Lsn{0x900}); });
  EXPECT_TRUE(side_.wait_passed(Lsn{0x900}, seconds(10), {}));
  std::stop_source stop;
  std::jthread stopper([&stop] { stop.request_stop(); });
  EXPECT_FALSE(side_.wait_passed(Lsn{0x901}, seconds(10), stop.get_token()));
}

TEST_F(SideChangesTest, TheStreamIsToldWhetherSomebodyWaitsForIt) {
  EXPECT_FALSE(side_.awaited());
  std::jthread waiter([this] { EXPECT_TRUE(side_.wait_passed(Lsn{0x900}, seconds(10), {})); });
  while (!side_.awaited()) std::this_thread::yield();
  side_.passed(Lsn{0x900});
  waiter.join();
  EXPECT_FALSE(side_.awaited());
}

TEST_F(SideChangesTest, WhatTheOtherSideHasIsForgottenAndTellsFromWhereItsOwnAreNeeded) {
  commit(1, {P::insert(kItem.id, {text("a"), text("x")})});
  echo(2, text("0/500"));
  commit(3, {P::insert(kItem.id, {text("b"), text("x")})});
  EXPECT_EQ(side_.needs_from(Lsn{}), Lsn{});
  EXPECT_EQ(side_.needs_from(Lsn{0x110}), Lsn{0x500});
  EXPECT_EQ(side_.needs_from(Lsn{0x900}), Lsn{0x500}) << "no later change will have seen less";
  side_.forget(Lsn{0x110});
  EXPECT_FALSE(unseen(kItem, "a"));
  EXPECT_EQ(side_.oldest()->lsn, Lsn{0x300});
}

}  // namespace
}  // namespace teal::test
