#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "tools/conflict_rows.h"
#include "tools/cutover_watch.h"

namespace teal {

/// What the global flags say that is not configuration.
struct OutputOptions {
  bool json = false;
  bool quiet = false;
};

struct StatusOptions {
  bool watch = false;
};

struct FinishOptions {
  bool force = false;   ///< go on when one side cannot be reached
  bool yes = false;     ///< do not ask
  std::string archive;  ///< file to dump the side that was left into, first; "": none
};

struct VerifyOptions {
  std::vector<std::string> tables;                    ///< see read_table_list
  std::optional<int> jobs;                            ///< nullopt: as configured
  std::optional<std::chrono::milliseconds> patience;  ///< for rows that keep changing; nullopt: 10 s
  bool exact = false;                                 ///< rows are hashed here, and all unique indexes looked at
  bool blocks = false;                                ///< name each range and what it came to
  bool rows_only = false;                             ///< nothing but rows
  std::string state;                                  ///< file to note what was compared in; "": none
  std::string report;                                 ///< file for the report, as JSON or HTML by its ending; "": none
  std::string repair;                                 ///< the side that is right, blue or green; "": nothing is written
  bool dry_run = false;                               ///< with `repair`: the plan only
};

enum class QuarantineAction { kList, kRetry, kSkip };

struct QuarantineOptions {
  QuarantineAction action = QuarantineAction::kList;
  std::int64_t id = 0;  ///< of the row in teal.quarantine
  std::string link;     ///< whose; "": of the one that has such a row
  bool yes = false;     ///< do not ask
};

enum class ConflictsAction { kList, kShow, kStats };

struct ConflictsOptions {
  ConflictsAction action = ConflictsAction::kList;
  ConflictFilterOptions filter;  ///< of kList
  ConflictId id;                 ///< of kShow
};

struct SequencesOptions {
  std::string to = "green";  ///< whose are moved: blue or green
  std::int64_t margin = 0;   ///< see SequenceSyncOptions
  bool dry_run = false;
};

struct CutoverOptions {
  std::string to = "green";                           ///< blue or green
  bool dry_run = false;                               ///< look and measure only
  bool unverified = false;                            ///< whatever is known of a comparison
  bool no_way_back = false;                           ///< without a link back
  bool fence = false;                                 ///< of the side that is left, also where both take writes
  bool recover = false;                               ///< only end what an earlier one has left
  bool yes = false;                                   ///< do not ask
  std::optional<std::chrono::milliseconds> guarding;  ///< as the guard of another process, see CutoverGuard
  // nullopt: as configured.
  std::optional<std::chrono::milliseconds> max_lag;
  std::optional<std::chrono::milliseconds> pause_budget;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<int> tries;
  std::optional<std::chrono::milliseconds> watch;  ///< how long to look after it; nullopt: not
  std::vector<WatchCondition> rollback_on;         ///< with `watch`: move back by itself when one of these is so
  std::string report;                              ///< file for the report, as JSON or HTML by its ending; "": none
};

struct TailOptions {
  std::string side = "blue";                      ///< whose changes: blue or green
  std::vector<std::string> tables;                ///< see read_table_list
  std::string format;                             ///< text, json, or "": by whether a terminal reads
  std::optional<std::chrono::milliseconds> time;  ///< nullopt: no end
  std::uint64_t count = 0;                        ///< of transactions; 0: no end
};

// Each command returns its exit code (docs/reference.md) and throws Stopped or PgError for what ends it early.

/// Prints everything that is missing on both sides, with what mends it. Changes nothing.
int check_command(const Config& config, const OutputOptions& output);
/// Creates what teal needs on both sides.
int init_command(const Config& config, const OutputOptions& output);
/// Compares the rows of both sides, and writes those of one of them as they are on the other, if asked to.
/// Exit 0: equal (by then); 1: they differ; 3: not everything could be checked, or repaired.
int verify_command(const Config& config, const OutputOptions& output, const VerifyOptions& options);
/// Prints where the migration stands, from the two databases alone.
int status_command(const Config& config, const OutputOptions& output, const StatusOptions& options);
/// Moves one side's sequences behind what the other side has drawn. Exit 0: all of them are; 1: some could not be.
int sequences_command(const Config& config, const OutputOptions& output, const SequencesOptions& options);
/// Moves the applications' writes to one side, or leaves all as it was. `flags`: as the command line had them, for the
/// process that guards this one. Exit 0: moved (with `dry_run`: it could be); 1: refused or undone.
int cutover_command(const Config& config, const OutputOptions& output, const CutoverOptions& options,
                    const ConfigFlags& flags);
/// Prints what is committed on one side from now on, until it is interrupted or has printed what was asked for.
int tail_command(const Config& config, const OutputOptions& output, const TailOptions& options);
/// Shows the changes at which a link stopped, and takes the operator's word on them.
int quarantine_command(const Config& config, const OutputOptions& output, const QuarantineOptions& options);
/// Shows the conflicts that were decided on both sides, and how many there were.
int conflicts_command(const Config& config, const OutputOptions& output, const ConflictsOptions& options);
/// Removes everything that teal created, on both sides.
int finish_command(const Config& config, const OutputOptions& output, const FinishOptions& options);
/// Prints version, build, libpq and the supported servers.
int version_command(const OutputOptions& output);

}  // namespace teal
