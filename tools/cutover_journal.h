#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "engine/pg_connection.h"

namespace teal {

/// How far a cutover has come.
enum class CutoverState {
  kPreparing,  ///< nothing is held back yet
  kPausing,    ///< writes may be held back; nobody writes on the other side yet
  kMoved,      ///< decided: the side that is left takes no writes any more
  kDone,
  kUndone,  ///< the side that was to be left takes writes as before
};

/// As it stands in teal.cutover_journal: preparing, pausing, moved, done, undone.
[[nodiscard]] std::string_view to_string(CutoverState state);

/// One row of teal.cutover_journal.
struct CutoverEntry {
  std::int64_t number = 0;  ///< counts from 1
  std::string to;           ///< blue or green
  CutoverState state = CutoverState::kPreparing;
  nlohmann::json details = nlohmann::json::object();  ///< what the report says in the end: see cutover_report.h
  std::string started_at = {};                        ///< timestamptz as text
  double seconds_ago = 0;                             ///< since it was written last, by that side's clock

  [[nodiscard]] bool ended() const { return state == CutoverState::kDone || state == CutoverState::kUndone; }
  /// The side that is left.
  [[nodiscard]] std::string from() const { return to == "green" ? "blue" : "green"; }
};

/// Writes the row, or over it. Within the open transaction, if there is one. Errors: PgError; Stopped(kBug) when it was
/// not written.
void note_cutover(PgConnection& side, const std::string& migration, const CutoverEntry& entry);

/// The newest one of this side; nullopt: none was begun, or an older teal made the schema. Errors: PgError.
[[nodiscard]] std::optional<CutoverEntry> read_last_cutover(PgConnection& side, const std::string& migration);

/// What both sides know together.
struct CutoverHistory {
  /// The newest one, as the side that it leaves has it: that side's word is what counts.
  std::optional<CutoverEntry> last;
  std::string writes_on = "blue";  ///< where applications write, by all that was decided
  /// Since the writes were last moved without a link back, by the server's clock: what was written since then is on one
  /// side alone, unless a comparison that is younger has found both equal. Units: seconds.
  std::optional<double> one_sided_seconds;
};
[[nodiscard]] CutoverHistory read_cutovers(PgConnection& blue, PgConnection& green, const std::string& migration);

}  // namespace teal
