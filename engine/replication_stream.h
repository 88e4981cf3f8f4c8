#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "decoder/copy_data.h"
#include "decoder/frame.h"
#include "decoder/lsn.h"
#include "decoder/transaction.h"
#include "engine/pg_connection.h"

namespace teal {

struct StreamOptions {
  ConnectOptions connect;  ///< a replication session
  std::string link;        ///< for messages
  std::string slot;
  std::vector<std::string> publications;
};

/// A position in the source's log, and which timeline's log that is.
struct LogPosition {
  Lsn lsn;
  unsigned timeline = 0;  ///< 0: not known
};

/// Where a stream begins, as the target's progress row says.
struct StreamStart {
  Lsn held;
  std::string source_system_id;
  unsigned timeline = 0;      ///< of the source, as the progress row knows it; 0: not known
  unsigned timeline_now = 0;  ///< as the source says now
  bool binary = false;        ///< values in their types' binary form (source 14+)
  /// The newest watermark of each timeline: copied rows came from the source's log up to there, which the stream may
  /// not have reached yet.
  std::vector<LogPosition> copied;
  /// The last commit that was applied and had changes; with no position: not known.
  CommitMark last_commit = {};
  bool streaming = false;  ///< large transactions come in blocks while they are open (source 14+, else ignored)
};

/// Makes what is told, while a slot that is being created waits for open transactions, about the session with that
/// backend pid.
using SlotWaitTeller = std::function<PgConnection::WaitListener(int waiting_pid)>;

/// One START_REPLICATION session: frames in, status updates out. Never waits after `open`.
/// Threads: one.
/// Errors: PgError for world failures; Stopped(kRefused) when going on would lose changes (see `open`).
/// Source: PostgreSQL manual, "Logical Streaming Replication Protocol".
class ReplicationStream {
 public:
  /// Connects, proves that nothing is missing between the progress row and the slot, and starts the stream.
  /// Refuses: another cluster than before, one whose history left that of `start` before what was applied or copied of
  /// it, a slot that is missing or invalidated, and a slot whose confirmed LSN is above `start.held`, because the
  /// server would skip to it without a word (invariant I4). A stop of `stop` interrupts it.
  [[nodiscard]] static ReplicationStream open(const StreamOptions& options, const StreamStart& start,
                                              std::stop_token stop);

  /// Starts the stream of a slot that this very session made (a temporary one), from a position at or after its
  /// consistent point. Nothing is checked: there is no progress row that it would have to fit.
  [[nodiscard]] static ReplicationStream start_at(PgConnection connection, const std::string& slot, Lsn from,
                                                  const std::vector<std::string>& publications, bool binary = false,
                                                  bool streaming = false);

  /// For a reader that keeps no position: makes a temporary slot, named `options.slot` and the backend's pid, and
  /// streams what is committed from now on. The server drops the slot with the session, however that ends.
  /// The publications have to be committed before; the server waits for all transactions that are open at the moment.
  /// A stop of `stop` interrupts it. Errors: PgError; 53400 when no slot is free.
  [[nodiscard]] static ReplicationStream open_temporary(const StreamOptions& options, const SlotWaitTeller& on_wait,
                                                        std::stop_token stop);

  /// The next whole message, if one has been read already.
  /// Errors: PgError when the server ended the stream.
  std::optional<Frame> next_frame();

  /// The socket has something, right now or within `wait`.
  [[nodiscard]] bool readable(std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const {
    return connection_.wait_socket(false, wait);
  }
  /// Whether the session's stop token was triggered.
  [[nodiscard]] bool stop_requested() const { return connection_.stop_requested(); }

  /// Reads what the socket has. Returns false when the server has hung up (next_frame then tells why).
  bool read_socket();

  /// Queues a status update and sends what the socket takes. Returns true when all of it has left.
  bool send(const StandbyStatusUpdate& update);
  /// Goes on with what `send` left. Returns true when all of it has left.
  bool flush();

  /// Hangs up. Only destruction may follow.
  void close() { connection_.close(); }

  /// Where the stream began: it has what was committed after that.
  [[nodiscard]] Lsn start() const { return start_; }
  /// What this stream has to bring once more before anything later, or the source is not what it was: its slot does not
  /// know that it was acknowledged. After a crash, that is as it should be; storage that was set back looks the same.
  [[nodiscard]] const std::optional<CommitMark>& sends_again() const { return sends_again_; }
  [[nodiscard]] int socket() const { return PQsocket(connection_.raw()); }
  /// How long the server waits for a sign of life; zero: for ever.
  [[nodiscard]] std::chrono::milliseconds sender_timeout() const { return sender_timeout_; }

 private:
  ReplicationStream(PgConnection connection, std::chrono::milliseconds sender_timeout, Lsn start)
      : connection_(std::move(connection)), sender_timeout_(sender_timeout), start_(start) {}

  PgConnection connection_;
  std::chrono::milliseconds sender_timeout_;
  Lsn start_;
  std::optional<CommitMark> sends_again_;
};

}  // namespace teal
