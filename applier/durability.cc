#include "applier/durability.h"

#include "engine/pg_error.h"

namespace teal {

CommitPoint read_wal_position(PgConnection& connection) {
  const Rows rows = connection.exec("read the target's WAL position",
                                    "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()");
  const auto inserted = parse_lsn(rows.at(0, 0));
  const auto flushed = parse_lsn(rows.at(0, 1));
  if (!inserted || !flushed) throw Stopped(StopCode::kBug, "the target's WAL position could not be read");
  return {*inserted, *flushed};
}

void Durability::committed(Lsn held, CommitPoint point) {
  waiting_.push_back(Waiting{held, point.inserted});
  flushed_to(point.flushed);
}

void Durability::flushed_to(Lsn flushed) {
  while (!waiting_.empty() && waiting_.front().inserted <= flushed) {
    durable_ = std::max(durable_, waiting_.front().held);
    waiting_.pop_front();
  }
}

Lsn Durability::poll(PgConnection& connection) {
  const auto now = std::chrono::steady_clock::now();
  if (waiting_.empty() || now - asked_ < kAskInterval) return durable_;
  asked_ = now;
  flushed_to(read_wal_position(connection).flushed);
  return durable_;
}

}  // namespace teal
