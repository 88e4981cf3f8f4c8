#pragma once
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// A row of teal.conflict_log, by the side where it was decided and its number there: `b17`, `g4`.
struct ConflictId {
  bool blue = false;
  std::int64_t number = 0;
};
[[nodiscard]] std::string to_string(const ConflictId& id);
/// Errors: nullopt for anything else than b or g and a number from 1.
[[nodiscard]] std::optional<ConflictId> parse_conflict_id(std::string_view text);

/// A row of teal.conflict_log. See applier/conflict_log.h.
struct ConflictRow {
  ConflictId id;
  std::string at;          ///< timestamptz as text, like all times here
  std::string type;        ///< PostgreSQL's name for it
  std::string table;       ///< schema.table
  std::string key;         ///< `("id")=(42)`
  std::string resolution;  ///< applied: the incoming change; kept: what stood there
  std::string source_lsn;  ///< of the incoming change's commit
  std::string source_time;
  std::string target_lsn;  ///< of the commit that the standing version is from
  std::string target_time;
  std::optional<std::string> incoming_row;  ///< JSON object; nullopt: there is none, or it is not logged
  std::optional<std::string> standing_row;

  [[nodiscard]] const char* link() const { return id.blue ? "green_to_blue" : "blue_to_green"; }
  /// Whose version is there now, as far as this conflict decides it.
  [[nodiscard]] const char* stays() const { return (resolution == "kept") == id.blue ? "blue" : "green"; }
};

/// Which conflicts to list.
struct ConflictFilterOptions {
  std::int64_t limit = 50;                         ///< the newest
  std::optional<std::string> table;                ///< schema.table, as it stands in the log
  std::optional<std::chrono::milliseconds> since;  ///< so long before now
};

/// How many conflicts were decided, also those whose rows are deleted.
struct ConflictTotals {
  std::int64_t applied = 0;
  std::int64_t kept = 0;
};

/// Those of one table and type.
struct ConflictKind {
  std::string table;
  std::string type;
  ConflictTotals totals;
};

/// What one link decided.
struct ConflictStats {
  std::string link;
  std::string side;  ///< where it did, and where its log is
  std::vector<ConflictKind> kinds;
  std::int64_t logged = 0;            ///< rows in the log now
  std::optional<std::string> oldest;  ///< of these

  [[nodiscard]] ConflictTotals totals() const;
};

/// Of one side's log, newest first, without rows. Empty when there is no such table yet. Errors of all: PgError.
[[nodiscard]] std::vector<ConflictRow> read_conflicts(PgConnection& side, const std::string& migration, bool blue,
                                                      const ConflictFilterOptions& options);
/// With its rows; nullopt: there is none.
[[nodiscard]] std::optional<ConflictRow> read_conflict(PgConnection& side, const std::string& migration,
                                                       const ConflictId& id);
[[nodiscard]] ConflictStats read_conflict_stats(PgConnection& target, const LinkNames& link);
[[nodiscard]] ConflictTotals read_conflict_totals(PgConnection& target, const LinkNames& link);

/// For people, with line ends. `more`: there are older ones.
[[nodiscard]] std::string conflicts_text(const std::vector<ConflictRow>& rows, bool more);
[[nodiscard]] std::string conflict_text(const ConflictRow& row);
[[nodiscard]] std::string conflict_stats_text(const std::vector<ConflictStats>& links);
/// For machines.
[[nodiscard]] nlohmann::ordered_json conflicts_json(const std::string& name, const std::vector<ConflictRow>& rows,
                                                    bool more);
[[nodiscard]] nlohmann::ordered_json conflict_json(const ConflictRow& row);
[[nodiscard]] nlohmann::ordered_json conflict_stats_json(const std::string& name,
                                                         const std::vector<ConflictStats>& links);

}  // namespace teal
