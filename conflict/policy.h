#pragma once
#include <cstdint>

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
