#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/pg_connection.h"
#include "tools/range_states.h"

namespace teal {

/// How far the comparison by `teal run` is, and what it has done since the migration was set up.
/// Source: teal.verify_progress, on green, as JSON.
struct VerifyProgress {
  std::string table;    ///< under way; "": between two passes
  std::string resting;  ///< why nothing is compared at the moment; "": it goes on
  std::uint64_t tables_done = 0;
  std::uint64_t tables = 0;
  std::uint64_t ranges_done = 0;  ///< of the table under way
  std::uint64_t ranges = 0;       ///< the same, about
  std::string range_states;       ///< the same, a character for each, see RangeStates
  std::uint64_t ranges_each = 1;  ///< that a character stands for
  /// Of all tables, as this `teal run` compared them last.
  RangeCounts last;
  std::uint64_t passes = 0;  ///< from here on: counters
  std::uint64_t rows = 0;    ///< of blue
  std::uint64_t compared_ranges = 0;
  std::uint64_t keys = 0;           ///< rows that were compared because they had been changed
  std::uint64_t differences = 0;    ///< rows that were found, each once as long as it differs
  std::uint64_t interruptions = 0;  ///< sessions that were lost, and statements that failed
};

/// As somebody else reads it.
struct VerifyRunning {
  VerifyProgress progress;
  double seconds_ago = 0;  ///< since it was written, by green's clock

  /// A `teal run` compares, or rests.
  [[nodiscard]] bool active() const { return seconds_ago < 30; }
};

/// Errors of both: PgError.
void keep_verify_progress(PgConnection& green, const std::string& migration, const VerifyProgress& progress);
/// nullopt: `teal run` has compared nothing yet.
[[nodiscard]] std::optional<VerifyRunning> read_verify_progress(PgConnection& green, const std::string& migration);

/// A line of status, with its end; "" when no `teal run` compares.
[[nodiscard]] std::string verify_running_text(const std::optional<VerifyRunning>& running);
/// The same for machines; null when there never was one.
[[nodiscard]] nlohmann::ordered_json verify_running_json(const std::optional<VerifyRunning>& running);

}  // namespace teal
