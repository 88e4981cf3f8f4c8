// Unique values that different rows claim on the two sides.
#include <algorithm>
#include <limits>

#include "tests/support/simulation/two_sides.h"

namespace teal::test {
namespace {

constexpr int kValues = 3;
constexpr double kMicroseconds = 1e6;

}  // namespace

// Few values, so that they meet; what is taken on this side cannot be claimed there.
void TwoSides::claim_at_random(const Table& rows, int key, Row& row) {
  for (int& value : row.unique) {
    const int before = value;
    if (chance(0.6)) value = below(kValues + 1);
    if (!in_the_way(rows, key, row).empty()) value = before;
    if (!in_the_way(rows, key, row).empty()) value = 0;
  }
}

std::vector<int> TwoSides::in_the_way(const Table& rows, int key, const Row& row) {
  std::vector<int> keys;
  for (const auto& [other, standing] : rows) {
    bool shares = false;
    for (std::size_t i = 0; i < row.unique.size(); ++i)
      shares = shares || (row.unique[i] != 0 && row.unique[i] == standing.unique[i]);
    if (shares && other != key) keys.push_back(other);
  }
  return keys;
}

// Every change for itself, with what its own transaction had seen.
std::vector<TwoSides::Net> TwoSides::in_order(const Received& transaction) {
  std::vector<Net> nets;
  nets.reserve(transaction.ops.size());
  for (const Op& op : transaction.ops)
    nets.push_back({op, transaction.commit, transaction.commit.seen, op.kind != OpKind::kInsert, nets.size() + 1});
  return nets;
}

std::optional<TwoSides::Claim> TwoSides::write_all(int link, const std::vector<Net>& nets, Written& written) {
  const Server& target = this->target(link);
  written.rows = target.rows;
  written.fetched = target.progress.fetched;
  for (const Net& net : nets) {
    write_net(link, net, written);
    const auto row = written.rows.find(net.op.key);
    if (net.op.kind == OpKind::kTruncate || row == written.rows.end()) continue;
    std::vector<int> standing = in_the_way(written.rows, net.op.key, row->second);
    if (!standing.empty()) return Claim{net, std::move(standing)};
  }
  return {};
}

// Its side has a later version of the row, which is still to come; what it was before may be in somebody's way.
bool TwoSides::leaves_out(int link, const Net& net, Written& written) {
  const auto lost = links_[link].lost.find({net.op.key, net.commit.lsn, net.position});
  if (lost == links_[link].lost.end() || verdict(link, net, net.op.key) == Verdict::kLoses) return false;
  if (net.op.kind == OpKind::kMove) {
    if (verdict(link, net, net.op.from) != Verdict::kLoses) written.rows.erase(net.op.from);
    written.fetched.erase(net.op.from);
  }
  if (!has(WrongRule::kLoserLeavesOldRow)) written.rows.erase(net.op.key);
  written.fetched.erase(net.op.key);
  if (!has(WrongRule::kLoserNotRemembered)) written.fetched[net.op.key] = {true, lost->second};
  return true;
}

// Two versions that meet on both sides have to have the same winner there, or both are gone.
void TwoSides::note_loser(int link, const Net& net, int standing, bool wins) {
  const auto version = links_[1 - link].changes.unseen(hash_of(standing), kTable, net.commit.seen);
  std::tuple<int, Lsn, int, Lsn> pair{net.op.key, net.commit.lsn, standing, version->last.lsn};
  if (link == 1) pair = {standing, version->last.lsn, net.op.key, net.commit.lsn};
  const bool blue_wins = wins == (link == 0);
  if (claims_.try_emplace(pair, blue_wins).first->second != blue_wins) wrong_ = "the two links name different losers";
}

bool TwoSides::wins_all(int link, const Claim& claim) {
  const IncomingChange change{hash_of(claim.net.op.key), kTable, claim.net.commit, claim.net.first_seen};
  bool all = true;
  for (const int standing : claim.standing) {
    Verdict verdict = decide_claim(options_.policy, link == 0 ? Side::kBlue : Side::kGreen, change, hash_of(standing),
                                   links_[link].changes, other(link).changes);
    if (verdict == Verdict::kApplies) {
      wrong_ = "a value is claimed by a row that the change's maker had seen";
      return false;
    }
    if (has(WrongRule::kClaimsBySide) && link == 0) verdict = Verdict::kWins;
    note_loser(link, claim.net, standing, verdict == Verdict::kWins);
    all = all && verdict == Verdict::kWins;
  }
  return all;
}

// Afterwards the batch is decided anew.
void TwoSides::settle(int link, const Claim& claim) {
  if (wins_all(link, claim)) {
    if (has(WrongRule::kLoserDeletedByLink)) {
      for (const int key : claim.standing) target(link).rows.erase(key);
      Transaction own;
      own.echo = target(link).progress.applied;
      commit(target(link), std::move(own));
    } else {
      delete_here(target(link), claim.standing);
    }
  } else if (wrong_.empty()) {
    lose(link, claim.net);
  }
}

// It is left out once its own side has a later version of it: there it is deleted, unless it was changed since. What
// the stream has not brought yet shows in the row.
void TwoSides::lose(int link, const Net& net) {
  Server& source = this->source(link);
  const Lsn covered{net.commit.lsn.value + 1};
  const auto there = source.rows.find(net.op.key);
  bool later = there == source.rows.end() || links_[link].changes.unseen(hash_of(net.op.key), kTable, covered);
  if (!later) {
    Row sent = net.op.row;
    if (!net.op.second_sent) sent.second = there->second.second;
    later = sent != there->second;
  }
  if (!later && !has(WrongRule::kLoserKept)) delete_here(source, {net.op.key});
  source.flushed = source.log.size();
  links_[link].lost[{net.op.key, net.commit.lsn, net.position}] = source.log.back().end;
}

// As an application would: in a session without the link's origin.
void TwoSides::delete_here(Server& server, const std::vector<int>& keys) {
  Transaction transaction;
  transaction.time = Timestamp{static_cast<std::int64_t>((now_ + server.skew) * kMicroseconds)};
  for (const int key : keys) {
    Op op;
    op.kind = OpKind::kDelete;
    op.key = key;
    op.version = server.rows.at(key).version;
    put(server.rows, op);
    transaction.ops.push_back(op);
  }
  commit(server, std::move(transaction));
  server.flushed = server.log.size();
}

}  // namespace teal::test
