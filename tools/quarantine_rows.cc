#include "tools/quarantine_rows.h"

#include <algorithm>

#include "tools/link_facts.h"
#include "tools/quoted_text.h"

namespace teal {
namespace {

constexpr const char* kSelect =
    "SELECT id, state, table_name, operation, key, commit_lsn, lsn, position, xid, sqlstate, message, times, first_at, "
    "at, link FROM teal.quarantine WHERE migration = $1 AND link = $2";

QuarantineRow row_at(const Rows& rows, int i) {
  QuarantineRow row;
  row.id = rows.integer(i, 0);
  row.state = rows.str(i, 1);
  row.table = rows.str(i, 2);
  row.operation = rows.str(i, 3);
  row.key = rows.str(i, 4);
  row.commit_lsn = rows.str(i, 5);
  row.lsn = rows.str(i, 6);
  row.position = rows.integer(i, 7);
  row.xid = rows.integer(i, 8);
  row.sqlstate = rows.str(i, 9);
  row.message = rows.str(i, 10);
  row.times = rows.integer(i, 11);
  row.first_at = rows.str(i, 12);
  row.at = rows.str(i, 13);
  row.link = rows.str(i, 14);
  return row;
}

}  // namespace

std::string QuarantineRow::title() const {
  if (table.empty()) return "transaction " + std::to_string(xid);
  return operation + " on " + shown_text(table) + (key.empty() ? "" : " key " + shown_text(key));
}

std::vector<QuarantineRow> read_quarantine(PgConnection& target, const LinkNames& link) {
  std::vector<QuarantineRow> out;
  if (!has_control_table(target, "quarantine")) return out;
  const Rows rows =
      target.exec("read what is in quarantine", std::string(kSelect) + " ORDER BY id", {link.migration, link.link});
  for (int i = 0; i < rows.size(); ++i) out.push_back(row_at(rows, i));
  return out;
}

std::optional<QuarantineRow> read_quarantined(PgConnection& target, const LinkNames& link, std::int64_t id) {
  if (!has_control_table(target, "quarantine")) return std::nullopt;
  const Rows rows = target.exec("read what is in quarantine", std::string(kSelect) + " AND id = $3",
                                {link.migration, link.link, std::to_string(id)});
  return rows.empty() ? std::nullopt : std::optional(row_at(rows, 0));
}

QuarantineCounts count_quarantine(PgConnection& target, const LinkNames& link) {
  QuarantineCounts counts;
  if (!has_control_table(target, "quarantine")) return counts;
  const Rows rows = target.exec(
      "count what is in quarantine",
      "SELECT count(*) FILTER (WHERE state = 'stopped'), count(*) FILTER (WHERE state = 'retry'), count(*) FILTER "
      "(WHERE state = 'skip'), count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE state = 'resolved') "
      "FROM teal.quarantine WHERE migration = $1 AND link = $2",
      {link.migration, link.link});
  counts.stopped = rows.integer(0, 0);
  counts.retry = rows.integer(0, 1);
  counts.skip = rows.integer(0, 2);
  counts.skipped = rows.integer(0, 3);
  counts.resolved = rows.integer(0, 4);
  return counts;
}

bool mark_quarantined(PgConnection& target, const LinkNames& link, std::int64_t id, const std::string& state) {
  return target
             .exec("mark the stopped change",
                   "UPDATE teal.quarantine SET state = $4 WHERE migration = $1 AND link = $2 AND id = $3 AND state IN "
                   "('stopped', 'retry', 'skip')",
                   {link.migration, link.link, std::to_string(id), state})
             .affected() == 1;
}

std::string quarantine_text(const std::vector<QuarantineRow>& rows) {
  if (rows.empty()) return "no link has stopped at a change\n";
  std::string out;
  std::size_t open = 0;
  for (const QuarantineRow& row : rows) {
    if (row.open()) ++open;
    out += std::to_string(row.id) + "  " + row.state + "  " + row.title();
    out += row.link == kGreenToBlue ? "  (link " + row.link + ")\n" : "\n";
    out += "     " + shown_text(row.message) + (row.sqlstate.empty() ? "" : " (SQLSTATE " + row.sqlstate + ")") + "\n";
    out += "     transaction " + std::to_string(row.xid) + ", commit " + row.commit_lsn;
    if (row.position > 0) out += ", change " + std::to_string(row.position) + " at " + row.lsn;
    out += "; " + std::to_string(row.times) + (row.times == 1 ? " stop" : " stops") + ", last at " + row.at + "\n";
  }
  if (open == 0) return out + "none is open\n";
  return out + std::to_string(open) +
         " open: mend on the target what was in the way and run teal again (teal quarantine retry ID takes a skip "
         "back), or "
         "pass "
         "over it with teal quarantine skip ID\n";
}

nlohmann::ordered_json quarantine_json(const std::string& name, const std::vector<QuarantineRow>& rows) {
  nlohmann::ordered_json json;
  json["name"] = name;
  json["open"] = std::count_if(rows.begin(), rows.end(), [](const QuarantineRow& row) { return row.open(); });
  json["changes"] = nlohmann::ordered_json::array();
  for (const QuarantineRow& row : rows) {
    json["changes"].push_back({{"id", row.id},
                               {"state", row.state},
                               {"link", row.link},
                               {"table", row.table},
                               {"operation", row.operation},
                               {"key", row.key},
                               {"xid", row.xid},
                               {"commit_lsn", row.commit_lsn},
                               {"lsn", row.lsn},
                               {"position", row.position},
                               {"sqlstate", row.sqlstate},
                               {"message", row.message},
                               {"times", row.times},
                               {"first_at", row.first_at},
                               {"at", row.at}});
  }
  return json;
}

}  // namespace teal
