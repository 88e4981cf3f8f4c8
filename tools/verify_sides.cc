#include "tools/verify_sides.h"

#include <set>

#include "engine/log.h"
#include "engine/pause.h"
#include "tools/link_facts.h"
#include "tools/sync_point.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{5};
constexpr std::chrono::milliseconds kLookForLink{200};

}  // namespace

Links find_links(const Config& config, PgConnection& blue, PgConnection& green) {
  Links links;
  for (const LinkNames& names : {forward_link(config), forward_link(config).reverse()}) {
    PgConnection& source = names.link == kBlueToGreen ? blue : green;
    const std::optional<SlotFacts> slot = read_slot(source, names.slot());
    if (slot) (slot->active_pid ? links.running : links.standing).push_back(names);
  }
  return links;
}

Links wait_for_links(const Config& config, PgConnection& blue, PgConnection& green, std::chrono::milliseconds patience,
                     const std::stop_token& stop) {
  const Clock::time_point deadline = Clock::now() + patience;
  Links links = find_links(config, blue, green);
  while (!links.standing.empty() && !links.running.empty() && Clock::now() < deadline &&
         pause_for(kLookForLink, stop)) {
    links = find_links(config, blue, green);
  }
  return links;
}

bool pass_markers(const Config& config, const std::vector<LinkNames>& links, Clock::time_point deadline,
                  const std::stop_token& stop) {
  std::vector<SyncPoint> points;
  points.reserve(links.size());
  for (const LinkNames& names : links) points.emplace_back(config, names);
  for (SyncPoint& point : points) {
    while (!point.applied()) {
      if (Clock::now() >= deadline || !pause_for(kLook, stop)) return false;
    }
  }
  return true;
}

void leave_out_uncopied(const Config& config, PgConnection& green, std::vector<ComparedTable>& tables) {
  if (!read_link_row(green, forward_link(config))) return;
  std::set<TableName> pending;
  for (const auto& [name, state] : read_table_states(green, forward_link(config))) {
    if (state.state == "pending") pending.insert(state.target);
  }
  for (ComparedTable& table : tables) {
    if (!pending.contains(table.green.name)) continue;
    table.readable = false;
    table.obstacles.emplace_back("it is not copied yet");
  }
}

void choose_hashes(PgConnection& blue, PgConnection& green, HashedIn& hashed, std::vector<ComparedTable>& tables) {
  const HashTrial trial = try_hashes(blue, green);
  if (!trial.hashes.empty() && hashed == HashedIn::kServer) {
    log_event(LogLevel::kInfo, "rows are hashed here and not on the servers", {{"reason", trial.hashes}});
    hashed = HashedIn::kClient;
  } else if (!trial.values.empty() && hashed == HashedIn::kServer) {
    log_event(LogLevel::kInfo, "rows are hashed by their text, which takes longer", {{"reason", trial.values}});
    hashed = HashedIn::kServerText;
  }
  if (trial.text.empty()) return;
  for (ComparedTable& table : tables) {
    table.readable = false;
    table.obstacles.push_back(trial.text);
  }
}

}  // namespace teal
