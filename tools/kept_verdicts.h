#pragma once
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "tools/verify_findings.h"
#include "verifier/verifier.h"

namespace teal {

/// What a table's last comparison came to. Source: teal.verify_state, on green; tables are known by blue's names.
struct KeptVerdict {
  TableName table;
  TableVerdict verdict = TableVerdict::kUnchecked;
  std::int64_t rows = 0;
  std::int64_t differences = 0;  ///< named ones
  std::int64_t in_flux = 0;
  std::string reasons;      ///< why it was not fully checked, a line for each
  bool whole = false;       ///< nothing of it was left out, and nothing taken over from earlier runs
  std::string made_by;      ///< the command: verify or run
  std::string started_at;   ///< timestamptz as text; of the first of the runs that it comes from
  std::string finished_at;  ///< the same
  double seconds_ago = 0;   ///< since it started, by green's clock: what was written since then it need not have seen
};

/// Of all tables.
struct LastVerify {
  std::vector<KeptVerdict> tables;  ///< by name
  std::set<TableName> never;        ///< replicated tables that were not compared yet

  /// Differs when a table does, else unchecked when one is, or never was.
  [[nodiscard]] TableVerdict verdict() const;
  /// Of the table whose comparison began the longest ago. Units: seconds.
  [[nodiscard]] double age_seconds() const;
};

/// What a comparison came to, to be kept.
struct VerdictNote {
  const TableResult& result;
  std::chrono::steady_clock::duration took{};  ///< since it began
  bool whole = true;                           ///< false: it goes on, or parts were left out, or are of earlier runs
  std::string begun = {};              ///< when the first of these runs began, timestamptz as text; "": this one
  const BeyondRows* beyond = nullptr;  ///< what was found besides rows; nullptr: only rows were looked at
};

/// Replaces what is kept of these tables. What is not whole is not kept as equal; nor is a table with which something
/// is wrong besides rows, until somebody has looked at that again. Nothing is written where the migration was not set
/// up, or by a teal that did not know of such state. Errors: PgError.
void keep_verdicts(PgConnection& green, const Config& config, const std::string& made_by,
                   std::span<const VerdictNote> notes);

/// Forgets what is kept of other tables than these: they are not selected any more. Errors: PgError.
void forget_other_verdicts(PgConnection& green, const Config& config, std::span<const TableName> tables);

/// nullopt: the migration is not set up, or nothing was compared yet. `replicated`: green's tables of the link to it.
/// Errors: PgError.
[[nodiscard]] std::optional<LastVerify> read_last_verify(PgConnection& green, const std::string& migration,
                                                         const std::set<TableName>& replicated);

/// Lines of status, with line ends. `max_age`: as configured.
[[nodiscard]] std::string last_verify_text(const std::optional<LastVerify>& last, std::chrono::milliseconds max_age);

/// The same for machines; null when there is nothing.
[[nodiscard]] nlohmann::ordered_json last_verify_json(const std::optional<LastVerify>& last,
                                                      std::chrono::milliseconds max_age);

}  // namespace teal
