#include "tools/slot_creation.h"

#include <chrono>

#include "engine/failpoint.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/wait_log.h"
#include "tools/link_facts.h"
#include "tools/open_transactions.h"
#include "tools/signals.h"

namespace teal {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kReleaseTimeout{10};
constexpr std::chrono::milliseconds kRetryInterval{100};
constexpr const char* kCancelled = "57014";
constexpr int kOldestFailover = 17;  // a standby can take the slot over

}  // namespace

Lsn create_slot(PgConnection& source, const ConnectOptions& watch, const std::string& name,
                const std::stop_token& stop) {
  try {
    source.set_stop_token(stop);
    source.set_wait_listener(tell_blockers(watch, source.backend_pid()));
    TEAL_FAILPOINT("before_slot");
    const Rows rows =
        source.exec("create the slot " + name,
                    "SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput'" +
                        std::string(source.server_major() >= kOldestFailover ? ", failover => true" : "") + ")",
                    {name});
    TEAL_FAILPOINT("slot_created");
    source.set_wait_listener(log_long_waits(source, "init"));
    const std::optional<Lsn> lsn = rows.size() == 1 ? parse_lsn(rows.at(0, 0)) : std::nullopt;
    if (!lsn) throw Stopped(StopCode::kBug, "the new slot " + name + " has no consistent point");
    return *lsn;
  } catch (const PgError& error) {
    source.set_wait_listener(log_long_waits(source, "init"));
    if (error.sqlstate() != kCancelled || !stop.stop_requested()) throw;
  }
  source.set_stop_token({});  // leave nothing behind, although we were asked to stop
  if (read_slot(source, name)) drop_unused_slot(source, name);
  throw Interrupted("stopped while the slot " + name + " was being created; no slot was left behind");
}

void drop_unused_slot(PgConnection& source, const std::string& name) {
  const auto deadline = steady_clock::now() + kReleaseTimeout;
  for (;;) {
    const std::optional<SlotFacts> slot = read_slot(source, name);
    if (!slot) return;
    if (!slot->active_pid) {
      source.exec("drop the unused slot " + name, "SELECT pg_drop_replication_slot($1)", {name});
      return;
    }
    if (steady_clock::now() > deadline) {
      throw Stopped(StopCode::kRefused, "the slot " + name + " is in use by the session with pid " +
                                            std::to_string(*slot->active_pid) +
                                            ": is another teal of this name running? end it and try again");
    }
    source.exec("end the session that a killed teal left in the slot " + name, "SELECT pg_terminate_backend($1)",
                {std::to_string(*slot->active_pid)});
    pause_for(kRetryInterval, {});
  }
}

}  // namespace teal
