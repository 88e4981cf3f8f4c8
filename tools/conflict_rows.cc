#include "tools/conflict_rows.h"

#include <charconv>
#include <map>

#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr const char* kColumns =
    "id, at, type, table_name, key, resolution, source_lsn, source_time, target_lsn, target_time";

ConflictRow row_at(const Rows& rows, int i, bool blue) {
  ConflictRow row;
  row.id = {blue, rows.integer(i, 0)};
  row.at = rows.str(i, 1);
  row.type = rows.str(i, 2);
  row.table = rows.str(i, 3);
  row.key = rows.str(i, 4);
  row.resolution = rows.str(i, 5);
  row.source_lsn = rows.str(i, 6);
  row.source_time = rows.str(i, 7);
  row.target_lsn = rows.str(i, 8);
  row.target_time = rows.str(i, 9);
  return row;
}

std::optional<std::string> optional_text(const Rows& rows, int row, int column) {
  return rows.is_null(row, column) ? std::nullopt : std::optional(rows.str(row, column));
}

}  // namespace

std::string to_string(const ConflictId& id) { return (id.blue ? "b" : "g") + std::to_string(id.number); }

std::optional<ConflictId> parse_conflict_id(std::string_view text) {
  if (text.size() < 2 || (text[0] != 'b' && text[0] != 'g')) return std::nullopt;
  ConflictId id{text[0] == 'b', 0};
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), id.number);
  if (error != std::errc{} || end != text.data() + text.size() || id.number < 1) return std::nullopt;
  return id;
}

ConflictTotals ConflictStats::totals() const {
  ConflictTotals sum;
  for (const ConflictKind& kind : kinds) {
    sum.applied += kind.totals.applied;
    sum.kept += kind.totals.kept;
  }
  return sum;
}

std::vector<ConflictRow> read_conflicts(PgConnection& side, const std::string& migration, bool blue,
                                        const ConflictFilterOptions& options) {
  std::vector<ConflictRow> out;
  if (!has_control_table(side, "conflict_log")) return out;
  const Param since = options.since ? Param(std::to_string(options.since->count())) : std::nullopt;
  const Rows rows = side.exec("read the conflicts on " + side.label(),
                              std::string("SELECT ") + kColumns +
                                  " FROM teal.conflict_log WHERE migration = $1 AND ($2::text IS NULL OR table_name = "
                                  "$2) AND ($3::float8 IS NULL OR at >= now() - $3 * interval '1 millisecond') ORDER "
                                  "BY id DESC LIMIT $4::bigint",
                              {migration, options.table, since, std::to_string(options.limit)});
  for (int i = 0; i < rows.size(); ++i) out.push_back(row_at(rows, i, blue));
  return out;
}

std::optional<ConflictRow> read_conflict(PgConnection& side, const std::string& migration, const ConflictId& id) {
  if (!has_control_table(side, "conflict_log")) return std::nullopt;
  const Rows rows = side.exec("read a conflict on " + side.label(),
                              std::string("SELECT ") + kColumns +
                                  ", incoming_row, standing_row FROM teal.conflict_log WHERE migration = $1 AND id = "
                                  "$2",
                              {migration, std::to_string(id.number)});
  if (rows.empty()) return std::nullopt;
  ConflictRow row = row_at(rows, 0, id.blue);
  row.incoming_row = optional_text(rows, 0, 10);
  row.standing_row = optional_text(rows, 0, 11);
  return row;
}

ConflictStats read_conflict_stats(PgConnection& target, const LinkNames& link) {
  ConflictStats stats{link.link, target.label(), {}, 0, std::nullopt};
  if (!has_control_table(target, "conflict_stats")) return stats;
  const Rows rows = target.exec("read how many conflicts there were",
                                "SELECT table_name, type, coalesce(sum(count) FILTER (WHERE resolution = 'applied'), "
                                "0), coalesce(sum(count) FILTER (WHERE resolution = 'kept'), 0) FROM "
                                "teal.conflict_stats WHERE migration = $1 AND link = $2 GROUP BY 1, 2 ORDER BY 1, 2",
                                {link.migration, link.link});
  for (int i = 0; i < rows.size(); ++i) {
    stats.kinds.push_back({rows.str(i, 0), rows.str(i, 1), {rows.integer(i, 2), rows.integer(i, 3)}});
  }
  const Rows log = target.exec("count the rows of teal.conflict_log",
                               "SELECT count(*), min(at) FROM teal.conflict_log WHERE migration = $1 AND link = $2",
                               {link.migration, link.link});
  stats.logged = log.integer(0, 0);
  stats.oldest = optional_text(log, 0, 1);
  return stats;
}

ConflictTotals read_conflict_totals(PgConnection& target, const LinkNames& link) {
  if (!has_control_table(target, "conflict_stats")) return {};
  const Rows rows = target.exec("count the conflicts",
                                "SELECT coalesce(sum(count) FILTER (WHERE resolution = 'applied'), 0), "
                                "coalesce(sum(count) FILTER (WHERE resolution = 'kept'), 0) FROM teal.conflict_stats "
                                "WHERE migration = $1 AND link = $2",
                                {link.migration, link.link});
  return {rows.integer(0, 0), rows.integer(0, 1)};
}

}  // namespace teal
