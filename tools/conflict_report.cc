#include <algorithm>
#include <set>

#include "tools/conflict_rows.h"
#include "tools/quoted_text.h"

namespace teal {
namespace {

using nlohmann::ordered_json;

// What an operator reads first: whose version is there now.
std::string outcome(const ConflictRow& row) { return row.resolution + ": " + row.stays() + "'s version stays"; }

ordered_json row_of(const std::optional<std::string>& json) {
  return json ? ordered_json::parse(*json) : ordered_json();
}

std::string cell_text(const ordered_json& row, const std::string& column) {
  if (!row.contains(column)) return "not sent";
  const ordered_json& value = row.at(column);
  if (value.is_null()) return "null";
  std::string out;
  append_quoted(out, value.is_string() ? value.get<std::string>() : value.dump());
  return out;
}

std::string side_row_text(const std::string& side, const ordered_json& row) {
  return row.is_null() ? "  " + side + ": no row, or it is not logged\n" : "";
}

std::string rows_text(const ConflictRow& row) {
  const ordered_json incoming = row_of(row.incoming_row);
  const ordered_json standing = row_of(row.standing_row);
  const ordered_json& blue = row.id.blue ? standing : incoming;
  const ordered_json& green = row.id.blue ? incoming : standing;
  std::string out = "rows\n" + side_row_text("blue", blue) + side_row_text("green", green);
  std::set<std::string> columns;
  for (const ordered_json* one : {&blue, &green}) {
    for (const auto& [column, value] : one->items()) columns.insert(column);
  }
  for (const std::string& column : columns) {
    out += "  ";
    append_name(out, column);
    if (!blue.is_null()) out += "  blue " + cell_text(blue, column);
    if (!green.is_null()) out += "  green " + cell_text(green, column);
    out += "\n";
  }
  return out;
}

std::string totals_text(const ConflictTotals& totals) {
  return "applied " + std::to_string(totals.applied) + ", kept " + std::to_string(totals.kept);
}

ordered_json facts_json(const ConflictRow& row) {
  return {{"id", to_string(row.id)},      {"at", row.at},
          {"link", row.link()},           {"type", row.type},
          {"table", row.table},           {"key", row.key},
          {"resolution", row.resolution}, {"stays", row.stays()},
          {"source_lsn", row.source_lsn}, {"source_time", row.source_time},
          {"target_lsn", row.target_lsn}, {"target_time", row.target_time}};
}

}  // namespace

std::string conflicts_text(const std::vector<ConflictRow>& rows, bool more) {
  if (rows.empty()) return "there are no such conflicts\n";
  std::string out;
  for (const ConflictRow& row : rows) {
    out += to_string(row.id) + "  " + row.at + "  " + row.type + " on " + shown_text(row.table) + " key " +
           shown_text(row.key) + ", " + outcome(row) + "\n";
  }
  return more ? out + "older ones are not shown: --limit\n" : out;
}

std::string conflict_text(const ConflictRow& row) {
  const std::string incoming = "commit " + row.source_lsn + " of " + row.source_time;
  const std::string standing = "commit " + row.target_lsn + " of " + row.target_time;
  return "conflict   " + to_string(row.id) + ", " + row.type + "\ntable      " + shown_text(row.table) +
         "\nkey        " + shown_text(row.key) + "\ndecided    " + outcome(row) + "; by link " + row.link() + ", " +
         row.at + "\nblue       " + (row.id.blue ? standing : incoming) + "\ngreen      " +
         (row.id.blue ? incoming : standing) + "\n" + rows_text(row);
}

std::string conflict_stats_text(const std::vector<ConflictStats>& links) {
  std::string out;
  for (const ConflictStats& link : links) {
    out += link.link + ", decided on " + link.side + ": " + totals_text(link.totals()) + "; " +
           std::to_string(link.logged) + " in the log";
    if (link.oldest) out += " since " + *link.oldest;
    out += "\n";
    for (const ConflictKind& kind : link.kinds) {
      out += "  " + shown_text(kind.table) + "  " + kind.type + "  " + totals_text(kind.totals) + "\n";
    }
  }
  return out;
}

ordered_json conflicts_json(const std::string& name, const std::vector<ConflictRow>& rows, bool more) {
  ordered_json json{{"name", name}, {"more", more}, {"conflicts", ordered_json::array()}};
  for (const ConflictRow& row : rows) json["conflicts"].push_back(facts_json(row));
  return json;
}

ordered_json conflict_json(const ConflictRow& row) {
  ordered_json json = facts_json(row);
  json["incoming_row"] = row_of(row.incoming_row);
  json["standing_row"] = row_of(row.standing_row);
  return json;
}

ordered_json conflict_stats_json(const std::string& name, const std::vector<ConflictStats>& links) {
  ordered_json json{{"name", name}, {"links", ordered_json::array()}};
  for (const ConflictStats& link : links) {
    ordered_json kinds = ordered_json::array();
    for (const ConflictKind& kind : link.kinds) {
      kinds.push_back(
          {{"table", kind.table}, {"type", kind.type}, {"applied", kind.totals.applied}, {"kept", kind.totals.kept}});
    }
    json["links"].push_back({{"link", link.link},
                             {"applied", link.totals().applied},
                             {"kept", link.totals().kept},
                             {"logged", link.logged},
                             {"oldest", link.oldest ? ordered_json(*link.oldest) : nullptr},
                             {"kinds", std::move(kinds)}});
  }
  return json;
}

}  // namespace teal
