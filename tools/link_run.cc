#include "tools/link_run.h"

#include <exception>

#include "engine/log.h"
#include "tools/wiring.h"

namespace teal {

LinkRun::LinkRun(const Config& config, const LinkNames& names, TwoSides* sides, ChangedKeys* changed,
                 const std::stop_token& stop)
    : config_(config),
      names_(names),
      link_(make_link(config, names, sides, changed)),
      publication_(config, names, stop),
      source_(config, names, *link_, stop) {
  link_->start();
}

void LinkRun::tell_end() {
  if (told_ || !ended() || !link_->stopped_by()) return;
  told_ = true;
  try {
    std::rethrow_exception(link_->stopped_by());
  } catch (const std::exception& error) {
    log_event(LogLevel::kError, "link stopped", {{"link", names_.link}, {"reason", error.what()}});
  }
}

bool LinkRun::synced() {
  if (!sync_) sync_.emplace(config_, names_);
  return sync_->reached();
}

}  // namespace teal
