#include "tools/run_command.h"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "engine/link.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/spill_file.h"
#include "tools/copy_step.h"
#include "tools/exit_code.h"
#include "tools/link_facts.h"
#include "tools/lock_keeper.h"
#include "tools/provision.h"
#include "tools/publication_watch.h"
#include "tools/signals.h"
#include "tools/source_watch.h"
#include "tools/sync_point.h"
#include "tools/table_joiner.h"
#include "tools/wiring.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kLook{200};          // how often the sidecar looks at its links
constexpr std::chrono::milliseconds kLookAround{5'000};  // at what is outside of them
constexpr std::chrono::milliseconds kDrainPatience{12'000};

class Sidecar {
 public:
  Sidecar(const RunOptions& options, LockKeeper& lock, std::stop_token stop)
      : options_(options), lock_(lock), stop_(std::move(stop)), names_(forward_link(options.config)) {}

  /// Returns whether it did all that it was asked for: with --until-synced, whether that was reached.
  bool run() {
    provision(options_.config, stop_, options_.no_copy ? PreflightMode::kNoCopy : PreflightMode::kWithCopy);
    // What comes later joins the stream while it runs; the first copy goes before it.
    if (!has_streamed() || options_.no_copy) {
      CopyStep(options_.config, names_, options_.quiet, stop_).run(options_.no_copy);
    }
    if (stop_.stop_requested()) return !options_.until_synced;
    const std::unique_ptr<Link> link = make_link(options_.config, names_);
    link->start();
    const bool synced = watch(*link);
    end(*link);
    if (link->stopped_by()) std::rethrow_exception(link->stopped_by());
    log_event(LogLevel::kInfo, "stopped", {{"link", names_.link}});
    return synced || !options_.until_synced;
  }

 private:
  bool has_streamed() {
    PgConnection green = PgConnection::connect(connect_options(options_.config, false, "run"));
    const std::optional<LinkRow> row = read_link_row(green, names_);
    return row && row->counters != "{}";
  }

  // Returns true when everything that --until-synced asks for was reached.
  bool watch(Link& link) {
    PublicationWatch publication(options_.config, names_, stop_);
    SourceWatch source(options_.config, names_, link, stop_);
    const TableJoiner joiner(options_.config, names_, link);
    std::optional<SyncPoint> sync;
    auto looked = std::chrono::steady_clock::now();
    std::chrono::milliseconds look_around = kLookAround;
    while (!stop_.stop_requested() && !link.wait_ended(kLook)) {
      if (options_.until_synced && reached(joiner, sync) && publication.check()) {
        log_event(LogLevel::kInfo, "synced", {{"link", names_.link}});
        return true;
      }
      source.look();
      const auto now = std::chrono::steady_clock::now();
      if (now - looked < look_around) continue;
      publication.check();
      looked = std::chrono::steady_clock::now();
      look_around = rest_after(looked - now, kLookAround);
    }
    return false;
  }

  bool reached(const TableJoiner& joiner, std::optional<SyncPoint>& sync) {
    const std::string problem = joiner.problem();
    if (!problem.empty()) throw Stopped(StopCode::kData, "tables cannot join link " + names_.link + ":\n" + problem);
    if (!sync && joiner.all_joined()) sync.emplace(options_.config, names_);
    return sync && sync->reached();
  }

  // Drains; a target that is stuck is not waited for longer than that: what was not applied is read again next time.
  // Nothing is drained into the sessions of another teal.
  void end(Link& link) {
    link.request_stop();
    if (!lock_.lost() && link.wait_ended(kDrainPatience)) return;
    log_event(LogLevel::kWarn, "not drained, ending", {{"link", link.name()}});
    link.request_stop();
    while (!link.wait_ended(kLook)) {
    }
  }

  const RunOptions& options_;
  LockKeeper& lock_;
  std::stop_token stop_;
  LinkNames names_;
};

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
