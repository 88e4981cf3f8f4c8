#include "tests/support/stream_replay.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace teal::test {
namespace {

using P = PgoutputBuilder;

const Xid kXid{700};
const Xid kSubxid{701};
const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id")});
const StreamCommitMessage kCommit{kXid, Lsn{0x1000}, Lsn{0x1030}, Timestamp{1}};
const Bytes kBegin = P::begin(Lsn{0x1000}, Timestamp{1}, Xid{7});
const Bytes kStart = P::stream_start(kXid, true);
const Bytes kStop = P::stream_stop();
const Bytes kBeginPrepare = P::two_phase(BeginPrepareMessage{Lsn{1}, Lsn{2}, Timestamp{}, kXid, "g"});
const Bytes kPrepare = P::two_phase(PrepareMessage{Lsn{1}, Lsn{2}, Timestamp{}, kXid, "g"});
const Bytes kCommitPrepared = P::two_phase(CommitPreparedMessage{Lsn{3}, Lsn{4}, Timestamp{}, kXid, "g"});
const Bytes kRollbackPrepared =
    P::two_phase(RollbackPreparedMessage{Lsn{2}, Lsn{4}, Timestamp{}, Timestamp{}, kXid, "g"});

Bytes row(Xid xid, std::string_view id) { return P::streamed(xid, P::insert(kItem.id, {text(id)})); }

/// The keys of the rows that come out of `messages`. Errors: std::runtime_error.
std::string keys(const std::vector<Bytes>& messages) {
  std::string all;
  StreamReplay replay(4, {}, [&](const TransactionSlice& slice) {
    for (const Change& change : slice.changes) all += change.new_tuple[0].text();
  });
  for (const Bytes& message : messages) replay.add(Lsn{1}, message);
  EXPECT_TRUE(replay.at_rest());
  return all;
}

TEST(StreamReplay, GivesWhatSurvivesOfAStreamedTransaction) {
  const Bytes relation = P::streamed(kXid, P::relation(kItem));
  EXPECT_EQ(keys({kStart, relation, row(kXid, "1"), row(kSubxid, "2"), row(kXid, "3"), kStop,
                  P::stream_abort({kXid, kSubxid, {}}), P::stream_start(kXid, false), row(kXid, "4"), kStop,
                  P::stream_commit(kCommit)}),
            "134");
  EXPECT_EQ(keys({kStart, relation, row(kXid, "1"), kStop, P::stream_abort({kXid, kXid, {}})}), "");
}

TEST(StreamReplay, GivesAPreparedTransactionAtItsCommit) {
  const std::vector<Bytes> prepared{kBeginPrepare, P::relation(kItem), P::insert(kItem.id, {text("1")}), kPrepare};
  std::vector<Bytes> committed = prepared;
  committed.push_back(kCommitPrepared);
  EXPECT_EQ(keys(committed), "1");
  std::vector<Bytes> undone = prepared;
  undone.push_back(kRollbackPrepared);
  EXPECT_EQ(keys(undone), "");
}

TEST(StreamReplay, RefusesWhatIsOutOfOrder) {
  const std::vector<std::vector<Bytes>> refused = {
      {P::stream_start(kXid, false)},
      {kStart, kStart},
      {kStart, kStop, kStart},
      {kStop},
      {P::stream_commit(kCommit)},
      {P::stream_abort({kXid, kXid, {}})},
      {kStart, P::stream_commit(kCommit)},
      {kBegin, kStart},
      {kBegin, kBeginPrepare},
      {kStart, kBeginPrepare},
      {kPrepare},
      {kCommitPrepared},
      {kRollbackPrepared},
      {kBeginPrepare, kBeginPrepare},
      {kBeginPrepare, kCommitPrepared},
      {kBeginPrepare, kRollbackPrepared},
      {kBeginPrepare, kStart},
      {kBeginPrepare, kBegin},
      {kBeginPrepare, kPrepare, kBeginPrepare},
      {P::two_phase(StreamPrepareMessage{Lsn{1}, Lsn{2}, Timestamp{}, kXid, "g"})},
  };
  for (std::size_t i = 0; i < refused.size(); ++i) EXPECT_THROW((void)keys(refused[i]), std::runtime_error) << i;
}

}  // namespace
}  // namespace teal::test
