#include "applier/progress_row.h"

#include <nlohmann/json.hpp>

#include "engine/pg_error.h"
#include "engine/time_text.h"

namespace teal {
namespace {

nlohmann::json to_json(const ProgressRow& row) {
  const Ledger& ledger = row.ledger;
  return {{"received", ledger.received},
          {"applied", ledger.applied},
          {"own", ledger.own},
          {"filtered", ledger.filtered},
          {"below_watermark", ledger.below_watermark},
          {"already_applied", ledger.already_applied},
          {"quarantined", ledger.quarantined},
          {"conflict_lost", ledger.conflict_lost},
          {"transactions", ledger.transactions},
          {"batches", ledger.batches},
          {"contended", ledger.contended},
          {"last_commit_time", to_string(row.max_commit_time)},
          {"fresh_at", to_string(row.fresh_at)},
          {"source_timeline", row.source_timeline},
          {"last_commit", {{"end_lsn", to_string(row.last_commit.end_lsn)}, {"xid", row.last_commit.xid.value}}},
          {"values", row.binary ? "binary" : "text"}};
}

Ledger ledger_from(const nlohmann::json& json) {
  Ledger ledger;
  ledger.received = json.value("received", std::uint64_t{0});
  ledger.applied = json.value("applied", std::uint64_t{0});
  ledger.own = json.value("own", std::uint64_t{0});
  ledger.filtered = json.value("filtered", std::uint64_t{0});
  ledger.below_watermark = json.value("below_watermark", std::uint64_t{0});
  ledger.already_applied = json.value("already_applied", std::uint64_t{0});
  ledger.quarantined = json.value("quarantined", std::uint64_t{0});
  ledger.conflict_lost = json.value("conflict_lost", std::uint64_t{0});
  ledger.transactions = json.value("transactions", std::uint64_t{0});
  ledger.batches = json.value("batches", std::uint64_t{0});
  ledger.contended = json.value("contended", std::uint64_t{0});
  return ledger;
}

}  // namespace

ProgressRow read_progress(PgConnection& target, std::string_view migration, std::string_view link) {
  const Rows rows =
      target.exec("read the progress row",
                  "SELECT applied, held, coalesce((extract(epoch FROM max_commit_time - '2000-01-01 00:00:00+00') * "
                  "1000000)::bigint, 0), source_system_id, counters, seen, held_seen, coalesce((extract(epoch FROM "
                  "held_time - '2000-01-01 00:00:00+00') * 1000000)::bigint, 0) FROM teal.progress WHERE migration = "
                  "$1 AND link = $2 AND lane = 0",
                  {std::string(migration), std::string(link)});
  if (rows.size() != 1) {
    throw Stopped(StopCode::kRefused, "link " + std::string(link) + ": teal.progress on " + target.label() +
                                          " has no row for it; run `teal init` first");
  }
  ProgressRow row;
  row.applied = parse_lsn(rows.at(0, 0)).value_or(Lsn{});
  row.held = parse_lsn(rows.at(0, 1)).value_or(Lsn{});
  row.max_commit_time = Timestamp{rows.integer(0, 2)};
  row.source_system_id = rows.str(0, 3);
  row.seen = parse_lsn(rows.at(0, 5)).value_or(Lsn{});
  row.held_seen = parse_lsn(rows.at(0, 6)).value_or(Lsn{});
  row.held_time = Timestamp{rows.integer(0, 7)};
  const auto counters = nlohmann::json::parse(rows.at(0, 4));
  row.ledger = ledger_from(counters);
  row.source_timeline = counters.value("source_timeline", 0U);
  if (const auto mark = counters.find("last_commit"); mark != counters.end()) {
    row.last_commit = {parse_lsn(mark->value("end_lsn", std::string())).value_or(Lsn{}),
                       Xid{mark->value("xid", std::uint32_t{0})}};
  }
  return row;
}

std::size_t send_progress(PgPipeline& pipeline, const ProgressRow& row, std::string_view migration,
                          std::string_view link) {
  static const std::string kUpdate =
      "UPDATE teal.progress SET applied = $1, held = $2, max_commit_time = $3, seen = $4, held_time = $5, held_seen = "
      "$6, counters = $7, updated_at = clock_timestamp() WHERE migration = $8 AND link = $9 AND lane = 0";
  return pipeline.query_often("write the progress row", kUpdate,
                              {to_string(row.applied), to_string(row.held), to_string(row.max_commit_time),
                               to_string(row.seen), to_string(row.held_time), to_string(row.held_seen),
                               to_json(row).dump(), std::string(migration), std::string(link)});
}

}  // namespace teal
