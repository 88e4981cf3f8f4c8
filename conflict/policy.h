#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace teal {

/// Which of two concurrent versions of a row stays. All of them are orders on values that both sides know alike.
enum class ConflictPolicy : std::uint8_t {
  kLastUpdateWins,   ///< the later effective commit time
  kFirstUpdateWins,  ///< the earlier one, of the first change that the other side had not seen
  kBlueWins,
  kGreenWins,
  kVersionColumn,  ///< the higher value of a column, the highest that each side had reached
  kError,          ///< nobody's: the link stops
};

/// By its name in the configuration; kVersionColumn has none, naming the column is what chooses it.
/// Errors: nullopt for anything else.
[[nodiscard]] constexpr std::optional<ConflictPolicy> parse_conflict_policy(std::string_view name) {
  if (name == "last_update_wins") return ConflictPolicy::kLastUpdateWins;
  if (name == "first_update_wins") return ConflictPolicy::kFirstUpdateWins;
  if (name == "blue_wins") return ConflictPolicy::kBlueWins;
  if (name == "green_wins") return ConflictPolicy::kGreenWins;
  if (name == "error") return ConflictPolicy::kError;
  return std::nullopt;
}

/// What an incoming change meets. Names: PostgreSQL manual, "Logical Replication: Conflicts".
enum class ConflictType : std::uint8_t {
  kInsertExists,             ///< the key was inserted on the target, too
  kUpdateOriginDiffers,      ///< the row was changed on the target, too
  kUpdateExists,             ///< the new key is another row's on the target
  kUpdateMissing,            ///< the row is not on the target, nobody knows why
  kUpdateDeleted,            ///< the row was deleted on the target
  kDeleteOriginDiffers,      ///< the row was changed on the target
  kDeleteMissing,            ///< the row was deleted on the target, too
  kMultipleUniqueConflicts,  ///< several rows of the target are in the way
};

}  // namespace teal
