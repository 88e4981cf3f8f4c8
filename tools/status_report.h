#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decoder/lsn.h"
#include "engine/clock_skew.h"
#include "engine/config.h"
#include "engine/pg_connection.h"
#include "tools/conflict_rows.h"
#include "tools/cutover_journal.h"
#include "tools/kept_verdicts.h"
#include "tools/link_facts.h"
#include "tools/quarantine_rows.h"
#include "tools/verify_progress.h"

namespace teal {

/// A table as status shows it.
struct TableStatus {
  TableName name;
  TableCopyState copy;
};

/// One link, read from its two databases.
struct LinkStatus {
  std::string link;
  std::string source;        ///< blue or green
  std::string phase;         ///< copying, starting, streaming, observing, stopped
  bool active = false;       ///< a sidecar reads the slot
  Lsn source_lsn;            ///< where the source writes
  double stale_seconds = 0;  ///< since the source was as the target is now, by the source's clock
  LinkRow progress;
  std::optional<SlotFacts> slot;
  std::vector<TableStatus> tables;
  std::int64_t copied_rows = 0;   ///< also of tables that are not selected any more
  std::int64_t copied_bytes = 0;  ///< the same
  QuarantineCounts quarantine;
  ConflictTotals conflicts;
  nlohmann::json counters;  ///< as the sidecar wrote them; an object

  /// WAL that the source has written and the target has not applied. Units: bytes.
  [[nodiscard]] std::uint64_t lag_bytes() const { return bytes_between(progress.applied, source_lsn); }
  /// As the sidecar measured it, or 0 when nothing is behind; nullopt when nobody knows.
  [[nodiscard]] double lag_seconds() const;
  /// When the slot may be lost, if the source goes on writing as it did while the lag grew. Units: seconds.
  [[nodiscard]] std::optional<double> lost_in_seconds() const;
  [[nodiscard]] std::size_t copied_count() const;
};

/// Reads one link. nullopt when it is not set up. Errors: PgError.
[[nodiscard]] std::optional<LinkStatus> read_link_status(const LinkNames& link, PgConnection& source,
                                                         PgConnection& target);
/// The links that the migration has: to green, and the way back. Empty when nothing is set up. Errors: PgError.
[[nodiscard]] std::vector<LinkStatus> read_links(const Config& config, PgConnection& blue, PgConnection& green);

/// A migration, with what concerns all of its links.
struct MigrationStatus {
  std::string name = {};
  std::vector<LinkStatus> links = {};
  ClockSkew skew = {};  ///< of blue's and green's clocks
  std::optional<LastVerify> verify = {};
  std::chrono::milliseconds verify_max_age{0};
  std::optional<VerifyRunning> verifying = {};
  CutoverHistory cutovers = {};
};

/// What was compared last, and what of the links' tables was not. Errors: PgError.
[[nodiscard]] std::optional<LastVerify> read_verify_of(std::span<const LinkStatus> links, const std::string& name,
                                                       PgConnection& green);

/// One screen for people, with line ends.
[[nodiscard]] std::string status_text(const MigrationStatus& status);

/// The same for machines; of a migration that is not set up, that it has no links.
[[nodiscard]] nlohmann::ordered_json status_json(const MigrationStatus& status);

/// `1.5 MiB`. Units: bytes.
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

}  // namespace teal
