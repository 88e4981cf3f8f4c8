#include "tools/sidecar.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/continuous_verify.h"
#include "tools/copy_step.h"
#include "tools/link_facts.h"
#include "tools/provision.h"
#include "tools/sides_watch.h"
#include "tools/table_joiner.h"
#include "tools/way_back.h"
#include "tools/wiring.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{200};          // how often the sidecar looks at its links
constexpr milliseconds kLookAround{5'000};  // at what is outside of them
constexpr milliseconds kDrainPatience{12'000};

// What a comparison of both sides has to leave to the links.
constexpr milliseconds kStalled{3'000};
constexpr std::uint64_t kBacklogBytes = 16U << 20U;

std::string why_busy(const std::vector<std::unique_ptr<LinkRun>>& runs) {
  for (const auto& run : runs) {
    const Link& link = run->link();
    const std::string name = "link " + run->names().link;
    if (link.phase() != LinkPhase::kStreaming) return name + " does not stream";
    const Progress& progress = link.progress();
    if (progress.stalled_for() > kStalled) return name + " waits for its target";
    if (bytes_between(progress.durable(), progress.received()) > kBacklogBytes) return name + " has a backlog";
  }
  return "";
}

}  // namespace

Sidecar::Sidecar(const RunOptions& options, LockKeeper& lock, std::stop_token stop)
    : options_(options), lock_(lock), stop_(std::move(stop)), names_(forward_link(options.config)) {}

bool Sidecar::run() {
  provision(options_.config, stop_, options_.no_copy ? PreflightMode::kNoCopy : PreflightMode::kWithCopy);
  // What comes later joins the stream while it runs; the first copy goes before it.
  if (!has_streamed() || options_.no_copy) {
    CopyStep(options_.config, names_, options_.quiet, stop_).run(options_.no_copy);
  }
  if (stop_.stop_requested()) return !options_.until_synced;
  return options_.config.direction == Direction::kForward ? run_forward() : run_both();
}

bool Sidecar::has_streamed() {
  PgConnection green = PgConnection::connect(connect_options(options_.config, false, "run"));
  const std::optional<LinkRow> row = read_link_row(green, names_);
  return row && row->counters != "{}";
}

bool Sidecar::run_forward() {
  if (has_way_back(options_.config)) {
    throw Stopped(StopCode::kRefused,
                  "this migration has a link from green to blue, and the configuration says direction: forward: what "
                  "applications change on green could be overwritten; say direction: both, or end the migration with "
                  "teal finish");
  }
  return done(run_links({names_}, nullptr));
}

bool Sidecar::run_both() {
  if (!has_way_back(options_.config)) bring_level();
  bool binary =
      values_can_be_binary(options_.config, names_) && values_can_be_binary(options_.config, names_.reverse());
  while (!stop_.stop_requested()) {
    open_way_back(options_.config, stop_);
    TwoSides sides(options_.config, binary);
    const Outcome outcome = run_links({names_, names_.reverse()}, &sides);
    if (outcome != Outcome::kTextNeeded) return done(outcome);
    log_event(LogLevel::kInfo, "values are sent as text from now on, in both directions");
    binary = false;
  }
  return !options_.until_synced;
}

// Until green has everything that its copied rows hold: the stream begins before the copy does.
void Sidecar::bring_level() {
  if (is_level_with_copy(options_.config)) return;
  log_event(LogLevel::kInfo, "catching up with the copy before the way back is opened", {{"link", names_.link}});
  run_links({names_}, nullptr, true);
}

Sidecar::Outcome Sidecar::run_links(const std::vector<LinkNames>& links, TwoSides* sides, bool only_until_level) {
  LinkRuns runs;
  runs.reserve(links.size());
  for (const LinkNames& link : links) {
    ChangedKeys* changed = options_.config.verify.continuous ? &changed_ : nullptr;
    runs.push_back(std::make_unique<LinkRun>(options_.config, link, sides, changed, stop_));
  }
  const Outcome outcome = watch(runs, sides, only_until_level);
  end(runs);
  // Of several that stopped, only one can be what the command ends with.
  for (const auto& run : runs) {
    if (runs.size() > 1) run->tell_end();
  }
  for (const std::unique_ptr<LinkRun>& run : runs) {
    if (run->link().stopped_by()) std::rethrow_exception(run->link().stopped_by());
  }
  for (const LinkNames& link : links) log_event(LogLevel::kInfo, "stopped", {{"link", link.link}});
  return outcome;
}

Sidecar::Outcome Sidecar::watch(LinkRuns& runs, TwoSides* sides, bool only_until_level) {
  const TableJoiner joiner(options_.config, names_, runs.front()->link());
  const SidesWatch sides_watch(options_.config);
  WayBackTables way_back(options_.config, stop_);
  std::optional<ContinuousVerify> verify;
  if (options_.config.verify.continuous && !only_until_level && !options_.until_synced) {
    std::vector<LinkNames> links;
    for (const auto& run : runs) links.push_back(run->names());
    verify.emplace(options_.config, std::move(links), changed_, [&runs] { return why_busy(runs); });
  }
  auto looked = std::chrono::steady_clock::now();
  milliseconds look_around = kLookAround;
  while (!stop_.stop_requested()) {
    const auto ended = std::count_if(runs.begin(), runs.end(), [](const auto& run) { return run->ended(); });
    if (ended == std::ssize(runs) || (ended > 0 && options_.until_synced)) return Outcome::kStopped;
    for (const auto& run : runs) run->tell_end();
    if (only_until_level && is_level_with_copy(options_.config)) return Outcome::kLevel;
    if (sides != nullptr && sides->text_needed()) return Outcome::kTextNeeded;
    if (options_.until_synced && !only_until_level && ended == 0 && all_synced(runs, joiner)) {
      for (const auto& run : runs) log_event(LogLevel::kInfo, "synced", {{"link", run->names().link}});
      return Outcome::kSynced;
    }
    for (const auto& run : runs) run->look_at_source();
    if (ended == 0) {
      runs.front()->link().wait_ended(kLook);
    } else {
      pause_for(kLook, stop_);
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < look_around) continue;
    for (const auto& run : runs) run->check_publication();
    if (sides != nullptr) {
      way_back.look();
      tell_memory(*sides);
    }
    looked = std::chrono::steady_clock::now();
    look_around = rest_after(looked - now, kLookAround);
  }
  return Outcome::kStopped;
}

// A link that stands still costs memory for each change that it does not bring.
void Sidecar::tell_memory(const TwoSides& sides) {
  const std::size_t bytes = sides.bytes();
  if (!sides.full()) {
    full_told_ = false;
  } else if (!std::exchange(full_told_, true)) {
    log_event(
        LogLevel::kWarn,
        "changes that the other side has not seen take apply.unseen_bytes_max: while their link stands still, the "
        "other one waits for it",
        {{"bytes", bytes}});
  }
  if (bytes < unseen_told_ * 2) {
    if (bytes < kUnseenBytes / 2) unseen_told_ = kUnseenBytes / 2;
    return;
  }
  unseen_told_ = bytes;
  log_event(LogLevel::kWarn, "changes that the other side has not seen take memory: look why a link stands still",
            {{"bytes", bytes}});
}

bool Sidecar::all_synced(LinkRuns& runs, const TableJoiner& joiner) {
  const std::string problem = joiner.problem();
  if (!problem.empty()) throw Stopped(StopCode::kData, "tables cannot join link " + names_.link + ":\n" + problem);
  return joiner.all_joined() && std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run->synced(); }) &&
         std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run->check_publication(); });
}

// Drains; a target that is stuck is not waited for longer than that: what was not applied is read again next time.
// Nothing is drained into the sessions of another teal.
void Sidecar::end(LinkRuns& runs) {
  for (const auto& run : runs) run->link().request_stop();
  const auto until = std::chrono::steady_clock::now() + kDrainPatience;
  for (const auto& run : runs) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
    if (!lock_.lost() && run->link().wait_ended(std::max(left, milliseconds(0)))) continue;
    log_event(LogLevel::kWarn, "not drained, ending", {{"link", run->names().link}});
    run->link().request_stop();
    while (!run->link().wait_ended(kLook)) {
    }
  }
}

}  // namespace teal
