#include "tools/run_command.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/link.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/run_lock.h"
#include "tools/copy_step.h"
#include "tools/exit_code.h"
#include "tools/link_facts.h"
#include "tools/provision.h"
#include "tools/publication_watch.h"
#include "tools/signals.h"
#include "tools/sync_point.h"
#include "tools/wiring.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kLockPatience{5'000};
constexpr std::chrono::milliseconds kLook{200};          // how often the sidecar looks at its links
constexpr std::chrono::milliseconds kLookAround{5'000};  // at what is outside of the link
constexpr std::chrono::milliseconds kDrainPatience{12'000};

class Sidecar {
 public:
  Sidecar(const RunOptions& options, std::stop_token stop)
      : options_(options), stop_(std::move(stop)), names_(forward_link(options.config)) {}

  int run() {
    RunLock lock(connect_options(options_.config, false, "run"), names_.migration, kLockPatience, stop_);
    provision(options_.config, stop_, options_.no_copy ? PreflightMode::kNoCopy : PreflightMode::kWithCopy);
    CopyStep(options_.config, names_, options_.quiet, stop_).run(options_.no_copy);
    if (stop_.stop_requested()) return 0;
    std::optional<SyncPoint> sync;
    if (options_.until_synced) sync.emplace(options_.config, names_);
    const std::unique_ptr<Link> link = make_link(options_.config, names_);
    PublicationWatch publication(options_.config, names_);
    link->start();
    watch(*link, lock, publication, sync);
    end(*link);
    if (link->stopped_by()) std::rethrow_exception(link->stopped_by());
    log_event(LogLevel::kInfo, "stopped", {{"link", names_.link}});
    return 0;
  }

 private:
  void watch(Link& link, RunLock& lock, PublicationWatch& publication, std::optional<SyncPoint>& sync) {
    auto checked = std::chrono::steady_clock::now();
    while (!stop_.stop_requested() && !link.wait_ended(kLook)) {
      if (sync && sync->reached()) {
        publication.check();
        log_event(LogLevel::kInfo, "synced", {{"link", names_.link}});
        return;
      }
      const auto now = std::chrono::steady_clock::now();
      if (now - checked < kLookAround) continue;
      checked = now;
      keep_lock(lock);
      publication.check();
    }
  }

  // Drains; a target that is stuck is not waited for longer than that: what was not applied is read again next time.
  static void end(Link& link) {
    link.request_stop();
    if (link.wait_ended(kDrainPatience)) return;
    log_event(LogLevel::kWarn, "not drained, ending", {{"link", link.name()}});
    link.request_stop();
    while (!link.wait_ended(kLook)) {
    }
  }

  // The session with the lock went with a restart of the target: the origins still fence, so take a new one.
  void keep_lock(RunLock& lock) {
    try {
      lock.check();
    } catch (const PgError& lost) {
      log_event(LogLevel::kWarn, "lock lost, taking it again", {{"reason", lost.what()}});
      try {
        lock = RunLock(connect_options(options_.config, false, "run"), names_.migration, kLockPatience, stop_);
      } catch (const std::exception& error) {
        // Held by our own lost session until the server notices, most likely; the origins fence meanwhile.
        log_event(LogLevel::kWarn, "lock not taken yet", {{"reason", error.what()}});
      }
    }
  }

  const RunOptions& options_;
  std::stop_token stop_;
  LinkNames names_;
};

}  // namespace

int run_command(const RunOptions& options) {
  const SignalStop signals;
  try {
    return Sidecar(options, signals.token()).run();
  } catch (const Interrupted& interrupted) {
    log_event(LogLevel::kInfo, "stopped before streaming", {{"reason", interrupted.what()}});
    return 0;
  } catch (const PgError& error) {
    // A statement that was cancelled because we were asked to end is no failure.
    if (signals.token().stop_requested() && error.sqlstate() == "57014") return 0;
    throw;
  }
}

}  // namespace teal
