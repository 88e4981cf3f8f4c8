#include "applier/quarantine.h"

#include <algorithm>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

Lsn lsn_at(const Rows& rows, int row, int column) {
  const auto lsn = parse_lsn(rows.at(row, column));
  if (!lsn) throw Stopped(StopCode::kBug, "teal.quarantine holds an LSN that cannot be read");
  return *lsn;
}

// What is passed over with all of its transaction is passed over too.
bool was_skipped(std::int64_t id, const SkippedChanges& skips, std::span<const std::int64_t> skipped) {
  const auto has = [&](std::int64_t wanted) {
    return std::find(skipped.begin(), skipped.end(), wanted) != skipped.end();
  };
  const auto whole = skips.by_position.find(0);
  return has(id) || (whole != skips.by_position.end() && has(whole->second.id));
}

}  // namespace

std::string to_string(const RefusedChange& change) {
  std::string text = change.table.empty() ? std::string(kWholeTransaction) : change.operation + " on " + change.table;
  if (!change.key.empty()) text += " key " + change.key;
  if (change.position > 0) text += " at LSN " + to_string(change.lsn);
  text += ": " + change.message;
  return change.sqlstate.empty() ? text : text + " (SQLSTATE " + change.sqlstate + ")";
}

std::int64_t SkippedChanges::id_of(Lsn lsn, std::uint64_t position) const {
  auto found = by_position.find(0);
  if (found != by_position.end()) return found->second.id;
  found = by_position.find(position);
  if (found == by_position.end()) return 0;
  if (found->second.lsn != lsn) {
    throw Stopped(StopCode::kRefused, "row " + std::to_string(found->second.id) + " of teal.quarantine names change " +
                                          std::to_string(position) + " of its transaction at LSN " +
                                          to_string(found->second.lsn) + ", and the source has that one at LSN " +
                                          to_string(lsn) + ": nothing is passed over; use teal quarantine retry " +
                                          std::to_string(found->second.id));
  }
  return found->second.id;
}

void Quarantine::read() {
  const Rows rows = connection_.exec("read what is in quarantine",
                                     "SELECT id, commit_lsn, position, lsn, state FROM teal.quarantine WHERE migration "
                                     "= $1 AND link = $2 AND state IN ('stopped', 'retry', 'skip')",
                                     {names_.migration, names_.link});
  for (int i = 0; i < rows.size(); ++i) {
    Open& open = open_[lsn_at(rows, i, 1)];
    open.ids.push_back(rows.integer(i, 0));
    if (rows.at(i, 4) != "skip") continue;
    const auto position = static_cast<std::uint64_t>(rows.integer(i, 2));
    open.skips.by_position[position] = {rows.integer(i, 0), lsn_at(rows, i, 3)};
  }
}

const SkippedChanges* Quarantine::skips(Lsn commit_lsn) const {
  const auto found = open_.find(commit_lsn);
  return found == open_.end() || found->second.skips.by_position.empty() ? nullptr : &found->second.skips;
}

Settlement Quarantine::settlement(Lsn applied, std::span<const std::int64_t> skipped) const {
  std::string values;
  std::uint64_t count = 0;
  for (auto open = open_.begin(); open != open_.end() && open->first < applied; ++open) {
    for (const std::int64_t id : open->second.ids) {
      const bool over = was_skipped(id, open->second.skips, skipped);
      values += (values.empty() ? "(" : ", (") + std::to_string(id) + (over ? ", 'skipped')" : ", 'resolved')");
      ++count;
    }
  }
  if (count == 0) return {};
  return {"UPDATE teal.quarantine AS q SET state = v.state, at = clock_timestamp() FROM (VALUES " + values +
              ") AS v (id, state) WHERE q.id = v.id",
          count};
}

void Quarantine::passed(Lsn applied, std::span<const std::int64_t> skipped) {
  while (!open_.empty() && open_.begin()->first < applied) {
    const auto& [commit_lsn, open] = *open_.begin();
    for (const std::int64_t id : open.ids) {
      const bool over = was_skipped(id, open.skips, skipped);
      log_event(over ? LogLevel::kWarn : LogLevel::kInfo,
                over ? "stopped change passed over" : "stopped change went through",
                {{"link", names_.link}, {"id", id}, {"commit_lsn", to_string(commit_lsn)}});
    }
    open_.erase(open_.begin());
  }
}

std::int64_t Quarantine::record(const TransactionFacts& facts, const RefusedChange& change) {
  connection_.exec("begin", "BEGIN");
  // The session commits without waiting for the disk; whoever is told of this row shall find it.
  connection_.exec("flush the next commit", "SET LOCAL synchronous_commit = local");
  const Rows rows = connection_.exec(
      "note where the link stopped",
      "INSERT INTO teal.quarantine AS q (migration, link, commit_lsn, position, lsn, xid, table_name, operation, key, "
      "sqlstate, message, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'stopped') "
      "ON CONFLICT (migration, link, commit_lsn, position) DO UPDATE SET lsn = excluded.lsn, table_name = "
      "excluded.table_name, operation = excluded.operation, key = excluded.key, sqlstate = excluded.sqlstate, message "
      "= excluded.message, state = 'stopped', times = q.times + 1, at = now() RETURNING id",
      {names_.migration, names_.link, to_string(facts.final_lsn), std::to_string(change.position),
       to_string(change.position == 0 ? facts.final_lsn : change.lsn), std::to_string(facts.xid.value), change.table,
       change.operation, change.key, change.sqlstate, change.message});
  connection_.exec("commit", "COMMIT");
  return rows.integer(0, 0);
}

}  // namespace teal
