#include "applier/target_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "applier/origin_session.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/wait_log.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kOriginPatience{10'000};

// Stale statistics turn UPDATE ... FROM into a scan of the whole table; a lookup by key is always right here.
constexpr std::array kSettings{
    std::pair{"session_replication_role", "replica"},
    std::pair{"plan_cache_mode", "force_generic_plan"},
    std::pair{"enable_seqscan", "off"},
    std::pair{"enable_bitmapscan", "off"},
    std::pair{"enable_hashjoin", "off"},
    std::pair{"enable_mergejoin", "off"},
    std::pair{"synchronous_commit", "off"},
};

[[noreturn]] void refuse_setting(const PgConnection& connection, const std::string& name, const std::string& value,
                                 const std::string& reads) {
  throw Stopped(StopCode::kRefused, name + " on " + connection.label() + " was set to " + value + " but reads " +
                                        reads + ": connect teal directly, not by a pooler");
}

void set_and_check(PgConnection& connection, const std::string& name, const std::string& value) {
  const Rows set =
      connection.exec("set " + name + " on " + connection.label(), "SELECT set_config($1, $2, false)", {name, value});
  if (set.at(0, 0) != value) refuse_setting(connection, name, value, set.str(0, 0));
}

long long read_ms(PgConnection& connection, const std::string& name) {
  return connection
      .exec("read " + name + " of " + connection.label(), "SELECT setting FROM pg_settings WHERE name = $1", {name})
      .integer(0, 0);
}

void limit_lock_waits(PgConnection& connection, long long asked_ms) {
  const long long limit_ms = std::clamp(asked_ms, 1LL, std::max(1LL, read_ms(connection, "deadlock_timeout") / 2));
  if (limit_ms < asked_ms) {
    log_event(LogLevel::kWarn, "lock_timeout lowered to half of the server's deadlock_timeout",
              {{"server", connection.label()}, {"asked_ms", asked_ms}, {"lock_timeout_ms", limit_ms}});
  }
  connection.exec("set lock_timeout on " + connection.label(), "SELECT set_config('lock_timeout', $1, false)",
                  {std::to_string(limit_ms)});
  // In its unit: set_config answers 1s to 1000.
  if (const long long reads_ms = read_ms(connection, "lock_timeout"); reads_ms != limit_ms) {
    refuse_setting(connection, "lock_timeout", std::to_string(limit_ms), std::to_string(reads_ms));
  }
}

// Its administrator wants no commit on one machine alone: then none is acknowledged either.
bool has_synchronous_standbys(PgConnection& connection) {
  return connection
      .exec("ask " + connection.label() + " for synchronous standbys",
            "SELECT current_setting('synchronous_standby_names') <> ''")
      .boolean(0, 0);
}

}  // namespace

PgConnection open_target_session(const TargetSessionOptions& options, std::stop_token stop) {
  PgConnection connection = PgConnection::connect(options.connect);
  connection.set_stop_token(std::move(stop));
  for (const auto& [name, value] : kSettings) set_and_check(connection, name, value);
  if (options.lock_timeout) limit_lock_waits(connection, options.lock_timeout->count());
  const bool standbys = has_synchronous_standbys(connection);
  set_and_check(connection, "synchronous_commit", options.synchronous_commit || standbys ? "on" : "off");
  connection.set_wait_listener(log_long_waits(connection, options.connect.application_name, options.connect));
  acquire_origin(connection, options.origin, options.connect.application_name, kOriginPatience);
  // What an earlier session committed may be on this machine only, and its wait have ended with it: a commit that comes
  // after it waits for both. The message is for nobody.
  if (standbys) {
    connection.exec("wait for the synchronous standbys of " + connection.label(),
                    "SELECT pg_logical_emit_message(true, 'teal', '')");
  }
  return connection;
}

}  // namespace teal
