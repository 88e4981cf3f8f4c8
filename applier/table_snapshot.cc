#include "applier/table_snapshot.h"

#include <utility>

#include "engine/pg_error.h"

namespace teal {

TableSnapshot::TableSnapshot(const SnapshotOptions& options, std::stop_token stop)
    : connection_(PgConnection::connect(options.connect)) {
  connection_.set_stop_token(std::move(stop));
  if (options.on_wait) connection_.set_wait_listener(options.on_wait(connection_.backend_pid()));
  // The pid keeps it apart from a slot that a killed process' session still holds for a moment.
  slot_ = options.slot_prefix + std::to_string(connection_.backend_pid());
  timeline_ = static_cast<unsigned>(connection_.exec("identify the source", "IDENTIFY_SYSTEM").integer(0, 1));
  const Rows made =
      connection_.exec("make a snapshot of the source", "CREATE_REPLICATION_SLOT " + quote_identifier(slot_) +
                                                            " TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT");
  connection_.set_wait_listener({});
  const auto point = parse_lsn(made.at(0, 1));
  if (!point) throw Stopped(StopCode::kBug, "the source answered without a consistent point");
  consistent_point_ = *point;
  name_ = made.str(0, 2);
}

ReplicationStream TableSnapshot::stream(const std::vector<std::string>& publications) && {
  // It is read by one thread that also writes, and may have to wait for locks there.
  connection_.exec("let the stream wait", "SET wal_sender_timeout = 0");
  return ReplicationStream::start_at(std::move(connection_), slot_, consistent_point_, publications);
}

}  // namespace teal
