#include "tools/departed_partitions.h"

#include <algorithm>
#include <set>

#include "engine/catalog_columns.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/publication.h"

namespace teal {
namespace {

using States = std::map<TableName, TableCopyState>;

// Of a hash partition `takes` says what its siblings take as well.
bool is_hash(const TableCopyState& state) { return state.bounds.find("HASH") != std::string::npos; }

// The partitions of the source's table that bring rows to the target and could have some in the range of `departed`.
std::string others(const TableCopyState& departed, const States& states) {
  std::string oids;
  for (const auto& [table, state] : states) {
    if (state.state != "copied" || state.target != departed.target) continue;
    if (is_hash(departed) && state.takes == departed.takes) continue;
    oids += (oids.empty() ? "" : ",") + entry_table(state.publication_entry);
  }
  return "{" + oids + "}";
}

bool exists(PgConnection& connection, const TableName& table) {
  const Rows rows = connection.exec("look for a table on " + connection.label(), "SELECT to_regclass($1) IS NOT NULL",
                                    {quote_qualified(table.schema, table.name)});
  return rows.boolean(0, 0);
}

// The partitions that have rows in the range of `departed` now.
std::set<TableName> intruders(PgConnection& source, const TableCopyState& departed, const States& states) {
  const Rows rows =
      source.exec("look for rows in the range of a partition that left",
                  "SELECT n.nspname, c.relname FROM (SELECT DISTINCT tableoid AS part FROM " +
                      quote_qualified(departed.target.schema, departed.target.name) + " WHERE (" + departed.takes +
                      ") AND tableoid = ANY ($1::oid[])) r JOIN pg_class c ON c.oid = r.part JOIN "
                      "pg_namespace n ON n.oid = c.relnamespace",
                  {others(departed, states)});
  std::set<TableName> parts;
  for (int i = 0; i < rows.size(); ++i) parts.insert({rows.str(i, 0), rows.str(i, 1)});
  return parts;
}

bool is_rid_of(PgConnection& target, const TableName& part, const TableCopyState& departed) {
  const std::string table = quote_qualified(departed.target.schema, departed.target.name);
  const Rows there = target.exec("look whether the target has the partition that left",
                                 "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                                 "n.nspname = $1 AND c.relname = $2 AND c.relispartition AND pg_partition_root(c.oid) "
                                 "= $3::regclass",
                                 {part.schema, part.name, table});
  if (!there.empty()) return false;
  const Rows rows = target.exec("look whether the target has rows of the partition that left",
                                "SELECT EXISTS (SELECT FROM " + table + " WHERE " + departed.takes + ")");
  return !rows.boolean(0, 0);
}

[[noreturn]] void refuse_intruders(const LinkNames& names, const TableName& part, const TableCopyState& departed,
                                   const std::set<TableName>& intruders) {
  const std::vector<TableName> list(intruders.begin(), intruders.end());
  std::set<TableName> again = intruders;
  again.insert(part);
  const std::set<TableName> whole{departed.target};
  throw Stopped(StopCode::kRefused,
                "link " + names.link + ": " + to_string(part) + " left " + to_string(departed.target) +
                    " on the source, and rows have come into its range since, in " + quoted_list(list) +
                    ": the target may have put them into its old partition. On the target, take " + to_string(part) +
                    " out of " + to_string(departed.target) + " as on the source (detach or drop it), then TRUNCATE " +
                    quoted_list(list) + "; " + delete_states(names, StatesOf::kTables, again) +
                    " and start again: what was emptied is copied. Where the target has other partitions, its whole "
                    "table instead: "
                    "TRUNCATE " +
                    quoted_list({departed.target}) + "; " + delete_states(names, StatesOf::kTargets, whole));
}

// By the planner, which proves more than a comparison of texts could: whether no row of `part` is in the range.
bool takes_none_of(PgConnection& source, const SourceTable& part, const std::string& takes) {
  source.exec("begin to ask the planner", "BEGIN");
  source.exec("let the planner use partitions' bounds", "SET LOCAL constraint_exclusion = on");
  const Rows plan = source.exec(
      "ask whether a partition takes what another took",
      "EXPLAIN (COSTS OFF) SELECT FROM ONLY " + quote_qualified(part.name.schema, part.name.name) + " WHERE " + takes);
  source.exec("end asking the planner", "COMMIT");
  for (int i = 0; i < plan.size(); ++i) {
    if (plan.str(i, 0).find("One-Time Filter: false") != std::string::npos) return true;
  }
  return false;
}

}  // namespace

void settle_departed(PgConnection& source, PgConnection& target, const LinkNames& names, const States& states) {
  for (const auto& [part, state] : states) {
    if (state.state != "detached" || state.takes.empty()) continue;
    if (!exists(source, state.target) || !exists(target, state.target)) continue;  // the whole table was dropped
    // In this order: a row that comes later is routed by what the target has become.
    const bool rid = is_rid_of(target, part, state);
    if (const std::set<TableName> found = intruders(source, state, states); !found.empty()) {
      refuse_intruders(names, part, state, found);
    }
    if (!rid) continue;
    const Rows noted = target.exec("note that the target is rid of a partition",
                                   "UPDATE teal.table_state SET takes = '', updated_at = clock_timestamp()" +
                                       states_where(names, StatesOf::kTables, {part}) + " AND state = 'detached'");
    if (noted.affected() != 1) continue;  // not noted yet that it left
    log_event(LogLevel::kInfo, "partition has left the target too", {{"link", names.link}, {"table", to_string(part)}});
  }
}

std::string departed_in_the_way(PgConnection& source, const LinkNames& names, const SourceTable& part,
                                const States& states, const std::vector<TableName>& gone) {
  for (const auto& [departed, state] : states) {
    const bool left = state.state == "detached" ||
                      (state.state == "copied" && std::find(gone.begin(), gone.end(), departed) != gone.end());
    if (!left || state.target != part.target || departed == part.name) continue;
    const bool hash = is_hash(state) && part.bounds.find("HASH") != std::string::npos;
    if (!hash && (state.takes.empty() || takes_none_of(source, part, state.takes))) continue;
    std::string why = to_string(departed) + " left " + to_string(part.target) +
                      " and took rows that may be in this one's range: detach or drop it on the target too, or where "
                      "that has other partitions delete its rows there";
    if (hash) why += ", then " + delete_states(names, StatesOf::kTables, {departed});
    return why;
  }
  return "";
}

}  // namespace teal
