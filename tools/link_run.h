#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>

#include "applier/changed_keys.h"
#include "engine/config.h"
#include "engine/link.h"
#include "engine/names.h"
#include "tools/publication_watch.h"
#include "tools/source_watch.h"
#include "tools/sync_point.h"
#include "tools/two_sides.h"

namespace teal {

/// A link that runs, and what looks after it. Threads: one, besides the link's own.
class LinkRun {
 public:
  /// Makes the link and starts it. `changed`: see make_link. Lifetime: `config`, `sides` and `changed` outlive it.
  LinkRun(const Config& config, const LinkNames& names, TwoSides* sides, ChangedKeys* changed,
          const std::stop_token& stop);

  [[nodiscard]] Link& link() { return *link_; }
  [[nodiscard]] const LinkNames& names() const { return names_; }

  /// To be called several times a second: sees a source that shuts down, and a slot that is about to be lost.
  void look_at_source() { source_.look(); }
  /// Every few seconds. Returns whether both sides could be asked. Errors: as PublicationWatch.
  bool check_publication() { return publication_.check(); }
  [[nodiscard]] bool ended() { return link_->wait_ended(std::chrono::milliseconds(0)); }
  /// Tells, once, that the link stopped by itself: for one of several.
  void tell_end();
  /// Everything that was committed on the source when this was first asked is durable on the target. Errors: PgError.
  [[nodiscard]] bool synced();

 private:
  const Config& config_;
  LinkNames names_;
  std::unique_ptr<Link> link_;
  PublicationWatch publication_;
  SourceWatch source_;
  std::optional<SyncPoint> sync_;
  bool told_ = false;
};

}  // namespace teal
