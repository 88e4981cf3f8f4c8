#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// A row of teal.quarantine: a change at which a link stopped. See applier/quarantine.h.
struct QuarantineRow {
  std::string link;
  std::int64_t id = 0;
  std::string state;  ///< stopped, retry, skip: open; skipped, resolved: the link has passed it
  std::string table;  ///< "": not known
  std::string operation;
  std::string key;
  std::string commit_lsn;
  std::string lsn;
  std::int64_t position = 0;  ///< 0: all of the transaction
  std::int64_t xid = 0;
  std::string sqlstate;
  std::string message;
  std::int64_t times = 0;
  std::string first_at;  ///< timestamptz as text
  std::string at;        ///< of the last stop, or of the end

  [[nodiscard]] bool open() const { return state == "stopped" || state == "retry" || state == "skip"; }
  /// `UPDATE on public.t key ("id")=(42)`; what is not plain is quoted.
  [[nodiscard]] std::string title() const;
};

/// How many changes a link stopped at, by what became of them.
struct QuarantineCounts {
  std::int64_t stopped = 0;
  std::int64_t retry = 0;
  std::int64_t skip = 0;
  std::int64_t skipped = 0;
  std::int64_t resolved = 0;

  [[nodiscard]] std::int64_t open() const { return stopped + retry + skip; }
};

/// In the order of their ids; empty when there is no such table yet. Errors: PgError.
[[nodiscard]] std::vector<QuarantineRow> read_quarantine(PgConnection& target, const LinkNames& link);
/// nullopt: there is none. Errors: PgError.
[[nodiscard]] std::optional<QuarantineRow> read_quarantined(PgConnection& target, const LinkNames& link,
                                                            std::int64_t id);
[[nodiscard]] QuarantineCounts count_quarantine(PgConnection& target, const LinkNames& link);

/// Sets an open row's state. Returns false when it is not open any more. Errors: PgError.
[[nodiscard]] bool mark_quarantined(PgConnection& target, const LinkNames& link, std::int64_t id,
                                    const std::string& state);

/// For people, with line ends, and with what can be done.
[[nodiscard]] std::string quarantine_text(const std::vector<QuarantineRow>& rows);
/// For machines.
[[nodiscard]] nlohmann::ordered_json quarantine_json(const std::string& name, const std::vector<QuarantineRow>& rows);

}  // namespace teal
