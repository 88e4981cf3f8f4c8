#include "tools/status_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "engine/pg_error.h"
#include "engine/time_text.h"
#include "tools/cutover_status.h"

namespace teal {
namespace {

// A position that the target reports as applied can be behind by what an idle source writes on its own.
std::string phase_of(const LinkStatus& status) {
  const bool all_copied = status.copied_count() == status.tables.size();
  if (!status.active) return "stopped";
  if (status.slot && status.slot->observed) return "observing";
  if (status.slot && status.slot->active_pid) return "streaming";  // tables that come later join meanwhile
  return all_copied ? "starting" : "copying";
}

std::string seconds_text(double seconds) {
  std::array<char, 40> text{};
  const int length = std::snprintf(text.data(), text.size(), seconds < 10 ? "%.1f s" : "%.0f s", seconds);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string slot_text(const LinkStatus& status) {
  if (!status.slot) return "missing: changes are lost, teal finish and start again";
  const SlotFacts& slot = *status.slot;
  std::string out = slot.wal_status.empty() ? "present" : slot.wal_status;
  if (slot.active_pid) out += ", read by pid " + std::to_string(*slot.active_pid);
  if (slot.restart) {
    out += ", keeps " + bytes_text(bytes_between(*slot.restart, status.source_lsn)) + " of WAL";
  }
  if (slot.safe_wal_bytes) {
    out += *slot.safe_wal_bytes > 0
               ? ", safe for another " + bytes_text(static_cast<std::uint64_t>(*slot.safe_wal_bytes))
               : ", may be lost at any moment";
    const std::optional<double> lost_in = status.lost_in_seconds();
    if (lost_in && *lost_in > 0) out += " or about " + seconds_text(*lost_in) + " at " + status.source + "'s rate";
  }
  return out;
}

// As long as there was none that an application made, the sidecar writes the beginning of PostgreSQL's time.
nlohmann::json last_commit_time(const nlohmann::json& counters) {
  const auto found = counters.find("last_commit_time");
  const std::string none = to_string(Timestamp{}).substr(0, std::string_view("2000-01-01 00:00:00").size());
  if (found == counters.end() || found->get<std::string>().starts_with(none)) return {};
  return *found;
}

// Its further lines belong to the table as well.
std::string indented(const std::string& lines) {
  std::string out;
  for (const char c : lines) out += c == '\n' ? "\n    " : std::string(1, c);
  return out;
}

std::string lag_text(const LinkStatus& status) {
  std::string out = bytes_text(status.lag_bytes());
  return out + ", " + seconds_text(status.lag_seconds());
}

std::string counters_text(const nlohmann::json& counters) {
  std::string out;
  for (const char* name : {"received", "applied", "own", "conflict_lost", "filtered", "below_watermark",
                           "already_applied", "quarantined", "transactions", "batches"}) {
    if (!counters.contains(name) || !counters[name].is_number()) continue;
    out += (out.empty() ? "" : ", ") + std::string(name) + " " + counters[name].dump();
  }
  return out.empty() ? "none yet" : out;
}

std::string quarantine_line(const QuarantineCounts& counts) {
  if (counts.open() + counts.skipped == 0) return "";
  std::string out = "quarantine " + std::to_string(counts.open()) + " open";
  if (counts.skip > 0) out += " (" + std::to_string(counts.skip) + " to be passed over at the next run)";
  if (counts.skipped > 0) out += ", " + std::to_string(counts.skipped) + " passed over";
  return out + (counts.open() > 0 ? ": teal quarantine list says what to do\n" : "\n");
}

std::string conflicts_line(const ConflictTotals& totals) {
  if (totals.applied + totals.kept == 0) return "";
  return "conflicts  applied " + std::to_string(totals.applied) + ", kept " + std::to_string(totals.kept) +
         ": teal conflicts list\n";
}

std::string clocks_line(const ClockSkew& skew) {
  std::array<char, 100> text{};
  const int length = std::snprintf(text.data(), text.size(), "clocks     green's is %.3f s %s blue's (within %.3f s)\n",
                                   std::abs(skew.seconds()), skew.ahead.count() < 0 ? "behind" : "ahead of",
                                   std::chrono::duration<double>(skew.error).count());
  return {text.data(), static_cast<std::size_t>(length)};
}

nlohmann::ordered_json slot_json(const LinkStatus& status) {
  if (!status.slot) return nullptr;
  const SlotFacts& slot = *status.slot;
  nlohmann::ordered_json json;
  json["wal_status"] = slot.wal_status;
  json["active_pid"] = slot.active_pid ? nlohmann::ordered_json(*slot.active_pid) : nullptr;
  json["confirmed_flush_lsn"] =
      slot.confirmed_flush ? nlohmann::ordered_json(to_string(*slot.confirmed_flush)) : nullptr;
  json["restart_lsn"] = slot.restart ? nlohmann::ordered_json(to_string(*slot.restart)) : nullptr;
  json["retained_wal_bytes"] =
      slot.restart ? nlohmann::ordered_json(bytes_between(*slot.restart, status.source_lsn)) : nullptr;
  json["safe_wal_bytes"] = slot.safe_wal_bytes ? nlohmann::ordered_json(*slot.safe_wal_bytes) : nullptr;
  const std::optional<double> lost_in = status.lost_in_seconds();
  json["lost_in_seconds"] = lost_in ? nlohmann::ordered_json(*lost_in) : nullptr;
  return json;
}

}  // namespace

double LinkStatus::lag_seconds() const { return lag_bytes() == 0 ? 0.0 : stale_seconds; }

// Over less than a second the rate is noise, and a link that is nearly level takes the slot along.
std::optional<double> LinkStatus::lost_in_seconds() const {
  if (!slot || !slot->safe_wal_bytes) return std::nullopt;
  if (*slot->safe_wal_bytes <= 0) return 0.0;
  if (lag_bytes() == 0 || stale_seconds < 1) return std::nullopt;
  return static_cast<double>(*slot->safe_wal_bytes) * stale_seconds / static_cast<double>(lag_bytes());
}

std::size_t LinkStatus::copied_count() const {
  return static_cast<std::size_t>(
      std::count_if(tables.begin(), tables.end(), [](const TableStatus& t) { return t.copy.state != "pending"; }));
}

std::optional<LinkStatus> read_link_status(const LinkNames& link, PgConnection& source, PgConnection& target) {
  std::optional<LinkRow> row = read_link_row(target, link);
  if (!row) return std::nullopt;
  LinkStatus status;
  status.link = link.link;
  status.progress = std::move(*row);
  for (const auto& [name, copy] : read_table_states(target, link)) {
    status.copied_rows += copy.rows;
    status.copied_bytes += copy.bytes;
    if (copy.state != "left") status.tables.push_back({name, copy});
  }
  status.quarantine = count_quarantine(target, link);
  status.conflicts = read_conflict_totals(target, link);
  status.slot = read_slot(source, link.slot());
  status.counters = nlohmann::json::parse(status.progress.counters, nullptr, false);
  if (!status.counters.is_object()) status.counters = nlohmann::json::object();
  // Asked last, so that it is never behind what was applied.
  const Rows now = source.exec("read the WAL position of " + source.label(),
                               "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
                               "ELSE pg_current_wal_insert_lsn() END, "
                               "greatest(0, extract(epoch FROM clock_timestamp() - $1::timestamptz))",
                               {status.counters.value("fresh_at", status.progress.updated_at)});
  if (!now.is_null(0, 0)) status.source_lsn = parse_lsn(now.at(0, 0)).value_or(Lsn{});
  status.stale_seconds = std::strtod(std::string(now.at(0, 1)).c_str(), nullptr);
  // While tables are copied nothing reads the slot yet, but the sidecar is there.
  const Rows sessions = target.exec("look for the sidecar's sessions",
                                    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND "
                                    "application_name IN ($1, $2) LIMIT 1",
                                    {"teal/" + link.migration + "/run", "teal/" + link.migration + "/" + link.link});
  status.active = (status.slot && status.slot->active_pid) || !sessions.empty();
  status.phase = phase_of(status);
  return status;
}

std::vector<LinkStatus> read_links(const Config& config, PgConnection& blue, PgConnection& green) {
  std::vector<LinkStatus> links;
  const LinkNames forward = forward_link(config);
  if (auto status = read_link_status(forward, blue, green)) links.push_back(std::move(*status));
  if (auto status = read_link_status(forward.reverse(), green, blue)) links.push_back(std::move(*status));
  for (LinkStatus& status : links) status.source = status.link == forward.link ? "blue" : "green";
  return links;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 40> text{};
  const int length = std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string link_text(const LinkStatus& status) {
  std::string out = "link       " + status.link + "\n";
  out += "phase      " + status.phase;
  if (status.copied_count() < status.tables.size()) {
    out +=
        ", " + std::to_string(status.copied_count()) + " of " + std::to_string(status.tables.size()) + " tables copied";
  }
  if (status.phase == "observing") out += ": stopped or backing off, its stream is only read on for the other link";
  out += "\nlag        " + lag_text(status) + "\n";
  out += "applied    " + to_string(status.progress.applied) + ", held " + to_string(status.progress.held) +
         ", source at " + to_string(status.source_lsn) + ", written " +
         seconds_text(status.progress.updated_seconds_ago) + " ago\n";
  if (status.counters.contains("last_commit_time")) {
    const nlohmann::json commit = last_commit_time(status.counters);
    out += "last       source commit " + (commit.is_string() ? "of " + commit.get<std::string>() : "none yet") + "\n";
  }
  out += "slot       " + slot_text(status) + "\n";
  out += quarantine_line(status.quarantine);
  out += conflicts_line(status.conflicts);
  out += "changes    " + counters_text(status.counters) + "\n";
  if (status.counters.contains("values") && status.counters["values"].is_string()) {
    out += "values     streamed as " + status.counters["values"].get<std::string>() + "\n";
  }
  out += "tables\n";
  for (const TableStatus& table : status.tables) {
    out += "  " + to_string(table.name) + "  " + table.copy.state;
    if (table.copy.state == "copied") {
      out +=
          ", " + std::to_string(table.copy.rows) + " rows, " + bytes_text(static_cast<std::uint64_t>(table.copy.bytes));
    }
    if (!table.copy.copied_as.empty()) out += " as " + table.copy.copied_as;
    if (!table.copy.problem.empty()) out += ": " + indented(table.copy.problem);
    out += "\n";
  }
  return out;
}

std::optional<LastVerify> read_verify_of(std::span<const LinkStatus> links, const std::string& name,
                                         PgConnection& green) {
  std::set<TableName> replicated;
  for (const LinkStatus& link : links) {
    if (link.source != "blue") continue;
    for (const TableStatus& table : link.tables) replicated.insert(table.copy.target);
  }
  return read_last_verify(green, name, replicated);
}

std::string status_text(const MigrationStatus& status) {
  std::string out = "migration  " + status.name + "\n" + cutover_text(status.cutovers, status.links);
  out += clocks_line(status.skew);
  out += last_verify_text(status.verify, status.verify_max_age) + verify_running_text(status.verifying);
  for (const LinkStatus& link : status.links) out += link_text(link);
  return out;
}

nlohmann::ordered_json link_json(const LinkStatus& status) {
  nlohmann::ordered_json link;
  link["link"] = status.link;
  link["phase"] = status.phase;
  link["active"] = status.active;
  link["lag_bytes"] = status.lag_bytes();
  link["lag_seconds"] = status.lag_seconds();
  link["applied_lsn"] = to_string(status.progress.applied);
  link["held_lsn"] = to_string(status.progress.held);
  link["source_lsn"] = to_string(status.source_lsn);
  link["updated_at"] = status.progress.updated_at;
  link["updated_seconds_ago"] = status.progress.updated_seconds_ago;
  link["slot"] = slot_json(status);
  link["tables_total"] = status.tables.size();
  link["tables_copied"] = status.copied_count();
  link["tables"] = nlohmann::ordered_json::array();
  for (const TableStatus& table : status.tables) {
    link["tables"].push_back({{"schema", table.name.schema},
                              {"table", table.name.name},
                              {"state", table.copy.state},
                              {"copied_rows", table.copy.rows},
                              {"copied_bytes", table.copy.bytes},
                              {"copied_as", table.copy.copied_as},
                              {"problem", table.copy.problem}});
  }
  link["quarantine"] = {{"open", status.quarantine.open()},     {"stopped", status.quarantine.stopped},
                        {"retry", status.quarantine.retry},     {"skip", status.quarantine.skip},
                        {"skipped", status.quarantine.skipped}, {"resolved", status.quarantine.resolved}};
  link["conflicts"] = {{"applied", status.conflicts.applied}, {"kept", status.conflicts.kept}};
  link["counters"] = status.counters;
  if (status.counters.contains("last_commit_time")) {
    link["counters"]["last_commit_time"] = last_commit_time(status.counters);
  }
  return link;
}

nlohmann::ordered_json status_json(const MigrationStatus& status) {
  nlohmann::ordered_json json;
  json["name"] = status.name;
  json["links"] = nlohmann::ordered_json::array();
  if (status.links.empty()) return json;
  json["clock_skew_seconds"] = status.skew.seconds();
  json["clock_skew_error_seconds"] = std::chrono::duration<double>(status.skew.error).count();
  json["cutover"] = cutover_json(status.cutovers);
  json["verify"] = last_verify_json(status.verify, status.verify_max_age);
  json["verifying"] = verify_running_json(status.verifying);
  for (const LinkStatus& link : status.links) json["links"].push_back(link_json(link));
  return json;
}

}  // namespace teal
