#include "applier/origin_session.h"

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/time_text.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kRetryPause{50};

// "replication origin with ID 1 is already active for PID 4711": the pid is the message's last number in every
// language.
std::string last_number(const std::string& text) {
  const std::size_t end = text.find_last_of("0123456789");
  if (end == std::string::npos) return {};
  const std::size_t before = text.find_last_not_of("0123456789", end);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return text.substr(begin, end - begin + 1);
}

// Ends the backend that a killed teal left behind; a stranger's backend is left alone.
void end_leftover(PgConnection& connection, const std::string& pid, const std::string& application_name) {
  if (pid.empty()) return;
  const Rows ended = connection.exec("end the leftover session",
                                     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int AND "
                                     "application_name = $2 AND usename = current_user",
                                     {pid, application_name});
  if (!ended.empty()) log_event(LogLevel::kWarn, "leftover session ended", {{"pid", pid}});
}

}  // namespace

void ensure_origin(PgConnection& connection, const std::string& name) {
  const Rows known = connection.exec("look for the origin", "SELECT pg_replication_origin_oid($1) IS NOT NULL", {name});
  if (!known.boolean(0, 0)) {
    connection.exec("create the origin " + name, "SELECT pg_replication_origin_create($1)", {name});
  }
}

void acquire_origin(PgConnection& connection, const std::string& name, const std::string& application_name,
                    std::chrono::milliseconds patience) {
  const auto start = std::chrono::steady_clock::now();
  bool ended = false;
  for (;;) {
    try {
      connection.exec("acquire the origin " + name, "SELECT pg_replication_origin_session_setup($1)", {name});
      return;
    } catch (const PgError& error) {
      const auto waited = std::chrono::steady_clock::now() - start;
      if (error.sqlstate() != "55006" || waited > 2 * patience || connection.stop_requested()) throw;
      if (waited > patience && !ended) {
        end_leftover(connection, last_number(error.text()), application_name);
        ended = true;
      }
      pause_for(kRetryPause, connection.stop_token());
    }
  }
}

void send_xact_setup(PgPipeline& pipeline, Lsn end_lsn, Timestamp commit_time) {
  static const std::string kSetup = "SELECT pg_replication_origin_xact_setup($1, $2)";
  pipeline.query_often("set the origin's position", kSetup, {to_string(end_lsn), to_string(commit_time)});
}

}  // namespace teal
