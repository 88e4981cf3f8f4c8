#include "engine/catalog_columns.h"

#include <algorithm>

namespace teal {

bool UniqueIndex::covers_exactly(std::vector<std::string> names) const {
  std::vector<std::string> own = columns;
  std::sort(own.begin(), own.end());
  std::sort(names.begin(), names.end());
  return own == names;
}

std::string oid_array(const std::vector<std::uint32_t>& oids) {
  std::string out = "{";
  for (const std::uint32_t oid : oids) out += (out.size() == 1 ? "" : ",") + std::to_string(oid);
  return out + "}";
}

std::string text_array(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const std::string& item : items) {
    out += out.size() == 1 ? "\"" : ",\"";
    for (const char c : item) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  return out + "}";
}

std::map<std::uint32_t, std::vector<CatalogColumn>> read_columns(PgConnection& connection,
                                                                 const std::vector<std::uint32_t>& oids) {
  // With the table named, pg_get_expr first makes the names of all its columns unique, which takes the square of their
  // number: 16 s for 1,600 defaults. Only generated columns refer to others.
  const Rows rows = connection.exec_often(
      "read the columns on " + connection.label(),
      "SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), "
      "format_type(a.atttypid, NULL), a.attnum, a.attnotnull, "
      "a.atthasdef OR a.attidentity <> '', a.attgenerated <> '', a.attidentity, "
      "format_type(a.atttypid, -1), a.atttypid IN (SELECT casttarget FROM pg_cast "
      "WHERE castsource = 'text'::regtype AND castmethod = 'f') OR "
      "(SELECT typtype FROM pg_type t WHERE t.oid = a.atttypid) = 'd' AND EXISTS ("
      "WITH RECURSIVE base (type) AS (SELECT a.atttypid UNION ALL SELECT t.typbasetype "
      "FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typbasetype <> 0) "
      "SELECT FROM base JOIN pg_cast c ON c.casttarget = base.type WHERE "
      "c.castsource = 'text'::regtype AND c.castmethod = 'f'), a.atttypid, a.atttypmod, "
      "a.attgenerated = 'v', CASE WHEN a.atthasdef THEN (SELECT pg_get_expr(d.adbin, "
      "CASE WHEN a.attgenerated <> '' THEN d.adrelid ELSE 0 END) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND "
      "d.adnum = a.attnum) END, "
      "CASE WHEN a.atthasmissing THEN array_to_string(a.attmissingval, '') END, "
      "a.attlen = -1 AND a.attstorage <> 'p', "
      "NOT EXISTS (SELECT FROM pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic) "
      "FROM pg_attribute a WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 "
      "AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum",
      {oid_array(oids)});
  std::map<std::uint32_t, std::vector<CatalogColumn>> columns;
  for (int i = 0; i < rows.size(); ++i) {
    CatalogColumn column;
    column.name = rows.str(i, 1);
    column.type = rows.str(i, 2);
    column.base_type = rows.str(i, 3);
    column.attnum = static_cast<int>(rows.integer(i, 4));
    column.not_null = rows.boolean(i, 5);
    column.has_default = rows.boolean(i, 6);
    column.generated = rows.boolean(i, 7);
    column.identity = rows.at(i, 8).empty() ? '\0' : rows.at(i, 8).front();
    column.cast_type = rows.str(i, 9);
    column.text_cast = rows.boolean(i, 10);
    column.type_oid = static_cast<std::uint32_t>(rows.integer(i, 11));
    column.type_modifier = static_cast<std::int32_t>(rows.integer(i, 12));
    column.computed_on_read = rows.boolean(i, 13);
    (column.generated ? column.generated_as : column.default_expression) = rows.str(i, 14);
    if (!rows.is_null(i, 15)) column.added_value = rows.str(i, 15);
    column.toastable = rows.boolean(i, 16);
    column.deterministic = rows.boolean(i, 17);
    columns[static_cast<std::uint32_t>(rows.integer(i, 0))].push_back(std::move(column));
  }
  return columns;
}

std::map<std::uint32_t, std::vector<UniqueIndex>> read_unique_indexes(PgConnection& connection,
                                                                      const std::vector<std::uint32_t>& oids) {
  const Rows rows = connection.exec_often(
      "read the unique indexes on " + connection.label(),
      "SELECT x.indrelid, x.indexrelid, c.relname, x.indisprimary, x.indisreplident, x.indisvalid, x.indimmediate, "
      "a.attname, a.attcollation = k.indexcollation, quote_ident(n.nspname), o.oprname "
      "FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid "
      "CROSS JOIN LATERAL unnest(x.indkey::int2[], x.indclass::oid[], x.indcollation::oid[]) WITH ORDINALITY "
      "AS k (attnum, opclass, indexcollation, place) "
      "JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum "
      "JOIN pg_opclass p ON p.oid = k.opclass "
      "JOIN pg_amop m ON m.amopfamily = p.opcfamily AND m.amopstrategy = 3 "  // 3: =, of a B-tree
      "AND m.amoplefttype = p.opcintype AND m.amoprighttype = p.opcintype "
      "JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace "
      "WHERE x.indrelid = ANY ($1::oid[]) AND x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL "
      "AND k.place <= x.indnkeyatts ORDER BY x.indrelid, x.indisprimary DESC, x.indexrelid, k.place",
      {oid_array(oids)});
  std::map<std::uint32_t, std::vector<UniqueIndex>> indexes;
  for (int i = 0; i < rows.size(); ++i) {
    std::vector<UniqueIndex>& of_table = indexes[static_cast<std::uint32_t>(rows.integer(i, 0))];
    if (i == 0 || rows.at(i, 1) != rows.at(i - 1, 1)) {
      UniqueIndex index;
      index.name = rows.str(i, 2);
      index.primary = rows.boolean(i, 3);
      index.replica_identity = rows.boolean(i, 4);
      index.valid = rows.boolean(i, 5);
      index.immediate = rows.boolean(i, 6);
      of_table.push_back(std::move(index));
    }
    UniqueIndex& index = of_table.back();
    index.columns.push_back(rows.str(i, 7));
    index.own_collations = index.own_collations && rows.boolean(i, 8);
    index.equality.push_back("OPERATOR(" + rows.str(i, 9) + "." + rows.str(i, 10) + ")");
  }
  return indexes;
}

std::string partition_bounds_sql(const std::string& oid) {
  return "(SELECT string_agg(pg_get_partkeydef(bi.inhparent) || ' ' || pg_get_expr(bc.relpartbound, bc.oid) || CASE "
         "WHEN "
         "bp.partcollation::text ~ '[1-9]' THEN ' under ' || (SELECT datcollate FROM pg_database WHERE datname = "
         "current_database()) ELSE '' END, ' in ' ORDER BY ba.level) FROM pg_partition_ancestors(" +
         oid +
         ") WITH ORDINALITY AS ba (relid, level) JOIN pg_inherits bi ON bi.inhrelid = ba.relid JOIN pg_class bc ON "
         "bc.oid = ba.relid JOIN pg_partitioned_table bp ON bp.partrelid = bi.inhparent)";
}

bool has_same_partition(PgConnection& connection, const TableName& part, const TableName& table,
                        const std::string& bounds) {
  // What a default partition takes depends on its siblings, and a hash can depend on numbers of objects.
  if (bounds.find("DEFAULT") != std::string::npos || bounds.find("HASH") != std::string::npos) return false;
  const Rows same = connection.exec(
      "look for the partition on " + connection.label(),
      "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class top ON top.oid = "
      "pg_partition_root(c.oid) JOIN pg_namespace tn ON tn.oid = top.relnamespace WHERE c.relispartition AND n.nspname "
      "= $1 AND c.relname = $2 AND tn.nspname = $3 AND top.relname = $4 AND c.relkind IN ('r', 'p') AND " +
          partition_bounds_sql("c.oid") + " = $5",
      {part.schema, part.name, table.schema, table.name, bounds});
  return !same.empty();
}

}  // namespace teal
