#include "tools/marker_round.h"

#include "engine/catalog_columns.h"
#include "engine/log.h"
#include "engine/pause.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{1};

}  // namespace

std::optional<MarkerPassed> MarkerRound::pass(std::chrono::milliseconds time, const std::stop_token& stop) {
  const auto begin = steady_clock::now();
  const Rows made = source_.exec("send a marker through " + names_.link,
                                 "INSERT INTO teal.marker (migration, link) VALUES ($1, $2) RETURNING id, "
                                 "pg_current_wal_insert_lsn()",
                                 {names_.migration, names_.link});
  made_.push_back(made.str(0, 0));
  MarkerPassed passed{{}, made.str(0, 1), 0};
  std::string written_at;  // by the target, once the marker was seen
  for (;;) {
    if (written_at.empty()) {
      const Rows seen = target_.exec_often(
          "look for the marker of " + names_.link,
          "SELECT pg_current_wal_insert_lsn(), (p.counters ->> 'received')::bigint - (p.counters ->> 'own')::bigint "
          "FROM teal.marker_applied a JOIN teal.progress p ON p.migration = a.migration AND p.link = a.link AND p.lane "
          "= 0 WHERE a.migration = $1 AND a.link = $2 AND a.id = $3::bigint",
          {names_.migration, names_.link, made_.back()});
      if (!seen.empty()) {
        written_at = seen.str(0, 0);
        passed.from_outside = seen.integer(0, 1);
        flush_target();
      }
    }
    if (!written_at.empty()) {
      const Rows durable = target_.exec_often("look whether the marker is durable",
                                              "SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn", {written_at});
      if (durable.boolean(0, 0)) break;
    }
    if (steady_clock::now() - begin > time || !pause_for(kPoll, stop)) return std::nullopt;
  }
  passed.took = steady_clock::now() - begin;
  return passed;
}

// Links do not wait for their commits: where nobody else writes, the server flushes them when it comes to it, within
// 200 ms (wal_writer_delay) or three times that. A commit of one's own that does wait brings them along.
void MarkerRound::flush_target() {
  target_.exec_often("have " + target_.label() + " write its log", "SELECT pg_logical_emit_message(true, 'teal', '')",
                     {});
}

void MarkerRound::forget() noexcept {
  try {
    const std::string ids = text_array(made_);
    for (auto& [side, table] : {std::pair<PgConnection&, const char*>(source_, "marker"),
                                std::pair<PgConnection&, const char*>(target_, "marker_applied")}) {
      if (!side.usable()) continue;
      side.exec("delete markers",
                std::string("DELETE FROM teal.") + table +
                    " WHERE migration = $1 AND link = $2 AND id = ANY($3::text[]::bigint[])",
                {names_.migration, names_.link, ids});
    }
    made_.clear();
  } catch (const std::exception& error) {
    log_event(LogLevel::kDebug, "markers are left", {{"reason", error.what()}});
  }
}

}  // namespace teal
