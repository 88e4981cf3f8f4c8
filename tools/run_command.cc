#include "tools/run_command.h"

#include <exception>
#include <stop_token>
#include <string>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/spill_file.h"
#include "tools/exit_code.h"
#include "tools/link_facts.h"
#include "tools/lock_keeper.h"
#include "tools/sidecar.h"
#include "tools/signals.h"
#include "tools/status_endpoint.h"

namespace teal {
namespace {

// Found out now, and not at the first large transaction.
void check_spill_dir(const ApplyConfig& apply) {
  if (apply.spill_bytes_max == 0) return;
  try {
    const SpillFile probe(apply.spill_dir);
  } catch (const SpillFailed& error) {
    throw Stopped(StopCode::kUsage, std::string("apply.spill_dir: ") + error.what() +
                                        "; name a directory that may be written to, or set apply.spill_bytes_max: 0");
  }
}

bool run_guarded(const RunOptions& options, const std::stop_token& asked) {
  std::stop_source whole;
  const std::stop_callback forward(asked, [&whole] { whole.request_stop(); });
  LockKeeper lock(connect_options(options.config, false, "run"), options.config.name, whole);
  const StatusEndpoint endpoint(options.config);
  bool done = false;
  try {
    done = Sidecar(options, lock, whole.get_token()).run();
  } catch (...) {
    lock.rethrow();
    throw;
  }
  lock.rethrow();
  return done;
}

}  // namespace

int run_command(const RunOptions& options) {
  const SignalStop signals;
  bool done = !options.until_synced;
  try {
    check_spill_dir(options.config.apply);
    done = run_guarded(options, signals.token());
  } catch (const Interrupted& interrupted) {
    log_event(LogLevel::kInfo, "stopped before streaming", {{"reason", interrupted.what()}});
  } catch (const PgError& error) {
    // A statement that was cancelled because we were asked to end is no failure.
    if (!signals.token().stop_requested() || error.sqlstate() != "57014") throw;
    log_event(LogLevel::kInfo, "stopped before streaming", {{"reason", error.what()}});
  }
  if (done) return 0;
  log_event(LogLevel::kWarn, "stopped before everything was applied");
  return static_cast<int>(StopCode::kIncomplete);
}

}  // namespace teal
