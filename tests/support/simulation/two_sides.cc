#include "tests/support/simulation/two_sides.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace teal::test {
namespace {

constexpr double kMicroseconds = 1e6;

}  // namespace

TwoSides::TwoSides(std::uint64_t seed, TwoSidesOptions options) : random_(seed), options_(options) {
  constexpr double kSkews[] = {0, -3600, 3600, -5, 5, 0.5};
  servers_[1].skew = kSkews[below(6)];
  keys_ = options.unique ? 2 + below(5) : 1 + below(4);
  start(0);
  start(1);
}

std::string TwoSides::run() {
  try {
    write_and_apply();
  } catch (const std::logic_error& error) {
    wrong_ = error.what();
  }
  if (wrong_.empty() && servers_[0].rows != servers_[1].rows) wrong_ = "the sides differ";
  return wrong_;
}

void TwoSides::write_and_apply() {
  const int steps = 5 + below(115);
  for (int i = 0; i < steps && wrong_.empty(); ++i) step();
  for (int i = 0; i < 500 && !done() && wrong_.empty(); ++i) {
    for (const int link : {0, 1}) {
      receive(link, std::numeric_limits<int>::max());
      apply(link, 1000);
    }
  }
  if (wrong_.empty() && !done()) wrong_ = "the links do not come to an end";
}

void TwoSides::step() {
  now_ += std::uniform_real_distribution<double>(0, 1)(random_);
  if (chance(0.02)) servers_[below(2)].skew += std::uniform_real_distribution<double>(-50, 50)(random_);
  const int what = below(100);
  const int side = below(2);
  if (what < 45) {
    write(side);
  } else if (what < 65) {
    receive(side, 1 + below(5));
  } else if (what < 92) {
    receive(side, below(5));
    apply(side, 1 + below(6));
  } else if (what < 94) {
    servers_[side].flushed = servers_[side].log.size();
  } else if (what < 96) {
    crash(side);
  } else if (what < 98) {
    start(side);
  } else {
    end_process();
  }
}

// ------------------------------------------------------------------------------------------------------ the servers

TwoSides::Op TwoSides::random_op(const Table& rows) {
  Op op;
  op.key = below(keys_);
  op.version = 1 + below(9);
  op.row = {++value_, ++value_, op.version};
  const auto found = rows.find(op.key);
  if (chance(0.03)) {
    op.kind = OpKind::kTruncate;
    op.version = kNoVersion;
    if (!options_.unique) op.part = below(3) - 1;
  } else if (found == rows.end()) {
    op.kind = OpKind::kInsert;
  } else if (chance(0.3)) {
    op.kind = OpKind::kDelete;
    op.version = found->second.version;
  } else if (const int to = below(keys_); chance(0.2) && !rows.contains(to)) {
    // With what is large unsent: else it is a row that goes and one that comes.
    op.kind = OpKind::kMove;
    op.from = op.key;
    op.key = to;
    op.second_sent = false;
    op.row.second = found->second.second;
    op.old_version = found->second.version;
  } else {
    op.kind = OpKind::kUpdate;
    op.second_sent = chance(0.5);
    if (!op.second_sent) op.row.second = found->second.second;
  }
  if (options_.unique) {
    if (found != rows.end()) op.row.unique = found->second.unique;
    claim_at_random(rows, op.kind == OpKind::kMove ? op.from : op.key, op.row);
  }
  return op;
}

void TwoSides::put(Table& rows, const Op& op) {
  if (op.kind == OpKind::kTruncate) {
    std::erase_if(rows, [&](const auto& row) { return takes(op, row.first); });
  } else if (op.kind == OpKind::kDelete) {
    rows.erase(op.key);
  } else {
    if (op.kind == OpKind::kMove) rows.erase(op.from);
    rows[op.key] = op.row;
  }
}

void TwoSides::write(int side) {
  Server& server = servers_[side];
  Transaction transaction;
  transaction.time = Timestamp{static_cast<std::int64_t>((now_ + server.skew) * kMicroseconds)};
  for (int i = 0, count = 1 + below(3); i < count; ++i) {
    const Op op = random_op(server.rows);
    put(server.rows, op);
    transaction.ops.push_back(op);
  }
  commit(server, std::move(transaction));
  server.flushed = server.log.size();
}

