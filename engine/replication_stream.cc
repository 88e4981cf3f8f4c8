#include "engine/replication_stream.h"

#include <sstream>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/receive_window.h"

namespace teal {
namespace {

// The server answers before it begins to decode, so this does not depend on how far behind the slot is.
constexpr std::chrono::milliseconds kAnswerWithin{30'000};
constexpr int kOldestStreaming = 14;  // protocol 2

[[noreturn]] void refuse(const StreamOptions& options, const std::string& text) {
  throw Stopped(StopCode::kRefused, "link " + options.link + ": " + text);
}

struct System {
  std::string id;
  unsigned timeline = 0;
  std::optional<Lsn> end;  // of its flushed log
};

System identify(PgConnection& connection) {
  const Rows rows = connection.exec("identify the source", "IDENTIFY_SYSTEM");
  return {rows.str(0, 0), static_cast<unsigned>(rows.integer(0, 1)), parse_lsn(rows.at(0, 2))};
}

void check_system(const PgConnection& connection, const System& system, const StreamOptions& options,
                  const StreamStart& start) {
  if (system.id == start.source_system_id) return;
  refuse(options, connection.label() + " is another cluster (system identifier " + system.id +
                      ") than the one that was copied (" + start.source_system_id +
                      "): correct the address, or start over with `teal finish`");
}

[[noreturn]] void refuse_lost_history(const PgConnection& connection, const StreamOptions& options, Lsn held,
                                      const std::string& what) {
  refuse(options, connection.label() + " has gone back: " + what + ", but the target holds its changes up to " +
                      to_string(held) +
                      " (a restore, a failover to a standby that lagged?); the target has rows that it lost, and its "
                      "new changes would be taken for old ones: end this migration with `teal finish` and start over");
}

// Where the line of history that the target followed ends in that of timeline `now`; nullopt: it is no part of it.
// A history file has a line for each ancestor: its number, where it was left, and why. Source: PostgreSQL manual,
// "Continuous Archiving", Timelines.
std::optional<Lsn> left_at(const std::string& history, unsigned timeline) {
  std::istringstream lines(history);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    unsigned number = 0;
    std::string lsn;
    if (words >> number >> lsn && number == timeline) return parse_lsn(lsn);
  }
  return std::nullopt;
}

// What the target has came from this source's flushed log: where that ends now cannot be before it, and where a
// promotion began a new timeline neither. The end alone tells nothing once the new timeline has grown past it. Returns
// where the history left the timeline of `had`; nullopt: it is still there, or not known.
std::optional<Lsn> check_position(PgConnection& connection, const System& system, const StreamOptions& options,
                                  const LogPosition& had) {
  if (!system.end || *system.end < had.lsn) {
    refuse_lost_history(connection, options, had.lsn, "its log ends at " + to_string(system.end.value_or(Lsn{})));
  }
  if (had.timeline == 0 || had.timeline == system.timeline) return std::nullopt;
  const std::string now = std::to_string(system.timeline);
  const std::string before = std::to_string(had.timeline);
  if (system.timeline < had.timeline) {
    refuse_lost_history(connection, options, had.lsn, "it is on timeline " + now + " and was on " + before);
  }
  const Rows history = connection.exec("read the source's history", "TIMELINE_HISTORY " + now);
  const std::optional<Lsn> left = left_at(history.str(0, 1), had.timeline);
  if (!left) {
    refuse_lost_history(connection, options, had.lsn, "timeline " + before + " is no part of its timeline " + now);
  }
  if (*left < had.lsn) {
    refuse_lost_history(connection, options, had.lsn,
                        "its timeline " + now + " left timeline " + before + " at " + to_string(*left));
  }
  return left;
}

void check_history(PgConnection& connection, const System& system, const StreamOptions& options,
                   const StreamStart& start) {
  const std::optional<Lsn> left = check_position(connection, system, options, {start.held, start.timeline});
  if (system.timeline != start.timeline_now) {
    throw PgError("identify the source", "it was promoted at this moment", "57P01");
  }
  for (const LogPosition& copied : start.copied) check_position(connection, system, options, copied);
  if (!left) return;
  log_event(LogLevel::kInfo, "source was promoted, nothing is missing",
            {{"link", options.link}, {"timeline", std::to_string(system.timeline)}, {"left_at", to_string(*left)}});
}

// Returns where the slot stands; nullopt when somebody still reads it, and may move it.
std::optional<Lsn> check_slot(PgConnection& connection, const StreamOptions& options, const StreamStart& start) {
  const Rows slot =
      connection.exec("look at the slot",
                      "SELECT plugin, confirmed_flush_lsn, wal_status, active FROM pg_catalog.pg_replication_slots "
                      "WHERE slot_name = " +
                          quote_literal(options.slot));
  const std::string gap = "everything after " + to_string(start.held) +
                          " is missing on the target: end this migration with `teal finish` and start over";
  if (slot.empty()) refuse(options, "slot " + options.slot + " does not exist on " + connection.label() + "; " + gap);
  if (slot.at(0, 0) != "pgoutput")
    refuse(options, "slot " + options.slot + " is not ours: its plugin is " + slot.str(0, 0));
  if (slot.at(0, 2) == "lost")
    refuse(options, "slot " + options.slot + " was invalidated by the server (wal_status lost); " + gap);
  const auto confirmed = parse_lsn(slot.at(0, 1));
  if (!confirmed || *confirmed > start.held) {
    refuse(
        options,
        "gap " + to_string(start.held) + ".." + slot.str(0, 1) +
            ": the slot was acknowledged beyond the target's progress row, so the target lost what it had "
            "(a restore, a failover to a standby that lagged?); the server will not send it again: end this migration "
            "with `teal finish` and start over");
  }
  return slot.boolean(0, 3) ? std::nullopt : confirmed;
}

std::chrono::milliseconds read_sender_timeout(PgConnection& connection) {
  const Rows rows = connection.exec("read wal_sender_timeout",
                                    "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'");
  return std::chrono::milliseconds(rows.integer(0, 0));
}

std::string start_command(const std::string& slot, Lsn start, const std::vector<std::string>& publications, bool binary,
                          bool streaming) {
  std::string names;
  for (const std::string& publication : publications) {
    names += (names.empty() ? "" : ",") + quote_identifier(publication);
  }
  return "START_REPLICATION SLOT " + quote_identifier(slot) + " LOGICAL " + to_string(start) +
         (streaming ? " (proto_version '2', streaming 'on'" : " (proto_version '1'") + ", publication_names " +
         quote_literal(names) + (binary ? ", binary 'true')" : ")");
}

}  // namespace

ReplicationStream ReplicationStream::open(const StreamOptions& options, const StreamStart& start,
                                          std::stop_token stop) {
  ConnectOptions connect = options.connect;
  connect.answer_within = kAnswerWithin;
  PgConnection connection = PgConnection::connect(connect);
  connection.set_stop_token(std::move(stop));
  const System system = identify(connection);
  check_system(connection, system, options, start);
  check_history(connection, system, options, start);
  const std::optional<Lsn> confirmed = check_slot(connection, options, start);
  const bool again = confirmed && *confirmed < start.last_commit.end_lsn;
  const bool streaming = start.streaming && connection.server_major() >= kOldestStreaming;
  ReplicationStream stream = start_at(std::move(connection), options.slot, again ? *confirmed : start.held,
                                      options.publications, start.binary, streaming);
  if (again) stream.sends_again_ = start.last_commit;
  return stream;
}

ReplicationStream ReplicationStream::open_temporary(const StreamOptions& options, const SlotWaitTeller& on_wait,
                                                    std::stop_token stop) {
  PgConnection connection = PgConnection::connect(options.connect);
  connection.set_stop_token(std::move(stop));
  // The pid keeps it apart from other readers', and from a slot that a killed one's session still holds for a moment.
  const std::string slot = options.slot + std::to_string(connection.backend_pid());
  connection.set_wait_listener(on_wait(connection.backend_pid()));
  const Rows made =
      connection.exec("create the temporary slot " + slot, "CREATE_REPLICATION_SLOT " + quote_identifier(slot) +
                                                               " TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
  connection.set_wait_listener({});
  const auto point = made.size() == 1 ? parse_lsn(made.at(0, 1)) : std::nullopt;
  if (!point) throw Stopped(StopCode::kBug, "the new slot " + slot + " has no consistent point");
  return start_at(std::move(connection), slot, *point, options.publications);
}

ReplicationStream ReplicationStream::start_at(PgConnection connection, const std::string& slot, Lsn from,
                                              const std::vector<std::string>& publications, bool binary,
                                              bool streaming) {
  const auto sender_timeout = read_sender_timeout(connection);
  const Rows started =
      connection.exec("start streaming from slot " + slot, start_command(slot, from, publications, binary, streaming));
  if (PQresultStatus(started.raw()) != PGRES_COPY_BOTH) {
    throw PgError("start streaming from slot " + slot, "the server did not begin to stream", "");
  }
  limit_receive_window(PQsocket(connection.raw()));
  return {std::move(connection), sender_timeout, from};
}

std::optional<Frame> ReplicationStream::next_frame() {
  char* buffer = nullptr;
  const int size = PQgetCopyData(connection_.raw(), &buffer, 1);
  if (size > 0) return frame_from_copy_buffer(buffer, static_cast<std::size_t>(size));
  if (size == 0) return std::nullopt;
  const ResultHandle result(size == -1 ? PQgetResult(connection_.raw()) : nullptr);
  try {
    connection_.raise("read the stream of " + connection_.label(), result.get());
  } catch (const PgError& error) {
    throw StreamError(error.operation(), error.text(), error.sqlstate());
  }
}

bool ReplicationStream::read_socket() { return PQconsumeInput(connection_.raw()) != 0; }

bool ReplicationStream::send(const StandbyStatusUpdate& update) {
  const auto bytes = encode(update);
  if (PQputCopyData(connection_.raw(), reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size())) <
      0) {
    connection_.raise("acknowledge to " + connection_.label(), nullptr);
  }
  return flush();
}

bool ReplicationStream::flush() {
  const int left = PQflush(connection_.raw());
  if (left < 0) connection_.raise("acknowledge to " + connection_.label(), nullptr);
  return left == 0;
}

}  // namespace teal
