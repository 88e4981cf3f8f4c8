#pragma once
#include <chrono>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <stop_token>
#include <string>

#include "engine/pooler_console.h"
#include "tools/pooler_config.h"

namespace teal {

struct PoolerOptions {
  std::string admin;             ///< connection string of the admin console
  std::string database;          ///< as applications name it
  std::filesystem::path config;  ///< pgbouncer.ini, on this machine
};

/// What the pooler says of the database at this moment.
struct PoolerState {
  PoolerTarget target;
  bool paused = false;
};

/// One PgBouncer: holds the applications' statements back, and leads them to another server.
///
/// Clients keep their connections; what they send while it is paused waits. Seen with 1.18 and worked around:
/// - PAUSE throws away connections to the server that are just being opened, as if the login had failed; until the
///   next one succeeds, clients whose statements find no connection are refused ("server login has been failing"), also
///   during the pause. So PAUSE waits until none has been opened for a while. A client that makes it open one in the
///   moment between is still met by it: one of four that connected for each transaction, in 85 moves.
/// - A client that connects between RELOAD and RESUME has it open one in the pause, with the same end; and after that
///   none is opened for server_login_retry (15 s). So both go in one message, which nothing comes between.
/// - A PAUSE that nobody waits for any more still takes place: it is always followed by a RESUME.
///
/// Threads: one. Errors: PgError 08001, 08006 when it cannot be reached or does not answer; Stopped(kRefused).
class Pooler {
 public:
  /// `answer_within`: how long it may take to answer anything but PAUSE.
  Pooler(PoolerOptions options, std::chrono::milliseconds answer_within);

  /// That everything that is going to be needed is there: the console may pause, the database is there and not paused,
  /// the file has its line and leads where the pooler leads, and can be replaced, which is tried with its own text.
  void check();

  [[nodiscard]] PoolerState state();

  /// Sends PAUSE: from now on no transaction begins. It takes effect once those that are under way have ended. `time`:
  /// how long connections that are being opened are waited for. Errors: PgError 57P03 when there was always one.
  void begin_pause(std::chrono::milliseconds time, const std::stop_token& stop);
  /// Whether they have, within `time`. When not, or on a stop: `resume` has to follow.
  [[nodiscard]] bool paused_within(std::chrono::milliseconds time, const std::stop_token& stop);

  /// Writes the file, has it read and lets the applications go on there. Errors: Stopped(kRefused) when the pooler then
  /// leads elsewhere.
  void resume_at(const PoolerTarget& target);

  /// Lets the applications go on where they were. Safe to repeat, and after whatever has failed.
  void resume();

  /// Gives the pooler back what `resume_at` has changed of its settings, once it has a connection to where it leads: 15
  /// s at most, because nobody may have asked for one. Without clients at once.
  void restore(const std::stop_token& stop);
  /// Another process may have, and be gone.
  void expect_borrowed() { borrowed_ = true; }

  [[nodiscard]] const PoolerOptions& options() const { return options_; }
  [[nodiscard]] std::string label() const;

 private:
  PoolerConsole& console();
  [[nodiscard]] std::string quoted_database() const;
  [[nodiscard]] std::string setting(const std::string& name);
  [[nodiscard]] bool globally_paused();
  void check_own_file();
  [[nodiscard]] int count_pool(std::initializer_list<const char*> kinds);
  void wait_for_logins(std::chrono::milliseconds time, const std::stop_token& stop);
  void write_target(const PoolerTarget& target);

  PoolerOptions options_;
  std::chrono::milliseconds answer_within_;
  std::unique_ptr<PoolerConsole> console_;
  std::unique_ptr<PoolerConsole> pausing_;  ///< waits for the answer to PAUSE
  bool borrowed_ = false;                   ///< server_login_retry is not what its file says
};

}  // namespace teal