void TwoSides::commit(Server& server, Transaction transaction) {
  transaction.begin = Lsn{server.log.size() * kTransactionBytes + 1};
  transaction.end = Lsn{(server.log.size() + 1) * kTransactionBytes};
  transaction.rows = server.rows;
  transaction.progress = server.progress;
  for (const auto& [key, row] : server.rows) {
    if (!in_the_way(server.rows, key, row).empty()) wrong_ = "two rows of a side share a unique value";
  }
  server.log.push_back(std::move(transaction));
}

// What was not flushed is gone: rows of teal's, and the progress with them.
void TwoSides::crash(int side) {
  Server& server = servers_[side];
  server.log.resize(server.flushed);
  server.rows = server.log.empty() ? Table{} : server.log.back().rows;
  server.progress = server.log.empty() ? ProgressRow{} : server.log.back().progress;
  start(0);
  start(1);
}

// ------------------------------------------------------------------------------------------------------ the links

void TwoSides::end_process() {
  for (Link& link : links_) link = Link{};
  start(0);
  start(1);
}

// A new session: from the progress row.
void TwoSides::start(int link) {
  Link& self = links_[link];
  const ProgressRow& row = target(link).progress;
  self.queue.clear();
  self.lost.clear();
  self.applied = row.applied;
  self.next = index_from(row.held);
  self.clock =
      has(WrongRule::kForgetsSeenAtStart) ? StreamClock(row.held_time, {}) : StreamClock(row.held_time, row.held_seen);
}

// Takes `count` transactions off the source's flushed log.
void TwoSides::receive(int link, int count) {
  Link& self = links_[link];
  for (; count > 0 && self.next < source(link).flushed; --count, ++self.next) {
    const Transaction& transaction = source(link).log[self.next];
    if (transaction.echo) {
      self.clock.echo(*transaction.echo);
      if (transaction.end > self.applied)
        self.queue.push_back({{transaction.begin, self.clock.time(), self.clock.seen()}, transaction.end, {}});
      continue;
    }
    LocalCommit commit = self.clock.stamp(transaction.begin, transaction.time);
    if (has(WrongRule::kTimesAsTheyAre)) commit.time = transaction.time;
    if (transaction.end > self.indexed) {
      std::vector<LocalChange> changes;
      for (const Op& op : transaction.ops) {
        if (op.kind == OpKind::kTruncate && has(WrongRule::kTruncateForgotten)) continue;
        if (op.kind == OpKind::kTruncate) {
          const bool whole = op.part == kWhole || has(WrongRule::kPartTakesAll);
          const TableHash table = whole ? TableHash(kTable) : TableHash(kTable, kParts[op.part]);
          changes.push_back({table.part, table, true, op.version});
          continue;
        }
        if (op.kind == OpKind::kMove) {
          changes.push_back({hash_of(op.from), table_of(op.from), true, op.old_version});
        }
        changes.push_back({hash_of(op.key), table_of(op.key), op.kind == OpKind::kDelete, op.version});
      }
      self.changes.add(commit, changes);
      self.indexed = transaction.end;
    }
    if (transaction.end > self.applied) self.queue.push_back({commit, transaction.end, transaction.ops});
  }
}

// Net changes per key, in the order of the last one; a TRUNCATE stands between what came before and after it, and so
// does a key change.
std::vector<TwoSides::Net> TwoSides::merged(const std::vector<Received>& batch) const {
  std::vector<Net> nets;
  std::map<int, std::size_t> of_key;
  for (const Received& transaction : batch) {
    std::size_t position = 0;
    for (const Op& op : transaction.ops) {
      ++position;
      if (op.kind == OpKind::kTruncate || op.kind == OpKind::kMove) {
        of_key.clear();
        nets.push_back({op, transaction.commit, transaction.commit.seen, true, position});
        continue;
      }
      auto known = of_key.find(op.key);
      // What it leaves out is the row's that it had seen.
      if (known != of_key.end() && !op.second_sent && nets[known->second].commit.seen != transaction.commit.seen) {
        of_key.erase(known);
        known = of_key.end();
      }
      if (known == of_key.end()) {
        of_key[op.key] = nets.size();
        nets.push_back({op, transaction.commit, transaction.commit.seen, op.kind != OpKind::kInsert, position});
        continue;
      }
      Net& net = nets[known->second];
      const OpKind before = net.op.kind;
      const bool second_sent = net.op.second_sent || op.second_sent;
      net.op = op;
      net.commit = transaction.commit;
      net.position = position;
      net.op.second_sent = second_sent;
      if (before == OpKind::kInsert && op.kind == OpKind::kUpdate) net.op.kind = OpKind::kInsert;
      if (before == OpKind::kDelete && op.kind == OpKind::kInsert) net.op.kind = OpKind::kUpdate;
      if (before == OpKind::kInsert && op.kind == OpKind::kDelete && has(WrongRule::kInsertDeleteIsNothing)) {
        nets.erase(nets.begin() + static_cast<std::ptrdiff_t>(known->second));
        const std::size_t gone = known->second;
        of_key.erase(known);
        for (auto& [key, index] : of_key) index -= index > gone ? 1 : 0;
      }
    }
  }
  return nets;
}

