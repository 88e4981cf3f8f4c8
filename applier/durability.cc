#include "applier/durability.h"

#include <algorithm>

#include "engine/pg_error.h"

namespace teal {

WalPosition read_wal_position(PgConnection& connection) {
  const Rows rows = connection.exec_often("read the target's WAL position",
                                          "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()", {});
  const auto inserted = parse_lsn(rows.at(0, 0));
  const auto flushed = parse_lsn(rows.at(0, 1));
  if (!inserted || !flushed) throw Stopped(StopCode::kBug, "the target's WAL position could not be read");
  return {*inserted, *flushed};
}

// Those that wait for the same position are one: a target that flushes nothing for long must not gather them.
void Durability::committed(Lsn held) {
  if (!waiting_.empty() && !waiting_.back().inserted) {
    waiting_.back().held = std::max(waiting_.back().held, held);
  } else {
    waiting_.push_back({held, {}});
  }
}

void Durability::read(WalPosition position) {
  for (auto one = waiting_.rbegin(); one != waiting_.rend() && !one->inserted; ++one) one->inserted = position.inserted;
  while (!waiting_.empty() && *waiting_.front().inserted <= position.flushed) {
    durable_ = std::max(durable_, waiting_.front().held);
    waiting_.pop_front();
  }
}

Lsn Durability::poll(PgConnection& connection) {
  const auto now = std::chrono::steady_clock::now();
  if (waiting_.empty() || now - asked_ < kAskInterval) return durable_;
  asked_ = now;
  read(read_wal_position(connection));
  return durable_;
}

}  // namespace teal
