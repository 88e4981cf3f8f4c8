#include "applier/holding_index.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace teal {
namespace {

// One row for each column of each unique index, in order.
constexpr const char* kIndexes =
    "SELECT i.indexrelid::text, format('%I.%I', s.nspname, c.relname), c.relkind = 'p', coalesce(a.attname::text, ''), "
    "'(' || pg_get_indexdef(i.indexrelid, k, true) || ')' || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, "
    "co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = "
    "i.indcollation[k - 1]), ''), 'OPERATOR(' || quote_ident(n.nspname) || '.' || o.oprname || ')', "
    "coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), "
    "concat_ws(' AND ', '(' || pg_get_expr(i.indpred, i.indrelid) || ')', CASE WHEN i.indrelid <> to_regclass($1) THEN "
    "'(' || pg_get_partition_constraintdef(i.indrelid) || ')' END), "
    "(SELECT coalesce(string_agg(r.attname, chr(1)), '') FROM pg_attribute r WHERE r.attrelid = "
    "i.indrelid AND r.attnum > 0 AND (r.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) OR EXISTS (SELECT "
    "FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = "
    "'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = r.attnum))) "
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace s ON s.oid = c.relnamespace "
    "CROSS JOIN generate_series(1, i.indnkeyatts::int) AS k JOIN pg_opclass f ON f.oid = i.indclass[k - 1] "
    "JOIN pg_amop m ON m.amopfamily = f.opcfamily AND m.amoplefttype = f.opcintype AND m.amoprighttype = f.opcintype "
    "AND m.amopstrategy = 3 JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace "
    "LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum > 0 "
    "WHERE i.indisunique AND i.indislive AND i.indimmediate AND (i.indrelid = to_regclass($1) OR (i.indrelid IN "
    "(SELECT "
    "relid FROM pg_partition_tree(to_regclass($1))) AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = "
    "i.indexrelid))) ORDER BY i.indexrelid, k";
constexpr std::size_t kWaysMax = 16;

std::set<std::string> names_in(const std::string& list) {
  std::set<std::string> names;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, '\1');) names.insert(quote_identifier(name));
  return names;
}

std::size_t ways_of(const HoldingIndex& index) {
  return index.nulls_alike ? std::size_t{1} << std::min<std::size_t>(index.parts.size(), 16) : 1;
}

}  // namespace

std::vector<HoldingIndex> read_holding_indexes(PgConnection& session, const std::string& table) {
  const Rows rows = session.exec("read a table's unique indexes", kIndexes, {table});
  std::vector<HoldingIndex> indexes;
  std::string last;
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.str(i, 0) != last) {
      last = rows.str(i, 0);
      indexes.push_back(
          {rows.str(i, 1), rows.boolean(i, 2), rows.boolean(i, 6), rows.str(i, 7), names_in(rows.str(i, 8)), {}});
    }
    indexes.back().parts.push_back({rows.str(i, 3), rows.str(i, 4), rows.str(i, 5)});
  }
  return indexes;
}

std::string HoldingIndex::sql_of_parts() const {
  std::string sql;
  for (std::size_t i = 0; i < parts.size(); ++i) sql += ", " + parts[i].sql + " AS teal_e" + std::to_string(i);
  return sql;
}

bool HoldingIndex::seeks_nulls() const { return ways_of(*this) <= kWaysMax; }

std::vector<std::string> HoldingIndex::matches() const {
  const std::size_t ways = ways_of(*this);
  std::vector<std::string> all;
  for (std::size_t way = 0; way < (ways > kWaysMax ? 1 : ways); ++way) {
    std::string match;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string mine = "n.teal_e" + std::to_string(i);
      const std::string theirs = "h.teal_e" + std::to_string(i);
      std::string equal = theirs;
      equal += " " + parts[i].equality + " " + mine;
      const std::string nulls = "(" + mine + " IS NULL AND " + theirs + " IS NULL)";
      const bool null = (way >> i & 1U) != 0;
      if (ways > kWaysMax) equal = "(" + equal + " OR " + nulls + ")";
      match += (i == 0 ? " WHERE " : " AND ") + (null ? nulls : equal);
    }
    all.push_back(std::move(match));
  }
  return all;
}

}  // namespace teal
