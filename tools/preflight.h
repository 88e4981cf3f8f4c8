#pragma once
#include <string>
#include <vector>

#include "engine/catalog.h"
#include "engine/config.h"
#include "engine/pg_connection.h"
#include "engine/pg_error.h"

namespace teal {

/// One thing that is missing.
struct Finding {
  std::string side;  ///< blue, green or local (this machine)
  std::string what;  ///< one sentence
  std::string mend;  ///< SQL, a setting, or words; never empty
  StopCode code = StopCode::kRefused;
};

/// What is going to happen once everything is there.
enum class PreflightMode {
  kWithCopy,  ///< green is filled from blue
  kNoCopy,    ///< green already holds blue's rows
  kJoin,      ///< some tables come later, while the link streams; teal makes none of them
};

struct PreflightReport {
  std::vector<Finding> findings;   ///< everything at once, in the order in which it should be mended
  std::vector<std::string> notes;  ///< what is good to know and stops nothing

  [[nodiscard]] bool ready() const { return findings.empty(); }
  /// 0 ready, else the code of the first finding that outranks: 4 before 2 before 1.
  [[nodiscard]] int exit_code() const;
  /// The findings as lines for people, without a line end.
  [[nodiscard]] std::string text() const;
};

/// Looks at both sides and this machine for everything that `run` needs. Changes nothing: what is tried is rolled back,
/// what a rollback would not undo is read from the catalogs.
/// Errors: none for what is missing or unreachable, that is a finding; Stopped(kUsage) for a pattern that matches
/// nothing; PgError when a connection breaks on the way.
[[nodiscard]] PreflightReport run_preflight(const Config& config, PreflightMode mode);

/// The part of it that is about a table which is to join a link that streams. Errors: PgError.
[[nodiscard]] PreflightReport check_joining(const Config& config, PgConnection& blue, PgConnection& green,
                                            const SourceTable& table);

}  // namespace teal
