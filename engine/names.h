#pragma once
#include <string>
#include <string_view>

namespace teal {

/// Which direction a link serves, as it stands in the names of objects. Only tools choose one.
inline constexpr std::string_view kBlueToGreen = "blue_to_green";
inline constexpr std::string_view kGreenToBlue = "green_to_blue";

/// Names of everything that teal creates for one link. They are part of the contract with users.
struct LinkNames {
  std::string migration;  ///< the configuration's `name`
  std::string link;       ///< kBlueToGreen or kGreenToBlue

  /// The one in the other direction.
  [[nodiscard]] LinkNames reverse() const {
    return {migration, std::string(link == kBlueToGreen ? kGreenToBlue : kBlueToGreen)};
  }

  [[nodiscard]] std::string base() const { return "teal_" + migration + "_" + link; }
  /// All objects of the migration, and no others, start with this: a name has no underscore.
  [[nodiscard]] std::string migration_prefix() const { return "teal_" + migration + "_"; }
  [[nodiscard]] std::string slot() const { return base(); }
  [[nodiscard]] std::string publication() const { return base(); }
  [[nodiscard]] std::string control_publication() const { return base() + "_ctl"; }
  [[nodiscard]] std::string origin() const { return base(); }
  [[nodiscard]] std::string copy_origin(int worker) const { return base() + "_copy" + std::to_string(worker); }
  /// Of `teal verify --repair` where it writes to the link's target.
  [[nodiscard]] std::string repair_origin() const { return base() + "_repair"; }
  [[nodiscard]] std::string copy_slot() const { return base() + "_copy"; }
  [[nodiscard]] std::string tail_slot() const { return base() + "_tail"; }
  /// Origins on the link's SOURCE that start with this are teal's own: the other link writes there. Not the whole
  /// migration's, because the source may itself be the target of a migration of the same name, whose rows are foreign.
  [[nodiscard]] std::string own_origin_prefix() const { return reverse().base(); }
};

}  // namespace teal
