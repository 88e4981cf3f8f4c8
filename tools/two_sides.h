#pragma once
#include <atomic>
#include <cstddef>

#include "applier/side_changes.h"
#include "conflict/decide.h"
#include "engine/config.h"
#include "engine/names.h"

namespace teal {

/// What the two links of a migration share. Lifetime: outlives both. Threads: any.
class TwoSides {
 public:
  /// `binary`: how both streams send values. It is one form for both, and stays what it is, because keys are compared
  /// by it.
  TwoSides(const Config& config, bool binary);

  /// What applications changed on the link's source, and on its target.
  [[nodiscard]] SideChanges& source_of(const LinkNames& link) { return link.link == kBlueToGreen ? blue_ : green_; }
  [[nodiscard]] SideChanges& target_of(const LinkNames& link) { return link.link == kBlueToGreen ? green_ : blue_; }
  [[nodiscard]] static Side source_side(const LinkNames& link) {
    return link.link == kBlueToGreen ? Side::kBlue : Side::kGreen;
  }

  /// What is known of changes that the other side may not have seen. Units: bytes of memory.
  [[nodiscard]] std::size_t bytes() const { return blue_.bytes() + green_.bytes(); }

  /// Of one of the sides, as much is known as may be.
  [[nodiscard]] bool full() const { return blue_.full() || green_.full(); }

  [[nodiscard]] bool binary() const { return binary_; }
  /// A link cannot go on with binary values: both have to begin anew, with others of these.
  void need_text() { text_needed_ = true; }
  [[nodiscard]] bool text_needed() const { return binary_ && text_needed_; }

 private:
  const bool binary_;
  std::atomic<bool> text_needed_{false};
  SideChanges blue_;
  SideChanges green_;
};

}  // namespace teal