Verdict TwoSides::verdict(int link, const Net& net, int key) {
  IncomingChange change{hash_of(key), table_of(key), net.commit, net.first_seen};
  if (has(WrongRule::kTimesAlone)) change.commit.seen = Lsn{};
  return decide(options_.policy, link == 0 ? Side::kBlue : Side::kGreen, change, links_[link].changes,
                other(link).changes);
}

void TwoSides::apply(int link, int count) {
  Link& self = links_[link];
  Server& target = this->target(link);
  std::vector<Received> batch;
  while (static_cast<int>(batch.size()) < count && !self.queue.empty()) {
    batch.push_back(std::move(self.queue.front()));
    self.queue.pop_front();
  }
  if (batch.empty()) return;
  // The rows are locked from here on; the other stream has to pass what was committed before.
  target.flushed = target.log.size();
  if (!has(WrongRule::kReceiverNotAwaited)) receive(1 - link, std::numeric_limits<int>::max());
  Written written;
  written.end = batch.back().end;
  if (write_all(link, merged(batch), written)) {
    // Refused: by itself, and as the source made it.
    self.queue.insert(self.queue.begin(), batch.begin() + 1, batch.end());
    batch.resize(1);
    written.end = batch.back().end;
    if (const auto claim = write_all(link, in_order(batch.front()), written)) {
      self.queue.push_front(batch.front());
      if (wrong_.empty()) settle(link, *claim);
      return;
    }
  }
  if (wrong_.empty()) finish(link, batch, std::move(written));
}

void TwoSides::finish(int link, const std::vector<Received>& batch, Written written) {
  Link& self = links_[link];
  Server& target = this->target(link);
  const LocalCommit& last = batch.back().commit;
  const Lsn end = batch.back().end;
  self.applied = end;
  forget(link);
  ProgressRow row{end, last.seen, last.time, end, last.time, last.seen};
  const std::optional<LocalCommit> oldest = self.changes.oldest();
  if (oldest && oldest->lsn < row.held && !has(WrongRule::kHoldsNothingBack)) {
    row.held = oldest->lsn;
    row.held_time = oldest->time;
    row.held_seen = oldest->seen;
  }
  if (row.held < target.progress.held) wrong_ = "a slot would have to go back";
  std::erase_if(written.fetched, [&](const auto& one) { return one.second.as_of <= end; });
  row.fetched = std::move(written.fetched);
  target.rows = std::move(written.rows);
  target.progress = row;
  Transaction transaction;
  transaction.echo = end;
  commit(target, std::move(transaction));
}

// Lets go of the source's changes that no change of the target can have missed any more: the oldest that the source is
// not yet known to have tells. What a crash takes back is not known to the source either, so it is still there.
void TwoSides::forget(int link) {
  const Lsn needed =
      other(link).changes.seen_by_first_after(target(link).progress.seen).value_or(other(link).clock.seen());
  const Lsn seen_by_target = source(link).progress.seen;
  links_[link].changes.forget(has(WrongRule::kOldestVersionsForgotten) ? seen_by_target : needed);
}

bool TwoSides::done() const {
  for (const int link : {0, 1}) {
    const Server& source = servers_[link];
    const Link& self = links_[link];
    for (std::size_t i = self.next; i < source.log.size(); ++i) {
      if (!source.log[i].echo) return false;
    }
    for (const Received& received : self.queue) {
      if (!received.ops.empty()) return false;
    }
  }
  return true;
}

}  // namespace teal::test
