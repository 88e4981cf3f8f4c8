#include "verifier/collation_check.h"

namespace teal {

std::string moved_collations_sql(int server_major) {
  const std::string own =
      "SELECT l.oid, quote_ident(n.nspname) || '.' || quote_ident(l.collname) AS name, l.collversion AS was, "
      "pg_collation_actual_version(l.oid) AS now FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace "
      "WHERE l.collprovider IN ('c', 'i') AND l.collversion <> pg_collation_actual_version(l.oid)";
  if (server_major < 15) return "(" + own + ")";
  return "(" + own +
         " UNION ALL SELECT 100, '', d.datcollversion, pg_database_collation_actual_version(d.oid) FROM pg_database d "
         "WHERE d.datname = current_database() AND d.datcollversion <> pg_database_collation_actual_version(d.oid))";
}

std::vector<VerifyFinding> check_collations(SideLook& side) {
  const Rows rows = side.catalog(
      "look at the collations' versions",
      "SELECT m.name, m.was, m.now, count(DISTINCT i.indexrelid), (array_agg(DISTINCT x.relname::text))[1], "
      "min(p.i), quote_ident(current_database()) FROM parts p JOIN pg_index i ON i.indrelid = p.oid "
      "JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN " +
          moved_collations_sql(side.connection().server_major()) +
          " m ON m.oid = ANY (i.indcollation::oid[]) GROUP BY 1, 2, 3 ORDER BY 1");
  std::vector<VerifyFinding> findings;
  for (int i = 0; i < rows.size(); ++i) {
    const bool of_database = rows.at(i, 0).empty();
    const std::string what = of_database ? "DATABASE " + rows.str(i, 6) : "COLLATION " + rows.str(i, 0);
    findings.push_back({.area = FindingArea::kCollations,
                        .weight = FindingWeight::kMatters,
                        .table = to_string(side.table(rows.integer(i, 5)).blue.name),
                        .side = side.label(),
                        .text = (of_database ? "the database's collation" : "collation " + rows.str(i, 0)) +
                                " was in version " + rows.str(i, 1) + " when it was made and is now in " +
                                rows.str(i, 2) + ": " + rows.str(i, 3) + " indexes (" + rows.str(i, 4) +
                                (rows.integer(i, 3) > 1 ? " and others" : "") +
                                ") may be in the wrong order, so that rows are not found and unique rules not kept; "
                                "REINDEX them, then ALTER " +
                                what + " REFRESH " + (of_database ? "COLLATION " : "") + "VERSION"});
  }
  return findings;
}

}  // namespace teal
